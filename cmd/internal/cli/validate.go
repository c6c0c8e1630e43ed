package cli

import (
	"flag"

	"prospector/cmd/internal/view"
)

func validateCommand(e *env) *command {
	var vars variables
	var asJSON bool
	return &command{
		synopsis: "Check the configuration",
		about: `Checks the configuration in the directory: syntax, names, types, references and
values. It does so without contacting the API or any sink, and reads no prospects.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print one JSON object on each line. See: prospector help json")
			vars.register(fs)
		},
		run: func(*command, []string) int {
			var v view.Validate = e.view
			if asJSON {
				v = e.json()
			}
			c, ok := e.load(&vars)
			v.Validated(c, ok)
			if !ok {
				return 1
			}
			return 0
		},
	}
}
