package cli

import (
	"flag"

	"prospector/jobs/state"
)

func showCommand(e *env) *command {
	var v variables
	var asJSON bool
	return &command{
		synopsis: "Show what prospector has published",
		about:    `Shows the state: every table that prospector owns, where it is, and its partitions.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print the state as JSON, in the format of the state file.")
			v.register(fs)
		},
		run: func([]string) int {
			c, ok := e.load(&v)
			if !ok {
				return 1
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			backend, err := e.OpenBackend(ctx, c.Backend)
			if err != nil {
				return e.failed(c.Backend.Diagnose("path", "State cannot be read", err.Error()+"."))
			}
			s, err := backend.Read(ctx)
			if err != nil {
				return e.failed(err)
			}
			if asJSON {
				b, err := state.Encode(s)
				if err != nil {
					return e.failed(err)
				}
				e.view.Printf("%s", b)
				return 0
			}
			e.view.State(s)
			return 0
		},
	}
}
