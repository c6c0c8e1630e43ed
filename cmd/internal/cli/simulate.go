package cli

import (
	"flag"

	"prospector/extract/knocksim"
)

func simulateCommand(e *env) *command {
	var o knocksim.Options
	var addr string
	return &command{
		synopsis: "Serve a simulated Knock API on this machine",
		about: `Serves the Knock Get Prospect Events API for a made-up world, on a loopback
address, until it is interrupted. The same options always give the same world.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&addr, "addr", "127.0.0.1:8080", "Listen on this loopback `address`.")
			o.RegisterFlags(fs)
		},
		run: func(*command, []string) int {
			sim, err := knocksim.New(o)
			if err != nil {
				return e.failed(err)
			}
			ctx, cancel := e.interruptible()
			defer cancel()
			err = knocksim.Serve(ctx, addr, sim, func(url string) { e.view.Printf("%s", sim.Greeting(url)) })
			if err != nil {
				return e.failed(err)
			}
			e.view.Printf("%s\n", sim.Stats())
			return 0
		},
	}
}
