package prospect

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is the maximum length of an ID in bytes.
const MaxLength = 256

// check returns why a trimmed text cannot be an ID, and what to do about it. It returns ""
// if the text can be an ID. It quotes only damaged numbers, because any other text can be
// personal data.
//
// The vendor documents one example of an ID, the string "47569637", and no format. So
// check accepts letters of any script, the digits 0 to 9, and signs such as - _ . : / ~.
// An ID becomes one escaped segment of a URL's path. check refuses the values that
// spreadsheets, other programs or a wrong delimiter leave in a list.
func check(id string) string {
	switch {
	case id == "":
		return "it is empty"
	case len(id) > MaxLength:
		return fmt.Sprintf("it has %d bytes, and the limit is %d", len(id), MaxLength)
	case !utf8.ValidString(id):
		return notUTF8
	}
	if digits(id) { // the usual case
		return ""
	}
	if scientific.MatchString(id) {
		return fmt.Sprintf("%s is a number that a spreadsheet has shortened, so digits of the ID are lost; export the list again with the column formatted as text", id)
	}
	if fraction.MatchString(id) {
		return fmt.Sprintf("%s is a number with a fraction; spreadsheets and data frames turn IDs into such numbers; export the list again with the column formatted as text", id)
	}
	switch {
	case date.MatchString(id):
		return "it is a date; spreadsheets turn IDs with hyphens, dots or slashes into dates; export the list again with the column formatted as text"
	case strings.HasPrefix(id, `="`):
		return `it is a formula such as ="1001", which some exports use for text; remove the = and both quotation marks`
	}
	if problem := checkRunes(id); problem != "" {
		return problem
	}
	switch {
	case strings.Contains(id, "://"):
		return "it is a URL; list the ID alone"
	case id[0] == '/' || slices.Contains(strings.Split(id, "/"), ".."):
		return "it is a path; list the ID alone"
	case missingValues[strings.ToLower(id)]:
		return "it is a word for a missing value; remove the row"
	case id[0] == '+' && digits(id[1:]):
		return "it begins with +, as telephone numbers do; remove the sign, or name the column of the IDs"
	case !strings.ContainsFunc(id, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }):
		return "it has neither a letter nor a digit"
	}
	return ""
}

// digits reports whether a text consists only of the digits 0 to 9.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// date matches dates with a year, and Excel's short dates, such as Jan-22 and 13-Jan.
var date = regexp.MustCompile(`(?i)^(` +
	`(0?[1-9]|[12]\d|3[01])([./])(0?[1-9]|[12]\d|3[01])[./](\d\d|\d{4})` + // 13.01.2022, 1/13/22
	`|(0?[1-9]|[12]\d|3[01])-(0?[1-9]|[12]\d|3[01])-(19|20)\d\d` +
	`|(19|20)\d\d[./-](0?[1-9]|1[0-2])[./-](0?[1-9]|[12]\d|3[01])` + // 2022-01-13
	`|(\d{1,2}-)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(-\d\d|-(19|20)\d\d)` +
	`|\d{1,2}-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)` +
	`)$`)

// Programs write the exponent of a large number with a sign. So a text without a sign, such
// as 12e45, can be a hexadecimal ID.
var (
	scientific = regexp.MustCompile(`^[+-]?(\d+([.,]\d*)?[eE][+-]\d+|\d+[.,]\d*[eE]\d+)$`)
	fraction   = regexp.MustCompile(`^[+-]?(\d+\.\d*|\.\d+)$`)
)

var missingValues = map[string]bool{
	"null": true, "none": true, "nil": true, "undefined": true, "nan": true, "na": true, "n/a": true, "<na>": true,
	"#n/a": true, "#na": true, "#null!": true, "#ref!": true, "#value!": true, "#name?": true, "#num!": true, "#div/0!": true,
	"-nan": true, "inf": true, "-inf": true, "infinity": true, "nat": true, "true": true, "false": true,
}

func checkRunes(id string) string {
	for at, r := range id {
		switch {
		case r == utf8.RuneError:
			return fmt.Sprintf("its byte %d begins U+FFFD, which is the result of a wrong conversion; export the list again", at+1)
		case strings.ContainsRune(",;|\t", r):
			return fmt.Sprintf("its byte %d is %q, which separates columns or thousands; if it separates columns, set delimiter = %[2]q", at+1, string(r))
		case unicode.IsSpace(r) && r <= unicode.MaxLatin1 && unicode.IsGraphic(r):
			return fmt.Sprintf("its byte %d is a blank, which an ID cannot contain", at+1)
		case !unicode.IsGraphic(r):
			return fmt.Sprintf("its byte %d begins the invisible character %U; remove it", at+1, r)
		case unicode.IsSpace(r):
			return fmt.Sprintf("its byte %d begins the blank %U, which an ID cannot contain", at+1, r)
		case unicode.IsDigit(r) && r > unicode.MaxASCII:
			return fmt.Sprintf("its byte %d begins %U, a digit that is not one of 0 to 9; convert the digits", at+1, r)
		case r == '\'' && at == 0:
			return "it begins with an apostrophe, which spreadsheets use to mark text; remove it"
		case strings.ContainsRune("\"'`“”‘’", r):
			return fmt.Sprintf("its byte %d begins a quotation mark; remove it", at+1)
		case strings.ContainsRune(`()[]{}<>\`, r):
			return fmt.Sprintf("its byte %d is %q, which an ID cannot contain; export the list again", at+1, string(r))
		case r == '@':
			return fmt.Sprintf("its byte %d is @, as in an e-mail address; name the column of the IDs", at+1)
		}
	}
	if id == "." || id == ".." {
		return `"." and ".." would select another resource of the API`
	}
	return ""
}
