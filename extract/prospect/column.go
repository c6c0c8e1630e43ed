package prospect

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// pick returns the index of the column. Columns without a name are ignored.
func pick(column string, columns []string) (index int, err error) {
	if column == "" {
		named := slices.IndexFunc(columns, func(c string) bool { return c != "" })
		if named >= 0 && !slices.ContainsFunc(columns[named+1:], func(c string) bool { return c != "" }) {
			return named, nil
		}
		return 0, missing(column, columns)
	}
	index = slices.Index(columns, column)
	if index < 0 {
		return 0, missing(column, columns)
	}
	if slices.Contains(columns[index+1:], column) {
		return 0, fmt.Errorf("%w: there is more than one column %q; rename the others", ErrColumn, column)
	}
	return index, nil
}

// missing returns the error that the column does not exist.
func missing(column string, columns []string) error {
	if column == "" {
		return fmt.Errorf("%w: set column to the one with the IDs; %s", ErrColumn, describe(columns))
	}
	return fmt.Errorf("%w: there is no column %q%s; %s", ErrColumn, column, suggest(column, columns), describe(columns))
}

// suggest returns the name of the column that the user probably meant.
func suggest(column string, columns []string) string {
	best, least := "", len(column)/3+1
	for _, c := range columns {
		d := levenshtein.Distance(strings.ToLower(column), strings.ToLower(c), nil)
		if d < least && isName(c) {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

const (
	maxShown = 20
	noHeader = "it does not seem to begin with a header"
)

// describe lists columns. If the first line is probably not a header, it may have personal
// data, so describe shows nothing. It only counts texts that do not look like names.
func describe(columns []string) string {
	var names []string
	unnamed := 0
	for _, c := range columns {
		switch {
		case c == "":
			unnamed++
		case looksLikeID(c) || strings.Contains(c, "@"):
			return noHeader
		case len(names) < maxShown && isKey(c):
			names = append(names, fmt.Sprintf("%q", c))
		}
	}
	others := len(columns) - len(names) - unnamed
	switch {
	case len(columns) == 0:
		return "it has no columns"
	case len(names) == 0:
		return noHeader
	case others > 0:
		return fmt.Sprintf("it has %s and %d more", strings.Join(names, ", "), others)
	default:
		return "it has " + strings.Join(names, ", ")
	}
}

// isKey reports whether a text is certainly the name of a column, so that an error may
// show it: an identifier in lower or camel case, or the name of an ID. The first line of
// a list without a header can have people's names.
func isKey(name string) bool {
	return len(name) <= 64 && (identifier.MatchString(name) || namesID.MatchString(name))
}

var (
	identifier = regexp.MustCompile(`^[a-z][A-Za-z0-9_.-]*$`)
	namesID    = regexp.MustCompile(`(?i)^((prospect|lead|contact|customer|client|guest|external|knock)[ _-]?)*(prospects?|ids?)$`)
)

// isName reports whether a text can be the name of a column.
func isName(name string) bool {
	return name != "" && len(name) <= 64 && utf8.ValidString(name) && !strings.Contains(name, "@") && !('0' <= name[0] && name[0] <= '9') &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) })
}

// looksLikeID reports whether a text is certainly not the name of a column: it begins
// with a digit, or is hexadecimal.
func looksLikeID(s string) bool {
	return s != "" && '0' <= s[0] && s[0] <= '9' && !strings.ContainsFunc(s, unicode.IsSpace) ||
		hexadecimal.MatchString(s) && strings.ContainsAny(s, "0123456789")
}

var hexadecimal = regexp.MustCompile(`^[0-9A-Fa-f-]{8,}$`)
