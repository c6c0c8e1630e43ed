package cli

import (
	"flag"
	"runtime"

	"prospector/jobs"
)

func versionCommand(e *env) *command {
	var asJSON bool
	return &command{
		synopsis: "Show the version",
		about:    "Shows the version of prospector and of the Go that built it.",
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print it as a JSON object.")
		},
		run: func(*command, []string) int {
			if asJSON {
				return e.printJSON(map[string]string{
					"prospector_version": jobs.Version,
					"platform":           runtime.GOOS + "_" + runtime.GOARCH,
					"go_version":         runtime.Version(),
				})
			}
			e.view.Printf("Prospector v%s\non %s_%s, built with %s\n", jobs.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return 0
		},
	}
}
