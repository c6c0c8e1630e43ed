package cli

import (
	"encoding/json"
	"flag"

	"prospector/jobs"
	"prospector/jobs/config"
)

func validateCommand(e *env) *command {
	var v variables
	var asJSON bool
	return &command{
		synopsis: "Check the configuration, without asking anybody",
		about: `Checks the configuration in the directory: syntax, names, types, references and
values. It reads no prospects, asks no source and opens no sink.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print the result as one JSON object.")
			v.register(fs)
		},
		run: func([]string) int {
			c, ds := config.Load(e.dir, e.configOptions(&v))
			code := 0
			if ds.HasErrors() {
				code = 1
			}
			if asJSON {
				return max(code, e.printJSON(struct {
					FormatVersion string           `json:"format_version"`
					Valid         bool             `json:"valid"`
					Diagnostics   jobs.Diagnostics `json:"diagnostics"`
				}{"1.0", code == 0, append(jobs.Diagnostics{}, ds...)}))
			}
			e.view.Diagnostics(ds)
			if code == 0 {
				e.view.Printf("Success! The configuration is valid: %d job(s).\n", len(c.Jobs))
			}
			return code
		},
	}
}

func (e *env) printJSON(value any) int {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return e.failed(err)
	}
	e.view.Printf("%s\n", b)
	return 0
}
