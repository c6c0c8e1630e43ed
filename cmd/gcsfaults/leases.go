package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store/gcs"
)

// leases lets some runs write their states for a while, each with a lock of its own and
// with a short lease. No run may lose its lock, and no write may get lost.
func leases(ctx context.Context, t *trial) error {
	const runs, lease, lasts = 4, 9 * time.Second, 20 * time.Second
	o := smallFiles.options(t.random.Uint64())
	t.what = fmt.Sprintf("%d runs with leases of %v, for %v", runs, lease, lasts)
	o.faults.Rate, o.faults.Seed = 0.2, t.random.Uint64()
	o.faults.Faults = selectFaults(true, false)
	l, err := t.lab(ctx, o)
	if err != nil {
		return err
	}
	results := make(chan error)
	for i := range runs {
		go func() {
			results <- l.writeStates(ctx, fmt.Sprintf("%s/%d", statePrefix, i), lease, lasts)
		}()
	}
	for range runs {
		err = errors.Join(err, <-results)
	}
	return err
}

// writeStates holds a lock and writes the state again and again.
func (l *lab) writeStates(ctx context.Context, prefix string, lease, lasts time.Duration) (err error) {
	files, err := gcs.Open(ctx, bucket, prefix, gcs.Options{Timeout: timeout, Endpoint: l.url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	backend := state.NewRemote(files, "state.json", state.RemoteOptions{Lease: lease})
	held, err := backend.Lock(ctx, state.NewLockInfo("apply", time.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Unlock()) }()
	s, err := backend.Read(held)
	if err != nil {
		return err
	}
	writes := int64(0)
	for end := time.Now().Add(lasts); time.Now().Before(end); writes++ {
		if err := backend.Write(held, s); err != nil {
			return fmt.Errorf("write %d: %w", writes+1, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if err := context.Cause(held); err != nil {
		return err
	}
	last, err := backend.Read(held)
	if err == nil && int64(last.Serial) != writes {
		err = fmt.Errorf("the state has the serial %d after %d writes", last.Serial, writes)
	}
	return err
}
