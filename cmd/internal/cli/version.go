package cli

import (
	"encoding/json"
	"flag"
	"runtime"

	"prospector/jobs"
)

func versionCommand(e *env) *command {
	var asJSON bool
	return &command{
		synopsis: "Show the version",
		about:    "Shows the version of prospector and the version of Go that built it.",
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print a JSON object.")
		},
		run: func(*command, []string) int {
			if asJSON {
				err := e.document(json.MarshalIndent(map[string]string{
					"prospector_version": jobs.Version,
					"platform":           runtime.GOOS + "_" + runtime.GOARCH,
					"go_version":         runtime.Version(),
				}, "", "  "))
				if err != nil {
					return e.failed(err)
				}
				return 0
			}
			e.view.Printf("Prospector v%s\non %s_%s, built with %s\n", jobs.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return 0
		},
	}
}
