package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"

	"prospector/sink/store/gcs/gcsfault"
)

var serveCommand = command{
	name:     "serve",
	synopsis: "Serve an emulator with faults until it is interrupted",
	about: `Serves an emulator of Cloud Storage with the bucket "` + bucket + `" on this machine until it is
interrupted, and then prints the requests and faults. Programs that use Google's
client libraries find it in the environment variable STORAGE_EMULATOR_HOST.

  gcsfaults serve -addr 127.0.0.1:4443 -rate 0.2 -stalls
`,
	flags: func(fs *flag.FlagSet) func(context.Context, io.Writer) error {
		var o gcsfault.Options
		var faithful gcsfault.Faithful
		addr := fs.String("addr", "127.0.0.1:0", "Listen on this loopback `address`; port 0 selects a free port")
		stalls := fs.Bool("stalls", false, "Let requests also stall.")
		damage := fs.Bool("damage", false, "Also damage content and checksums.")
		registerFaults(fs, &o)
		fs.DurationVar(&faithful.WriteInterval, "write-interval", 0, "Answer 429 to a write of an object that follows sooner after the last one than this `duration`")
		fs.BoolVar(&faithful.CheckStart, "check-start", false, "Check the precondition of a resumable session at its start, too.")
		return func(ctx context.Context, out io.Writer) error {
			o.Faults = selectFaults(*stalls, *damage)
			e, err := startEmulator(ctx, *addr, &faithful, o)
			if err != nil {
				return err
			}
			defer e.close()
			fmt.Fprintf(out, "Serving the bucket %s at\n  %s\nUse it with\n  export STORAGE_EMULATOR_HOST=%[2]s\n", bucket, e.url)
			<-ctx.Done()
			printCounts(out, e.proxy.Counts())
			return nil
		}
	},
}

// registerFaults adds the flags of a proxy's options.
func registerFaults(fs *flag.FlagSet, o *gcsfault.Options) {
	fs.Uint64Var(&o.Seed, "seed", 1, "Derive the faults from this `number`")
	fs.Float64Var(&o.Rate, "rate", 0, "Let the first attempt of this `share` of requests fail, 0 to 1.")
	fs.IntVar(&o.InARow, "in-a-row", 3, "Let at most this `number` of attempts of one request fail in a row")
	fs.IntVar(&o.PageSize, "page-size", 0, "List at most this `number` of objects on a page; 0 means no limit")
	fs.DurationVar(&o.Latency, "latency", 0, "Delay each request by this `duration`")
	fs.DurationVar(&o.Stall, "stall", 0, "End a stall after this `duration` at the latest; 0 means a minute")
	fs.IntVar(&o.Uplink, "uplink", 0, "Accept this `number` of bytes per second from all connections together; 0 means no limit")
}

// selectFaults returns the faults that a proxy selects from.
func selectFaults(stalls, damage bool) []gcsfault.Fault {
	faults := slices.Clone(gcsfault.Transient)
	if stalls {
		faults = append(faults, gcsfault.Stalls...)
	}
	if damage {
		faults = append(faults, gcsfault.Damages...)
	}
	return faults
}
