package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"prospector/sink/store/gcs/gcsfault"
)

// stall is one request that stalls in the second night of a lake.
type stall struct {
	kind   gcsfault.Kind
	object string // its prefix
	fault  gcsfault.Fault
	// before disturbs requests that precede the stalled one, so that the driver sends it.
	before []disturbance
}

type disturbance struct {
	kind  gcsfault.Kind
	fault gcsfault.Fault
}

const (
	lakeObjects = lakePrefix + "/" + table + "/"
	stateObject = statePrefix + "/prospector.state.json"
	lockObject  = stateObject + ".lock"
)

var (
	uploadFails = disturbance{gcsfault.Upload, gcsfault.Unavailable} // the next attempt is a session
	sendFails   = disturbance{gcsfault.Send, gcsfault.ResetDuring}   // the next request is a query
)

// stalls lists the requests that stall, each in a trial of its own. The first of each
// kind come first.
var stalls = []stall{
	{gcsfault.List, lakePrefix + "/", gcsfault.StallRequest, nil},
	{gcsfault.Stat, stateObject, gcsfault.StallRequest, nil},
	{gcsfault.Download, stateObject, gcsfault.StallRequest, nil},
	{gcsfault.Download, lakeObjects, gcsfault.StallDownload, nil},
	{gcsfault.Upload, lakeObjects, gcsfault.StallBody, nil},
	{gcsfault.Start, lakeObjects, gcsfault.StallAnswer, []disturbance{uploadFails}},
	{gcsfault.Send, lakeObjects, gcsfault.StallBody, []disturbance{uploadFails}},
	{gcsfault.Query, lakeObjects, gcsfault.StallAnswer, []disturbance{uploadFails, sendFails}},
	{gcsfault.Delete, lakeObjects, gcsfault.StallAnswer, nil},

	{gcsfault.List, lakePrefix + "/", gcsfault.StallDownload, nil},
	{gcsfault.Stat, lockObject, gcsfault.StallRequest, nil},
	{gcsfault.Download, lockObject, gcsfault.StallDownload, nil},
	{gcsfault.Download, stateObject, gcsfault.StallDownload, nil},
	{gcsfault.Download, lakeObjects, gcsfault.StallAnswer, nil},
	{gcsfault.Upload, lockObject, gcsfault.StallAnswer, nil},
	{gcsfault.Upload, lockObject, gcsfault.StallRequest, nil},
	{gcsfault.Upload, stateObject, gcsfault.StallAnswer, nil},
	{gcsfault.Upload, stateObject, gcsfault.StallBody, nil},
	{gcsfault.Upload, lakeObjects, gcsfault.StallAnswer, nil},
	{gcsfault.Upload, lakeObjects, gcsfault.StallRequest, nil},
	{gcsfault.Start, lakeObjects, gcsfault.StallRequest, []disturbance{uploadFails}},
	{gcsfault.Send, lakeObjects, gcsfault.StallAnswer, []disturbance{uploadFails}},
	{gcsfault.Query, lakeObjects, gcsfault.StallRequest, []disturbance{uploadFails, sendFails}},
	{gcsfault.Delete, lockObject, gcsfault.StallAnswer, nil},
	{gcsfault.Delete, lakeObjects, gcsfault.StallRequest, nil},
}

// oneOfEach is the number of stalls of which each has another kind of request, or stalls
// at another place.
const oneOfEach = 9

// slack is what an attempt may take, including the wait before it.
const slack = 3 * time.Second

// oneStall stalls one request. The apply must succeed, and must take at most the timeout
// and one attempt longer than an undisturbed one, which runs at the same time. Because
// the machine may be busy, it may also take half as long again.
func oneStall(ctx context.Context, t *trial) error {
	s := stalls[t.number%len(stalls)]
	t.what = fmt.Sprintf("%s %s: %s", s.kind, s.object, s.fault)
	seed := t.random.Uint64()
	type result struct {
		took time.Duration
		err  error
	}
	undisturbed := make(chan result)
	go func() {
		took, err := t.secondNight(ctx, seed, nil)
		undisturbed <- result{took, err}
	}()
	slow, err := t.secondNight(ctx, seed, &s)
	quick := <-undisturbed
	if err := errors.Join(err, quick.err); err != nil {
		return err
	}
	if most := quick.took*3/2 + timeout + slack; slow > most {
		return fmt.Errorf("the apply took %v, more than %v: %v undisturbed, %v until the timeout, %v for an attempt",
			slow, most, quick.took, timeout, slack)
	}
	t.what += fmt.Sprintf(", %.1f s instead of %.1f s", slow.Seconds(), quick.took.Seconds())
	return nil
}

// secondNight plays two nights in a new lab, with a stall in the second unless s is nil.
// It returns how long the second apply took.
func (t *trial) secondNight(ctx context.Context, seed uint64, s *stall) (took time.Duration, err error) {
	o := severalFiles.options(seed)
	l, err := t.lab(ctx, o)
	if err != nil {
		return 0, err
	}
	if err := l.night(); err != nil {
		return 0, err
	}
	l.world.night.Store(1)
	if err := l.reference(); err != nil {
		return 0, err
	}
	var met atomic.Bool
	if s != nil {
		l.stallOnce(s, &met)
	}
	begin := time.Now()
	err = l.run(l.cloud, "apply", "-auto-approve")
	took = time.Since(begin)
	switch {
	case err != nil:
		return took, err
	case s != nil && !met.Load():
		return took, fmt.Errorf("prospector sent no request of the kind %s for an object %s…", s.kind, s.object)
	}
	return took, l.compare()
}

// stallOnce stalls the first request that s describes.
func (l *lab) stallOnce(s *stall, met *atomic.Bool) {
	matching := func(kind gcsfault.Kind) func(gcsfault.Request) bool {
		return func(r gcsfault.Request) bool {
			return r.Kind == kind && strings.HasPrefix(r.Object, s.object) && (s.object != stateObject || r.Object == s.object)
		}
	}
	for _, d := range s.before {
		l.proxy.Next(matching(d.kind), d.fault)
	}
	match := matching(s.kind)
	l.proxy.Next(func(r gcsfault.Request) bool {
		if !match(r) {
			return false
		}
		met.Store(true)
		return true
	}, s.fault)
}
