package cli

import (
	"context"
	"flag"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/run"
)

func verifyCommand(e *env) *command {
	o := sessionOptions{operation: "verify"}
	var asJSON bool
	return &command{
		synopsis: "Re-read every published file and compare it with the state",
		about: `Reads every file in the state with a Parquet reader that shares no code with the
writer. It compares the file's checksum, rows and content with the state, and
checks that each row is in its partition. It changes nothing, and exits with 1 if
there is a finding.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print one JSON object on each line. See: prospector help json")
			o.locking.register(fs)
			o.variables.register(fs)
		},
		run: func(*command, []string) int {
			var v view.Verify = e.view
			if asJSON {
				v = e.json()
			}
			return e.session(o, v, func(ctx context.Context, _ *jobs.Configuration, s *run.Session) (int, error) {
				found, err := s.Verify(ctx, v.Verifying)
				if err != nil {
					return 1, err
				}
				v.Verified(found)
				if len(found.Findings) > 0 {
					return 1, nil
				}
				return 0, nil
			})
		},
	}
}
