package view

import (
	"fmt"
	"io"
	"strings"

	"prospector/internal/terminal"
)

// Text is safe to print: whatever in it came from outside is escaped. Only the
// functions of this file make one of a string that is not constant, and a Human
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
		case int, int64, uint32, float64, bool: // no words, and a width may be one
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
	case 's', 'v': // which may be padded
		fmt.Fprintf(f, fmt.FormatString(f, 's'), terminal.Line(fmt.Sprint(e.value)))
	default:
		_, _ = io.WriteString(f, terminal.Line(fmt.Sprintf(fmt.FormatString(f, verb), e.value)))
	}
}

// Lines is a text from outside that may have several lines, such as a program.
func Lines(text string) Text { return Text(terminal.Lines(text)) }

// Program is a text for programs, of any length, such as SQL. What writes it has
// escaped values as its language does; this only makes sure of that.
func Program[T string | []byte](text T) Text { return Text(terminal.Program(string(text))) }

// Document is a JSON document, with the same values in printable characters.
func Document(json []byte) Text { return Text(terminal.JSON(json)) }

// code is a line of a file, with its tabs.
func code(line string) Text { return Lines(strings.ReplaceAll(line, "\n", `\n`)) }

// paragraphs are a text whose lines are at most so wide.
func paragraphs(text string, width int) Text { return Text(wrap(terminal.Lines(text), width)) }

// prefixed puts a prefix before every line and ends the last one. An empty line
// gets no blanks.
func prefixed(text, prefix Text) Text {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(string(prefix)+line, " ")
	}
	return Text(strings.Join(lines, "\n")) + "\n"
}

// painted is a text in the colors and weights of these codes (ECMA-48, SGR).
func painted(text Text, codes []string) Text {
	return Text("\033[" + strings.Join(codes, ";") + "m" + string(text) + "\033[0m")
}

// cut is the beginning of a line without colors, that many characters long.
func cut(line Text, characters int) Text {
	if runes := []rune(string(line)); len(runes) > characters {
		return Text(runes[:characters])
	}
	return line
}
