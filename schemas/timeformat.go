package schemas

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The units for times as numbers since 1970-01-01 UTC.
const (
	UnixSeconds = "unix_s"
	UnixMillis  = "unix_ms"
	UnixMicros  = "unix_us"
)

// TimeFormat is a parsed Column.Time: the source writes times as numbers of a unit, or
// as texts with a layout.
type TimeFormat struct {
	// Micros is the length of the unit in microseconds; 0 for a layout.
	Micros        int64
	parse, format string // the layout for package time
}

// directives maps the directives of a layout to package time. They are those of
// BigQuery's PARSE_TIMESTAMP, Python, and C's strptime. Go parses a fraction of a second
// after any seconds, so %f is not needed for parsing.
var directives = map[string]string{
	"%Y": "2006", "%y": "06", "%m": "01", "%b": "Jan", "%B": "January", "%d": "02", "%e": "_2", "%j": "002", "%a": "Mon", "%A": "Monday",
	"%H": "15", "%I": "03", "%p": "PM", "%M": "04", "%S": "05", "%z": "-0700", "%Ez": "-07:00",
	"%F": "2006-01-02", "%D": "01/02/06", "%T": "15:04:05", "%R": "15:04",
}

// ParseTimeFormat parses a non-empty Column.Time. The error is a clause.
func ParseTimeFormat(text string) (TimeFormat, error) {
	switch text {
	case UnixSeconds:
		return TimeFormat{Micros: 1e6}, nil
	case UnixMillis:
		return TimeFormat{Micros: 1e3}, nil
	case UnixMicros:
		return TimeFormat{Micros: 1}, nil
	}
	if !strings.Contains(text, "%") {
		return TimeFormat{}, fmt.Errorf("%q is not a time format; write %s, %s, %s or a layout such as %q", text, UnixSeconds, UnixMillis, UnixMicros, "%d.%m.%Y %H:%M")
	}
	return parseLayout(text)
}

func parseLayout(text string) (f TimeFormat, err error) {
	var has []string
	for rest := text; rest != ""; {
		if fraction, ok := strings.CutPrefix(rest, ".%f"); ok && len(has) > 0 && strings.Contains("%S %T", has[len(has)-1]) && strings.HasSuffix(f.parse, "05") {
			f.format += ".000000"
			rest = fraction
			continue
		}
		if rest[0] != '%' {
			if !strings.ContainsRune(" -/.:,TZ", rune(rest[0])) {
				return TimeFormat{}, fmt.Errorf("the layout %q has %q between its directives; only blanks, T, Z and - / . : , are allowed there", text, rest[:1])
			}
			f.parse, f.format, rest = f.parse+rest[:1], f.format+rest[:1], rest[1:]
			continue
		}
		directive := rest[:min(2, len(rest))]
		if strings.HasPrefix(rest, "%Ez") {
			directive = "%Ez"
		}
		layout, ok := directives[directive]
		if !ok {
			return TimeFormat{}, fmt.Errorf("the layout %q has the unknown directive %q; the directives are %s, and .%%f after %%S or %%T", text, directive, strings.Join(sortedDirectives(), " "))
		}
		has = append(has, directive)
		f.parse, f.format, rest = f.parse+layout, f.format+layout, rest[len(directive):]
	}
	hasAny := func(of ...string) bool {
		return slices.ContainsFunc(has, func(d string) bool { return slices.Contains(of, d) })
	}
	switch {
	case !hasAny("%Y", "%y", "%F", "%D"):
		err = fmt.Errorf("the layout %q has no year", text)
	case !hasAny("%F", "%D", "%j") && !(hasAny("%m", "%b", "%B") && hasAny("%d", "%e")):
		err = fmt.Errorf("the layout %q has no day of the year", text)
	case hasAny("%I") != hasAny("%p"):
		err = fmt.Errorf("the layout %q needs both %%I and %%p, or %%H", text)
	}
	sample := time.Date(2024, 11, 23, 0, 0, 0, 0, time.UTC)
	if read, wrong := time.Parse(f.parse, sample.Format(f.format)); err == nil && (wrong != nil || !read.Equal(sample)) {
		err = fmt.Errorf("the layout %q cannot parse the times that it formats", text)
	}
	return f, err
}

func sortedDirectives() (all []string) {
	for d := range directives {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// ParseText parses a text with the layout into microseconds since 1970-01-01 UTC, and
// truncates finer fractions. exact reports whether AppendText would append the same text.
func (f TimeFormat) ParseText(text []byte) (micros int64, exact, ok bool) {
	t, err := time.Parse(f.parse, string(text))
	if err != nil {
		return 0, false, false
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return 0, false, false
	}
	micros = t.UnixMicro()
	return micros, bytes.Equal(f.AppendText(nil, micros), text), true
}

// AppendText appends a time in UTC, formatted with the layout.
func (f TimeFormat) AppendText(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, f.format)
}

// AppendNumber appends a time as the shortest decimal number of the unit.
func (f TimeFormat) AppendNumber(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	dst = strconv.AppendInt(dst, micros/f.Micros, 10)
	if rest := micros % f.Micros; rest != 0 {
		fraction := strconv.AppendInt(nil, f.Micros+rest, 10)
		fraction[0] = '.'
		dst = append(dst, bytes.TrimRight(fraction, "0")...)
	}
	return dst
}
