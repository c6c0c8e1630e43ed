package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"prospector/extract"
	"prospector/extract/simulator"
	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/read"
	jobrun "prospector/jobs/run"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
	"prospector/sink/store/local"
)

var speedCommand = command{
	name:     "speed",
	synopsis: "Compare the speed with that of a bare loop over the client library",
	about: `Publishes, verifies and destroys a table in an emulator whose requests take time. Then
a bare loop over Google's client library writes, reads and deletes the same files with
the same number of requests at a time. Prints the times and their ratios.

The state is in the same bucket. The times of an apply and a destroy include its writes.
`,
	flags: func(fs *flag.FlagSet) func(context.Context, io.Writer) error {
		var t speedTrial
		fs.IntVar(&t.files, "files", 1000, "Publish about this `number` of files.")
		fs.IntVar(&t.parallelism, "parallelism", 16, "Send this `number` of requests at a time.")
		fs.DurationVar(&t.latency, "latency", 50*time.Millisecond, "Delay each request by this `duration`.")
		return t.run
	},
}

// speedTrial compares prospector with a bare loop.
type speedTrial struct {
	files, parallelism int
	latency            time.Duration

	dir    string
	server *emulator
	out    io.Writer
}

func (t *speedTrial) run(ctx context.Context, out io.Writer) (err error) {
	t.out = out
	if t.dir, err = os.MkdirTemp("", "gcsfaults-"); err != nil {
		return err
	}
	defer os.RemoveAll(t.dir)
	if t.server, err = startEmulator(ctx, "127.0.0.1:0", &gcsfault.Faithful{}, gcsfault.Options{Latency: t.latency}); err != nil {
		return err
	}
	defer t.server.close()
	bare, err := newBareLoop(ctx, t.server.url, t.parallelism)
	if err != nil {
		return err
	}
	defer bare.close()
	s, err := newSpeedSession(t)
	if err != nil {
		return err
	}

	var files []staged
	publishing, err := s.apply(ctx, jobrun.PlanOptions{}, func(p *plan.Plan) (err error) {
		files, err = keepStaged(p, filepath.Join(t.dir, "kept"))
		return err
	})
	if err != nil {
		return err
	}
	writing, err := bare.write(ctx, files)
	if err != nil {
		return err
	}
	t.compare(fmt.Sprintf("publish %d files", len(files)), publishing, "write them", writing)
	verifying, err := s.verify(ctx, len(files))
	if err != nil {
		return err
	}
	reading, err := bare.read(ctx, files)
	if err != nil {
		return err
	}
	t.compare("verify", verifying, "read them", reading)
	destroying, err := s.apply(ctx, jobrun.PlanOptions{Mode: plan.Destroy}, func(*plan.Plan) error { return nil })
	if err != nil {
		return err
	}
	deleting, err := bare.remove(ctx, files)
	if err != nil {
		return err
	}
	t.compare("destroy", destroying, "delete them", deleting)
	return nil
}

// compare prints two times and their ratio.
func (t *speedTrial) compare(what string, took time.Duration, bare string, loop time.Duration) {
	fmt.Fprintf(t.out, "%-20s %6.2f s   a bare loop to %-12s %6.2f s   throughput %3.0f %%, time × %.2f\n",
		what+":", took.Seconds(), bare+":", loop.Seconds(), 100*loop.Seconds()/took.Seconds(), took.Seconds()/loop.Seconds())
}

// speedSession runs prospector on one job.
type speedSession struct {
	config *jobs.Configuration
	dir    string
	state  store.Location
}

func newSpeedSession(t *speedTrial) (*speedSession, error) {
	place := func(prefix string) store.Location {
		return store.Location{Kind: gcs.Kind, Settings: &gcs.Settings{
			Bucket: bucket, Prefix: prefix, Options: gcs.Options{Endpoint: t.server.url, Parallelism: t.parallelism},
		}}
	}
	lake := jobs.Sink{Block: jobs.Block{Address: "sink.gcs.lake"}, Location: place("lake")}
	config := &jobs.Configuration{Dir: t.dir, Sinks: []jobs.Sink{lake}, Jobs: []jobs.Job{{
		Block: jobs.Block{Address: "job.events"}, TableName: "events", Sinks: []jobs.Sink{lake},
		Schema: schemas.KnockEvents(), Compression: jobs.Snappy, TargetFileSize: 1, // a file for each row
		Source: jobs.Source{
			Block: jobs.Block{Address: "source.simulator.speed"}, Kind: "simulator",
			Settings: &simulator.Settings{Seed: 1, Prospects: 50, Events: t.files, AsOf: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC)},
			PageSize: 100, Concurrency: 8, Timeout: time.Minute, MaxAttempts: 3,
		},
	}}}
	return &speedSession{config: config, dir: t.dir, state: place("state")}, nil
}

