package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/cli"
	"github.com/posener/complete"
)

// commands returns all commands by name. A command with two words in its name belongs
// to a group. Help, completion and docs/cli.md follow from this list.
func commands() map[string]func(*env) *command {
	return map[string]func(*env) *command{
		"apply":        applyCommand,
		"destroy":      destroyCommand,
		"erase":        eraseCommand,
		"fmt":          fmtCommand,
		"force-unlock": forceUnlockCommand,
		"help":         helpCommand,
		"init":         initCommand,
		"output":       outputCommand,
		"plan":         planCommand,
		"schema diff":  schemaDiffCommand,
		"schema infer": schemaInferCommand,
		"schema show":  schemaShowCommand,
		"show":         showCommand,
		"simulate":     simulateCommand,
		"sql":          sqlCommand,
		"state list":   stateListCommand,
		"state pull":   statePullCommand,
		"state push":   statePushCommand,
		"state rm":     stateRmCommand,
		"state show":   stateShowCommand,
		"validate":     validateCommand,
		"verify":       verifyCommand,
		"version":      versionCommand,
	}
}

// mainCommands are the commands that the help lists first.
var mainCommands = []string{"init", "validate", "plan", "apply", "destroy"}

// groups are the first words of commands with two words.
var groups = map[string]group{
	"schema": {
		synopsis: "Show what tables are and what they could be",
		about:    "Shows the declared tables, how they differ from the accepted ones, and which columns they could have.",
	},
	"state": {
		synopsis: "Inspect and repair the state",
		about:    "Inspects and repairs the state. Commands that change the state keep the previous one as a backup next to it.",
	},
}

// group is a command that only has subcommands.
type group struct {
	*env
	name, synopsis, about string
}

func (g group) Synopsis() string { return g.synopsis }

func (g group) Run(args []string) int {
	if len(args) == 0 {
		return cli.RunResultHelp
	}
	g.view.Errorf("Error: %[1]s: there is no subcommand %[2]q\n\nFor a list of subcommands: prospector %[1]s\n", g.name, args[0])
	return 1
}

func (g group) Help() string {
	return fmt.Sprintf("Usage: prospector [global options] %s <subcommand> [options] [args]\n\n%s", g.name, indent(fill(g.about, helpWidth-2), 2))
}

// instance returns the command with that name.
func (e *env) instance(name string) (c *command, ok bool) {
	create, ok := commands()[name]
	if !ok {
		return nil, false
	}
	c = create(e)
	c.name, c.env = name, e
	return c, true
}

// factories returns commands and groups in the form that hashicorp's package cli
// accepts.
func (e *env) factories() map[string]cli.CommandFactory {
	all := make(map[string]cli.CommandFactory)
	for name := range commands() {
		all[name] = func() (cli.Command, error) {
			c, _ := e.instance(name)
			return c, nil
		}
	}
	for name, g := range groups {
		g.env, g.name = e, name
		all[name] = func() (cli.Command, error) { return g, nil }
	}
	return all
}

// run runs the command that the arguments name and returns the exit code.
func (e *env) run(args []string) int {
	program := &cli.CLI{
		Name: "prospector", Args: args, Commands: e.factories(),
		HelpFunc: help, HelpWriter: e.Stdout, ErrorWriter: e.Stderr,
		Autocomplete: true, AutocompleteInstall: "install-autocomplete", AutocompleteUninstall: "uninstall-autocomplete",
		AutocompleteGlobalFlags: complete.Flags{"-chdir": complete.PredictDirs("*")},
	}
	if len(args) == 1 && (args[0] == "-version" || args[0] == "--version" || args[0] == "-v") {
		program.Args = []string{"version"}
	}
	if len(args) > 0 && e.getenv("COMP_LINE") == "" {
		if name := args[0]; !known(name, program.Commands) {
			e.view.Errorf("Error: there is no command or global option %q\n\nFor a list of commands: prospector -help\n", name)
			return 1
		}
	}
	code, err := program.Run()
	if err != nil {
		e.view.Errorf("Error: %s\n", err)
		return 1
	}
	if code == 127 { // no command; the help was printed
		return 1
	}
	return code
}

// known reports whether the first word after the global options is valid.
func known(word string, commands map[string]cli.CommandFactory) bool {
	switch strings.TrimLeft(word, "-") {
	case "h", "help", "v", "version", "install-autocomplete", "uninstall-autocomplete":
		return true
	}
	return commands[word] != nil
}

// help returns the help of the program.
func help(commands map[string]cli.CommandFactory) string {
	var b strings.Builder
	b.WriteString(`Usage: prospector [global options] <command> [args]

  Prospector exports the events of Knock CRM prospects into a lake of
  hive-partitioned Parquet, the way Terraform changes infrastructure.

Main commands:
`)
	list := func(names []string) {
		for _, name := range names {
			if c, err := commands[name](); err == nil {
				fmt.Fprintf(&b, "  %-12s  %s\n", name, c.Synopsis())
			}
		}
	}
	list(mainCommands)
	b.WriteString("\nOther commands:\n")
	list(slices.DeleteFunc(slices.Sorted(maps.Keys(commands)), func(name string) bool {
		return strings.Contains(name, " ") || slices.Contains(mainCommands, name)
	}))
	fmt.Fprintf(&b, `
Global options (before the command):
  -chdir=DIR    Use the configuration in another directory
  -help         Show this help, or the help of a command
  -version      The same as the version command

Help on %s:
  prospector help TOPIC

Completion in the shell: prospector -install-autocomplete`, strings.Join(topics(), ", "))
	return b.String()
}
