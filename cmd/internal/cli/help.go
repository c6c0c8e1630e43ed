package cli

import (
	"embed"
	"path"
	"strings"

	"prospector/cmd/internal/view"
)

// The help pages are files: help/TOPIC.txt.
//
//go:embed help/*.txt
var pages embed.FS

// topics returns the names of the help pages in ascending order.
func topics() (names []string) {
	entries, _ := pages.ReadDir("help") // embedded, so it cannot fail
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	return names
}

// topic returns a help page. The versions in it are those of the program.
func topic(name string) (text string, ok bool) {
	page, err := pages.ReadFile("help/" + name + ".txt")
	if err != nil {
		return "", false
	}
	versions := strings.NewReplacer("{{stream}}", view.StreamVersion, "{{document}}", view.DocumentVersion)
	return versions.Replace(string(page)), true
}

func helpCommand(e *env) *command {
	return &command{
		synopsis: "Explain addresses, exit codes and other topics",
		args:     "[TOPIC]",
		about: `Explains topics that concern more than one command:

  ` + strings.Join(topics(), ", ") + `

For the help of a command: prospector help COMMAND`,
		run: func(c *command, args []string) int {
			switch {
			case len(args) == 0:
				e.write(c.Help() + "\n")
				return 0
			case len(args) == 1:
				if text, ok := topic(args[0]); ok {
					e.write(text)
					return 0
				}
			}
			name := strings.Join(args, " ")
			if c, ok := e.instance(name); ok {
				e.write(c.Help() + "\n")
				return 0
			}
			if _, ok := groups[name]; ok { // package cli of hashicorp lists the subcommands
				return e.run([]string{name, "-help"})
			}
			return c.usage("there is no command or topic %q; the topics are %s", name, strings.Join(topics(), ", "))
		},
	}
}
