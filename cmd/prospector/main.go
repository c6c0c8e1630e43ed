// Prospector exports the events of Knock CRM prospects into a lake of
// hive-partitioned Parquet. See README.md, or run it with -help.
package main

import (
	"os"

	"prospector/cmd/internal/cli"
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/simulator"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

// storeKinds lists the kinds of store that a configuration can name. The first one with
// a StatePath is the default backend.
var storeKinds = store.Kinds{local.Kind, gcs.Kind}

func main() {
	os.Exit(cli.Run(cli.Deps{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Sources: extract.Kinds{knock.Kind, simulator.Kind},
		Stores:  storeKinds,
	}, os.Args[1:]))
}
