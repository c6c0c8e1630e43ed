package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address identifies a job, or one partition of its table, in the state and on
// the command line:
//
//	job.prospect_events
//	job.events["north"]
//	job.prospect_events.partition["event_type=SMS_MESSAGE/event_date=2022-01-13"]
type Address struct {
	Name string // the job block's label
	// Key is the key of an instance of a job with for_each, or "".
	Key string
	// Partition is the path of a partition, or "" for the job itself.
	Partition string
}

// IsPartition reports whether the address identifies a partition.
func (a Address) IsPartition() bool { return a.Partition != "" }

// Job returns the address of the job, without a partition.
func (a Address) Job() Address { return Address{Name: a.Name, Key: a.Key} }

// WithPartition returns the address of a partition of the job.
func (a Address) WithPartition(path string) Address {
	a.Partition = path
	return a
}

// Contains reports whether b is a or part of it. A job contains its partitions, and a
// job without a key contains its instances.
func (a Address) Contains(b Address) bool {
	switch {
	case a.Partition != "":
		return a == b
	case a.Key != "":
		return a == b.Job()
	}
	return a.Name == b.Name
}

// Compare orders addresses. A job comes before its partitions and instances.
func (a Address) Compare(b Address) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Partition, b.Partition))
}

// String returns the address in the form that ParseAddress parses.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString("job." + a.Name)
	if a.Key != "" {
		quote(&b, a.Key)
	}
	if a.Partition != "" {
		b.WriteString(".partition")
		quote(&b, a.Partition)
	}
	return b.String()
}

// quote writes an index in HCL syntax, so that the address is valid in a
// configuration. ${ and %{ are escaped, because they begin a template there.
func quote(b *strings.Builder, s string) {
	b.WriteString(`["`)
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteString(`"]`)
}

const addressExamples = `job.prospect_events, job.events["north"] or job.prospect_events.partition["event_type=SMS_MESSAGE/event_date=2022-01-13"]`

var addressName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*`)

// ParseAddress parses an address. On a command line, single quotes around an address
// keep the shell from removing its double quotes.
func ParseAddress(text string) (Address, error) {
	a, err := parseAddress(text)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address: %w; addresses look like %s", text, err, addressExamples)
	}
	return a, nil
}

func parseAddress(text string) (a Address, err error) {
	if !utf8.ValidString(text) {
		return a, errors.New("it is not UTF-8")
	}
	rest, ok := strings.CutPrefix(text, "job.")
	if !ok {
		return a, errors.New(`it does not begin with "job."`)
	}
	if a.Name = addressName.FindString(rest); a.Name == "" {
		return a, errors.New(`no name follows "job."`)
	}
	rest = rest[len(a.Name):]
	if strings.HasPrefix(rest, "[") {
		if a.Key, rest, err = index(rest); err != nil {
			return a, fmt.Errorf("the key of the job: %w", err)
		}
	}
	if after, ok := strings.CutPrefix(rest, ".partition"); ok {
		if a.Partition, rest, err = index(after); err != nil {
			return a, fmt.Errorf("the partition: %w", err)
		}
	}
	if rest != "" {
		return a, fmt.Errorf("unexpected %q at its end", rest)
	}
	return a, nil
}

// index parses an index such as ["north"] at the beginning of text.
func index(text string) (value, rest string, err error) {
	rest, ok := strings.CutPrefix(text, `["`)
	if !ok {
		return "", "", errors.New(`["…"] is missing; a shell removes double quotes unless single quotes are around the address`)
	}
	var b strings.Builder
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, `"]`); ok {
			if b.Len() == 0 {
				return "", "", errors.New(`[""] is empty`)
			}
			return b.String(), after, nil
		}
		switch {
		case rest[0] == '"':
			return "", "", errors.New(`no ] follows the closing quote; write \" for a quote in the text`)
		case rest[0] == '\\':
			r, length, err := escape(rest)
			if err != nil {
				return "", "", err
			}
			b.WriteRune(r)
			rest = rest[length:]
		default:
			if strings.HasPrefix(rest, "$${") || strings.HasPrefix(rest, "%%{") {
				rest = rest[1:]
			}
			_, length := utf8.DecodeRuneInString(rest)
			b.WriteString(rest[:length])
			rest = rest[length:]
		}
	}
	return "", "", errors.New(`the closing "] is missing`)
}

// escape parses the escape sequence at the beginning of text, and returns its length.
func escape(text string) (r rune, length int, err error) {
	digits := 0
	if len(text) > 1 {
		switch text[1] {
		case '"', '\\':
			return rune(text[1]), 2, nil
		case 'n':
			return '\n', 2, nil
		case 'r':
			return '\r', 2, nil
		case 't':
			return '\t', 2, nil
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		}
	}
	if digits > 0 && len(text) >= 2+digits {
		n, err := strconv.ParseUint(text[2:2+digits], 16, 32)
		if err == nil && n <= unicode.MaxRune && utf8.ValidRune(rune(n)) {
			return rune(n), 2 + digits, nil
		}
	}
	return 0, 0, errors.New(`a backslash must be followed by one of " \ n r t uXXXX UXXXXXXXX`)
}
