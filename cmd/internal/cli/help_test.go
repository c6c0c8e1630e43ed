package cli

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"prospector/cmd/internal/view"
)

// Every line of the help fits a terminal.
func TestHelpFits(t *testing.T) {
	e := &env{view: view.NewHuman(view.Streams{Out: io.Discard, Err: io.Discard})}
	texts := make(map[string]string)
	for name, factory := range e.factories() {
		c, err := factory()
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = c.Help()
	}
	for _, name := range topics() {
		text, ok := topic(name)
		if !ok || strings.Contains(text, "{{") {
			t.Errorf("help %s: %q", name, text)
		}
		texts["help "+name] = text
	}
	if len(texts) < 20 {
		t.Fatalf("there are only %d texts", len(texts))
	}
	for name, text := range texts {
		for line := range strings.SplitSeq(text, "\n") {
			if n := utf8.RuneCountInString(line); n > helpWidth {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
			if line != strings.TrimRight(line, " ") {
				t.Errorf("%s: blanks at the end of %q", name, line)
			}
		}
	}
}
