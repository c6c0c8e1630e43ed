// Package simulator describes the kind of source "simulator". It serves package knocksim
// on a loopback port while the source is open.
package simulator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/knocksim"
	"prospector/internal/attribute"
)

// Kind is the kind of source "simulator".
var Kind = &extract.Kind{
	Name: "simulator",
	New: func() attribute.Settings {
		return &Settings{Seed: 1, Prospects: 500, Events: 20_000, AsOf: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC)}
	},
	ListsProspects: true,
	Open: func(ctx context.Context, s attribute.Settings, r extract.Requests) (extract.Source, error) {
		return Open(ctx, s.(*Settings), r)
	},
}

// Settings describe the simulated world.
type Settings struct {
	Seed      uint64
	Prospects int
	Events    int       // in the simulated January of 2022
	AsOf      time.Time // the simulator serves what happened before this time
	FaultRate float64   // share of requests that fail, in [0, 1)
	// VendorChanges changes the shape of events in the course of the month.
	VendorChanges bool
}

// Attributes implements attribute.Settings.
func (s *Settings) Attributes() []attribute.Attribute {
	return []attribute.Attribute{
		{Name: "seed", Value: &s.Seed},
		{Name: "prospects", Value: &s.Prospects, Min: 1, Max: 1_000_000_000},
		{Name: "events", Value: &s.Events, Max: 2_000_000_000},
		{Name: "as_of", Value: &s.AsOf},
		{Name: "fault_rate", Value: &s.FaultRate,
			Expected: "a share of requests, from 0 to less than 1", Valid: func(n float64) bool { return n >= 0 && n < 1 }},
		{Name: "vendor_changes", Value: &s.VendorChanges},
	}
}

// Source is a running simulator.
type Source struct {
	*knock.Source
	simulator *knocksim.Simulator
	binding   string
	stop      func()
}

// Open starts the simulator.
func Open(ctx context.Context, s *Settings, r extract.Requests) (*Source, error) {
	sim, err := knocksim.New(knocksim.Options{
		Seed: s.Seed, Prospects: s.Prospects, Events: s.Events, AsOf: s.AsOf,
		Faults: knocksim.Faults{Rate: s.FaultRate}, VendorChanges: s.VendorChanges,
	})
	if err != nil {
		return nil, attribute.NewProblem("", "Invalid simulation", "%s.", err)
	}
	url, stop, err := serve(ctx, sim)
	if err != nil {
		return nil, err
	}
	client, err := knock.Open(&knock.Settings{Endpoint: url, APIKey: knocksim.DefaultAPIKey}, r)
	if err != nil {
		stop()
		return nil, err
	}
	return &Source{
		Source: client, simulator: sim, stop: stop,
		// The URL changes with every run. The faults do not change any page.
		binding: fmt.Sprintf("%q %d %q\n%d %d %d %s %t\n", "", r.PageSize, "", s.Seed, s.Prospects, s.Events, s.AsOf.UTC(), s.VendorChanges),
	}, nil
}

// serve serves the simulator on a loopback port until stop is called.
func serve(ctx context.Context, sim *knocksim.Simulator) (url string, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- knocksim.Serve(ctx, "127.0.0.1:0", sim, func(url string) { started <- url }) }()
	select {
	case url = <-started:
		return url, func() { cancel(); <-ended }, nil //nolint:errcheck // it was stopped on purpose
	case err = <-ended:
		cancel()
		return "", nil, fmt.Errorf("starting the simulator: %w", err)
	}
}

// Prospects implements extract.Lister.
func (s *Source) Prospects() []string { return slices.Collect(s.simulator.ProspectIDs()) }

// Binding implements extract.Source.
func (s *Source) Binding() string { return s.binding }

// Close stops the simulator.
func (s *Source) Close() error {
	err := s.Source.Close()
	s.stop()
	return err
}
