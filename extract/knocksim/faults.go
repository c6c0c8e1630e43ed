package knocksim

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Faults are failures of requests that would otherwise return a page. Each share is a
// share of these requests, from 0 to 1. The shares of failing requests add up to at
// most 1.
//
// Faults are as deterministic as the world. They depend on the seed, the prospect, the
// cursor and the number of consecutive failures.
type Faults struct {
	// Rate is a share that is divided equally among the following five faults, in
	// addition to their own shares.
	Rate            float64
	TooManyRequests float64 // 429 with Retry-After
	ServerError     float64 // 500 with a JSON body
	Unavailable     float64 // 503 with an HTML body, as from a gateway
	Reset           float64 // the connection is reset in the middle of the body
	Truncated       float64 // 200 with half of the JSON, and no other sign of the fault
	// RetryAfter is the Retry-After of a 429, rounded up to seconds. The default is 0,
	// so that faults cost a test no time.
	RetryAfter time.Duration
	// MaxInARow is the number of consecutive responses for one prospect that may fail,
	// so that a client with one more attempt always succeeds: 2 by default, -1 for no
	// limit. With a low limit, high shares are not reached.
	MaxInARow int
	// Slow is the share of requests, failing or not, that get their response after Delay.
	Slow  float64
	Delay time.Duration
}

const defaultMaxInARow = 2

type faultKind int

const (
	noFault faultKind = iota
	tooManyRequests
	serverError
	unavailable
	reset
	truncated
	slowResponse
	faultKinds
)

// faultNames are the keys of Stats.Faults.
var faultNames = [faultKinds]string{"", "429", "500", "503", "reset", "truncated", "slow"}

func (f Faults) shares() [slowResponse]float64 {
	shares := [slowResponse]float64{0, f.TooManyRequests, f.ServerError, f.Unavailable, f.Reset, f.Truncated}
	for kind := tooManyRequests; kind <= truncated; kind++ {
		shares[kind] += f.Rate / 5
	}
	return shares
}

func (f Faults) validate() error {
	for _, share := range []float64{f.Rate, f.TooManyRequests, f.ServerError, f.Unavailable, f.Reset, f.Truncated, f.Slow} {
		if !(0 <= share && share <= 1) {
			return fmt.Errorf("a share of faults is %v: set 0 to 1", share)
		}
	}
	total := 0.0
	for _, share := range f.shares() {
		total += share
	}
	if total > 1+1e-9 {
		return fmt.Errorf("the shares of faults add up to %v: set at most 1 in total", total)
	}
	if f.RetryAfter < 0 || f.Delay < 0 {
		return errors.New("a duration of faults is negative: set 0 or more")
	}
	if f.MaxInARow < -1 {
		return fmt.Errorf("the number of faults in a row is %d: set -1 (no limit) or more", f.MaxInARow)
	}
	return nil
}

// faultPlan decides which requests fail.
type faultPlan struct {
	seed       uint64
	shares     [slowResponse]float64
	slow       float64
	maxInARow  int
	retryAfter string
	inARow     []atomic.Int32 // by prospect; nil if there are no faults
}

func newFaultPlan(o Options) faultPlan {
	seconds := (o.Faults.RetryAfter + time.Second - 1) / time.Second
	plan := faultPlan{
		seed:       stream(o.Seed, 3),
		shares:     o.Faults.shares(),
		slow:       o.Faults.Slow,
		maxInARow:  o.Faults.MaxInARow,
		retryAfter: strconv.Itoa(int(seconds)),
	}
	if plan.slow > 0 || plan.shares != [slowResponse]float64{} {
		plan.inARow = make([]atomic.Int32, o.Prospects)
	}
	return plan
}

func (f *faultPlan) draw(index, offset int) (kind faultKind, slow bool) {
	if f.inARow == nil {
		return noFault, false
	}
	failed := int(f.inARow[index].Load())
	r := rng(stream(stream(stream(f.seed, uint64(index)), uint64(offset)), uint64(failed)))
	slow = r.fraction() < f.slow
	if f.maxInARow >= 0 && failed >= f.maxInARow {
		f.inARow[index].Store(0)
		return noFault, slow
	}
	left := r.fraction()
	for kind = tooManyRequests; kind <= truncated; kind++ {
		if left < f.shares[kind] {
			f.inARow[index].Add(1)
			return kind, slow
		}
		left -= f.shares[kind]
	}
	f.inARow[index].Store(0)
	return noFault, slow
}

// fraction returns a number in [0, 1).
func (r *rng) fraction() float64 { return float64(r.next()>>11) / (1 << 53) }
