package cli

import (
	"encoding/json"
	"flag"

	"prospector/cmd/internal/view"
)

func validateCommand(e *env) *command {
	var vars variables
	var asJSON bool
	return &command{
		synopsis: "Check the configuration, without asking anybody",
		about: `Checks the configuration in the directory: syntax, names, types, references and
values. It reads no prospects, asks no source and opens no sink.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print one JSON object a line. See: prospector help json")
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

func (e *env) printJSON(value any) int {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return e.failed(err)
	}
	e.view.Printf("%s\n", view.Document(b))
	return 0
}
