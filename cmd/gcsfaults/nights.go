package main

import (
	"context"
	"fmt"
)

// nights plays some nights: an apply, a verify and a plan in each of them, and sometimes
// a destroy at the end. Every request can succeed within four attempts, so every command
// must succeed, and the lake in the bucket must equal the local one after each.
func nights(ctx context.Context, t *trial) error {
	o := t.draw()
	o.faults.Rate = 0.1 + 0.2*t.random.Float64()
	l, err := t.lab(ctx, o)
	if err != nil {
		return err
	}
	if err := l.run(l.cloud, "init"); err != nil {
		return err
	}
	for night := range 1 + t.random.IntN(3) {
		l.world.night.Store(int64(night))
		if err := l.night(); err != nil {
			return fmt.Errorf("night %d: %w", night, err)
		}
	}
	if t.random.IntN(2) == 0 {
		return nil
	}
	for _, h := range []*house{l.local, l.cloud} {
		if err := l.run(h, "destroy", "-auto-approve"); err != nil {
			return err
		}
	}
	return l.empty()
}

// night applies in both directories, and checks the result.
func (l *lab) night() error {
	if err := l.applyBoth(); err != nil {
		return err
	}
	if err := l.run(l.cloud, "verify"); err != nil {
		return err
	}
	if err := l.run(l.cloud, "plan", "-detailed-exitcode"); err != nil { // 2 if there are changes
		return err
	}
	return l.tidy()
}
