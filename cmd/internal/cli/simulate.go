package cli

import (
	"errors"
	"flag"
	"os"

	"prospector/cmd/internal/view"
	"prospector/extract/knocksim"
	"prospector/jobs"
)

func simulateCommand(e *env) *command {
	o := knocksim.Options{Seed: 1, Prospects: 500, Events: 20_000} // the defaults of source "simulator"
	var addr, ids string
	return &command{
		synopsis: "Serve a simulated Knock API on this machine",
		about: `Serves the Knock Get Prospect Events API for a simulated world, on a loopback
address, until it is interrupted. The same options always give the same world.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&addr, "addr", "127.0.0.1:8080", "Listen on this loopback `address`")
			fs.StringVar(&ids, "ids", "", "Only write the IDs of the prospects to a `file`, as CSV, for a prospects block.")
			o.RegisterFlags(fs)
		},
		run: func(*command, []string) int {
			sim, err := knocksim.New(o)
			if err == nil && ids != "" {
				err = writeIDs(e.resolve(ids), sim)
			}
			if err != nil {
				return e.failed(jobs.Diagnostic{Severity: jobs.Error, Summary: "Nothing to simulate", Detail: err.Error() + "."})
			}
			if ids != "" {
				return 0
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			err = knocksim.Serve(ctx, addr, sim, func(url string) { e.view.Printf("%s", view.Program(sim.Greeting(url))) })
			if err != nil {
				return e.failed(jobs.Diagnostic{Severity: jobs.Error, Summary: "The simulator cannot start", Detail: err.Error() + "."})
			}
			e.view.Printf("%s\n", view.Program(sim.Stats().String()))
			return 0
		},
	}
}

func writeIDs(name string, sim *knocksim.Simulator) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(sim.WriteIDs(f), f.Close())
}
