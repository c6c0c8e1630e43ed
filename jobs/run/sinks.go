package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"prospector/jobs"
	"prospector/jobs/refresh"
	"prospector/sink/store"
)

// sinks are the sinks of a configuration. Each is opened when it is first needed, and
// stays open until close.
type sinks struct {
	declared []jobs.Sink
	openSink func(context.Context, jobs.Sink) (store.Store, error)
	stores   map[string]store.Store // the open ones, by address
}

func newSinks(declared []jobs.Sink, open func(context.Context, jobs.Sink) (store.Store, error)) *sinks {
	return &sinks{declared: declared, openSink: open, stores: make(map[string]store.Store)}
}

// open returns the store of a sink.
func (s *sinks) open(ctx context.Context, sink jobs.Sink) (store.Store, error) {
	if opened, ok := s.stores[sink.Address]; ok {
		return opened, nil
	}
	opened, err := s.openSink(ctx, sink)
	if err != nil {
		return nil, refresh.Unusable(sink, "Sink cannot be opened", err)
	}
	s.stores[sink.Address] = opened
	return opened, nil
}

// openAddress returns the store of the sink with an address. It returns an error if
// the sink is neither open nor declared.
func (s *sinks) openAddress(ctx context.Context, address string) (store.Store, error) {
	if opened, ok := s.stores[address]; ok {
		return opened, nil
	}
	i := slices.IndexFunc(s.declared, func(sink jobs.Sink) bool { return sink.Address == address })
	if i < 0 {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The sink of published files is not declared", Address: address,
			Detail: fmt.Sprintf("The state has files in %s, but the configuration does not declare this sink. Declare it again, or remove its files from the state:\n\n    prospector state rm %[1]s", address)}
	}
	return s.open(ctx, s.declared[i])
}

// uri returns the URI of an object in an open sink.
func (s *sinks) uri(sink, key string) string { return s.stores[sink].URI(key) }

func (s *sinks) close() error {
	var errs []error
	for _, opened := range s.stores {
		errs = append(errs, opened.Close())
	}
	return errors.Join(errs...)
}
