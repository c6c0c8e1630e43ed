package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"prospector/extract"
	"prospector/extract/knocksim"
	"prospector/jobs"
)

// source is a job's source, ready to be asked.
type source struct {
	client    *extract.Client
	prospects []string
	erased    []string // those of the list that were erased; prospects has them only if the job exports them
	twice     int      // prospects that the list holds again
	binding   string   // what pages depend on: those of another binding are not mixed in
	close     func()
}

// openSource reads the list of prospects and makes the client, starting the
// simulator if the source is one. It requests nothing.
func (s *Session) openSource(ctx context.Context, job jobs.Job) (_ *source, err error) {
	from := job.Source
	out := &source{close: func() {}, binding: binding(job)}
	defer func() {
		if err != nil {
			out.close()
		}
	}()

	if job.Prospects != nil {
		if out.prospects, out.twice, err = s.loadProspects(*job.Prospects); err != nil {
			return nil, err
		}
	}

	endpoint, key := from.Endpoint, from.APIKey.Reveal()
	if from.Simulator != nil {
		sim, err := knocksim.New(knocksim.Options{
			Seed: from.Simulator.Seed, Prospects: from.Simulator.Prospects, Events: from.Simulator.Events,
			AsOf: from.Simulator.AsOf, Faults: knocksim.Faults{Rate: from.Simulator.FaultRate},
			VendorChanges: from.Simulator.VendorChanges,
		})
		if err != nil {
			return nil, from.Diagnose("", "Impossible simulation", err.Error()+".")
		}
		if job.Prospects == nil {
			out.prospects = slices.Collect(sim.ProspectIDs())
		}
		if endpoint, out.close, err = serve(ctx, sim); err != nil {
			return nil, err
		}
		key = knocksim.DefaultAPIKey
	}
	out.prospects, out.erased = s.withoutErased(job, out.prospects)
	out.client, err = extract.New(extract.Options{
		Endpoint: endpoint, APIKey: key,
		PageSize: from.PageSize, Timeout: from.Timeout, MaxAttempts: from.MaxAttempts,
		Limiter:   extract.NewLimiter(from.RequestsPerSecond),
		UserAgent: s.UserAgent, Logger: s.Logger,
	})
	if err != nil {
		return nil, from.Diagnose("endpoint", "Source cannot be used", err.Error()+".")
	}
	stop := out.close
	out.close = func() { out.client.Close(); stop() }
	return out, nil
}

// serve runs the simulator on a loopback port until close is called.
func serve(ctx context.Context, sim *knocksim.Simulator) (url string, close func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- knocksim.Serve(ctx, "127.0.0.1:0", sim, func(url string) { started <- url }) }()
	select {
	case url = <-started:
		return url, func() { cancel(); <-ended }, nil
	case err = <-ended:
		cancel()
		return "", nil, fmt.Errorf("starting the simulator: %w", err)
	}
}

// binding identifies what a page depends on, the prospect and the cursor aside. It
// is on disk, so it is a digest: it changes with the API key, which decides what
// the API returns, and does not reveal it.
func binding(job jobs.Job) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d %q\n", job.Address, job.Source.Endpoint, job.Source.PageSize, job.Source.APIKey.Reveal())
	if sim := job.Source.Simulator; sim != nil {
		fmt.Fprintf(h, "%d %d %d %s %t\n", sim.Seed, sim.Prospects, sim.Events, sim.AsOf.UTC(), sim.VendorChanges)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
