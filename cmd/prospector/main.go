// Prospector exports the events of Knock CRM prospects into a lake of
// hive-partitioned Parquet. See README.md, or run it with -help.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"prospector/cmd/internal/cli"
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

func main() {
	os.Exit(cli.Run(cli.Deps{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Sources:  extract.Kinds{knock.Kind, simulator.Kind},
		OpenSink: openSink, OpenBackend: openBackend,
		OpenDir: openDir,
	}, os.Args[1:]))
}

func openDir(path string, private bool) (store.Store, error) {
	if private {
		return local.OpenPrivate(path)
	}
	return local.Open(path)
}

func openSink(ctx context.Context, s jobs.Sink) (store.Store, error) {
	switch s.Kind {
	case "local":
		return local.Open(s.Path)
	case "gcs":
		return gcs.Open(ctx, s.Bucket, s.Prefix, gcs.Options{})
	}
	return nil, fmt.Errorf("there is no kind of sink %q", s.Kind)
}

// stateKey is the state's object below the prefix of a bucket.
const stateKey = "prospector.state.json"

func openBackend(ctx context.Context, b jobs.Backend) (run.Backend, error) {
	switch b.Kind {
	case "local":
		files, err := local.OpenPrivate(filepath.Dir(b.Path))
		if err != nil {
			return nil, err
		}
		return state.NewLocal(files, b.Path), nil
	case "gcs":
		files, err := gcs.Open(ctx, b.Bucket, b.Prefix, gcs.Options{})
		if err != nil {
			return nil, err
		}
		return state.NewRemote(files, stateKey, state.RemoteOptions{}), nil
	}
	return nil, fmt.Errorf("there is no kind of backend %q", b.Kind)
}
