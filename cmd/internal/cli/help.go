package cli

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/hashicorp/cli"

	"prospector/cmd/internal/view"
)

// The pages of help are files: help/TOPIC.txt.
//
//go:embed help/*.txt
var pages embed.FS

// topics are the pages' names, ascending.
func topics() (names []string) {
	entries, _ := pages.ReadDir("help") // it is part of the program
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
		synopsis: "Explain addresses, exit codes and the rest",
		args:     "[TOPIC]",
		about: `Explains what concerns more than one command. The topics are:

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
			if make, ok := commands()[name]; ok {
				of := make(e)
				of.name, of.env = name, e
				e.write(of.Help() + "\n")
				return 0
			}
			if name == "schema" || name == "state" { // its subcommands are listed by who knows them
				return e.run([]string{name, "-help"})
			}
			return c.usage("there is no command and no topic %q; the topics are %s", name, strings.Join(topics(), ", "))
		},
	}
}

func help(commands map[string]cli.CommandFactory) string {
	var b strings.Builder
	b.WriteString(`Usage: prospector [global options] <command> [args]

  Prospector exports the events of Knock CRM prospects into a lake of
  hive-partitioned Parquet, the way Terraform changes infrastructure.

Main commands:
`)
	list := func(names ...string) {
		for _, name := range names {
			c, err := commands[name]()
			if err == nil {
				fmt.Fprintf(&b, "  %-12s  %s\n", name, c.Synopsis())
			}
		}
	}
	list("init", "validate", "plan", "apply", "destroy")
	b.WriteString("\nOther commands:\n")
	list("erase", "fmt", "force-unlock", "help", "output", "schema", "show", "simulate", "sql", "state", "verify", "version")
	fmt.Fprintf(&b, `
Global options (before the command):
  -chdir=DIR    Use the configuration in another directory
  -help         Show this, or with a command, the help of that
  -version      Like the version command

Help on %s:
  prospector help TOPIC

Completion in the shell: prospector -install-autocomplete`, strings.Join(topics(), ", "))
	return b.String()
}
