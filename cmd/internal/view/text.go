package view

import (
	"fmt"
	"io"
	"strings"

	"prospector/internal/terminal"
)

// Text is safe to print: everything in it that came from outside is escaped. Only the
// functions of this file make a Text from a string that is not constant, and a Human
// prints nothing else, so that no view can forget to escape.
type Text string

// Format is fmt.Sprintf with safe arguments: a Text stays unchanged, and every
// other argument is escaped as a part of a line.
func Format(format string, args ...any) Text {
	safe := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case Text:
			safe[i] = string(arg)
		case int, int64, uint32, float64, bool: // numbers need no escaping, and a width must stay a number
			safe[i] = arg
		default:
			safe[i] = escaped{arg}
		}
	}
	return Text(fmt.Sprintf(format, safe...))
}

// escaped formats a value and escapes the result.
type escaped struct{ value any }

func (e escaped) Format(f fmt.State, verb rune) {
	switch verb {
	case 's', 'v': // may be padded
		fmt.Fprintf(f, fmt.FormatString(f, 's'), terminal.Line(fmt.Sprint(e.value)))
	default:
		_, _ = io.WriteString(f, terminal.Line(fmt.Sprintf(fmt.FormatString(f, verb), e.value)))
	}
}

// Lines is a text from outside that may have several lines, such as a program.
func Lines(text string) Text { return Text(terminal.Lines(text)) }

// Program is a text for programs, of any length, such as SQL. The code that writes it
// escapes values as the language requires. Program escapes what is still unsafe.
func Program[T string | []byte](text T) Text { return Text(terminal.Program(string(text))) }

// Document is a JSON document in printable characters. Its values do not change.
func Document(json []byte) Text { return Text(terminal.JSON(json)) }

// code is a line of a file, with its tabs.
func code(line string) Text { return Lines(strings.ReplaceAll(line, "\n", `\n`)) }

// paragraphs breaks the lines of a text at a width.
func paragraphs(text string, width int) Text { return Text(wrap(terminal.Lines(text), width)) }

// wrap breaks long lines at blanks. It does not change lines that are indented.
func wrap(text string, width int) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, " ") {
			out = append(out, line)
			continue
		}
		current, length := "", 0
		for word := range strings.SplitSeq(line, " ") {
			n := len([]rune(word))
			if length > 0 && length+1+n > width {
				out = append(out, current)
				current, length = "", 0
			}
			if length > 0 {
				current, length = current+" ", length+1
			}
			current, length = current+word, length+n
		}
		out = append(out, current)
	}
	return strings.Join(out, "\n")
}

// prefixed puts a prefix before every line and ends the last line. It adds no blanks
// to empty lines.
func prefixed(text, prefix Text) Text {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(string(prefix)+line, " ")
	}
	return Text(strings.Join(lines, "\n")) + "\n"
}

// painted returns a text with the colors and weights of these codes (ECMA-48, SGR).
func painted(text Text, codes []string) Text {
	return Text("\033[" + strings.Join(codes, ";") + "m" + string(text) + "\033[0m")
}

// cut returns the first characters of a line without colors.
func cut(line Text, characters int) Text {
	if runes := []rune(string(line)); len(runes) > characters {
		return Text(runes[:characters])
	}
	return line
}

// count writes a number with thousands separators.
func count[N int | int64](n N) string {
	digits := fmt.Sprint(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plural returns a number and a noun, such as "1 row" or "2 rows".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// size writes a number of bytes with a decimal unit.
func size(bytes int64) string {
	switch b := float64(bytes); {
	case bytes < 1e3:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1e6:
		return fmt.Sprintf("%.1f kB", b/1e3)
	case bytes < 1e9:
		return fmt.Sprintf("%.1f MB", b/1e6)
	default:
		return fmt.Sprintf("%.1f GB", b/1e9)
	}
}