// session calls f in a session.
func (s *speedSession) session(ctx context.Context, f func(context.Context, *jobrun.Session) error) (err error) {
	files, err := s.state.Open(ctx, store.Access{Private: true})
	if err != nil {
		return err
	}
	work, err := local.OpenPrivate(s.dir)
	if err != nil {
		return err
	}
	ctx, session, err := jobrun.Open(ctx, jobrun.Options{
		Config: s.config, DataDir: filepath.Join(s.dir, ".prospector"), WorkDir: work,
		Backend: state.NewRemote(files, "prospector.state.json", state.RemoteOptions{}), Sources: extract.Kinds{simulator.Kind},
		OpenSink: func(ctx context.Context, sink jobs.Sink) (store.Store, error) { return sink.Open(ctx, store.Access{}) },
		Observer: quiet{}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}, "speed")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	return f(ctx, session)
}

// apply plans, and returns how long the apply of the plan takes.
func (s *speedSession) apply(ctx context.Context, o jobrun.PlanOptions, prepare func(*plan.Plan) error) (took time.Duration, err error) {
	err = s.session(ctx, func(ctx context.Context, session *jobrun.Session) error {
		p, err := session.Plan(ctx, o)
		if err == nil {
			err = prepare(p)
		}
		if err != nil {
			return err
		}
		started := time.Now()
		err = session.Apply(ctx, p)
		took = time.Since(started)
		return err
	})
	return took, err
}

// verify returns how long a verification takes.
func (s *speedSession) verify(ctx context.Context, files int) (took time.Duration, err error) {
	err = s.session(ctx, func(ctx context.Context, session *jobrun.Session) error {
		started := time.Now()
		result, err := session.Verify(ctx, func(int, int) {})
		took = time.Since(started)
		if err == nil && (len(result.Findings) > 0 || result.Files < int64(files)) {
			err = fmt.Errorf("verify found %+v", result)
		}
		return err
	})
	return took, err
}

// staged is a copy of a staged file.
type staged struct{ path, name string }

// keepStaged copies the staged files of a plan to a directory.
func keepStaged(p *plan.Plan, dir string) (files []staged, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, c := range p.Jobs[0].Output.Changes {
		for _, s := range c.Staged {
			f := staged{filepath.Join(dir, fmt.Sprint(len(files))), fmt.Sprintf("bare/%05d.parquet", len(files))}
			if err := os.Link(s.Path, f.path); err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// bareLoop transfers files with nothing but Google's client library.
type bareLoop struct {
	client      *storage.Client
	parallelism int
}

func newBareLoop(ctx context.Context, endpoint string, parallelism int) (*bareLoop, error) {
	client, err := storage.NewClient(ctx, option.WithEndpoint(endpoint+"/storage/v1/"), option.WithoutAuthentication(), storage.WithJSONReads())
	return &bareLoop{client, parallelism}, err
}

func (b *bareLoop) close() { b.client.Close() }

// each returns how long f takes for all files.
func (b *bareLoop) each(ctx context.Context, files []staged, f func(context.Context, staged, *storage.ObjectHandle) error) (time.Duration, error) {
	started := time.Now()
	err := parallel.Each(ctx, b.parallelism, files, func(ctx context.Context, s staged) error {
		return f(ctx, s, b.client.Bucket(bucket).Object(s.name))
	})
	return time.Since(started), err
}

func (b *bareLoop) write(ctx context.Context, files []staged) (time.Duration, error) {
	return b.each(ctx, files, func(ctx context.Context, s staged, o *storage.ObjectHandle) error {
		f, err := os.Open(s.path)
		if err != nil {
			return err
		}
		defer f.Close()
		w := o.If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
		w.ChunkSize = 0 // one request
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		return w.Close()
	})
}

func (b *bareLoop) read(ctx context.Context, files []staged) (time.Duration, error) {
	return b.each(ctx, files, func(ctx context.Context, _ staged, o *storage.ObjectHandle) error {
		r, err := o.NewReader(ctx)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	})
}

func (b *bareLoop) remove(ctx context.Context, files []staged) (time.Duration, error) {
	return b.each(ctx, files, func(ctx context.Context, _ staged, o *storage.ObjectHandle) error { return o.Delete(ctx) })
}

// quiet ignores progress.
type quiet struct{}

func (quiet) Waiting(*state.LockedError)                   {}
func (quiet) JobStarted(string, int)                       {}
func (quiet) Resumed(string, int, int)                     {}
func (quiet) Progress(read.Progress)                       {}
func (quiet) Staged(string)                                {}
func (quiet) ApplyStarted(string, plan.Change)             {}
func (quiet) ApplyDone(string, plan.Change, time.Duration) {}
