package knocksim

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Faults are what goes wrong with requests that would have got a page. Shares
// are of such requests, from 0 to 1; together those that fail are at most 1.
//
// What goes wrong is as deterministic as the world: it depends on the seed, the
// prospect, the cursor and how many answers in a row have failed.
type Faults struct {
	// Rate is the share that fails, in equal parts, in each of the five ways
	// that follow. Their own shares come on top.
	Rate            float64
	TooManyRequests float64 // 429 with Retry-After
	ServerError     float64 // 500 with a JSON body
	Unavailable     float64 // 503 with an HTML body, as from a gateway
	Reset           float64 // the connection is reset in the middle of the body
	Truncated       float64 // 200 with half of the JSON, and nothing else to tell
	// RetryAfter is what a 429 asks for, rounded up to seconds. The default
	// asks for 0, so that faults cost a test no time.
	RetryAfter time.Duration
	// MaxInARow is how many answers about one prospect may fail one after the
	// other before one succeeds, so that a client with one attempt more always
	// gets through: 2 by default, -1 for no limit. A low one keeps the shares
	// above from being reached when they are high.
	MaxInARow int
	// Slow is the share that is answered only after Delay, failing or not.
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
	slowAnswer
	faultKinds
)

// faultNames are the keys of Stats.Faults.
var faultNames = [faultKinds]string{"", "429", "500", "503", "reset", "truncated", "slow"}

func (f Faults) shares() [slowAnswer]float64 {
	shares := [slowAnswer]float64{0, f.TooManyRequests, f.ServerError, f.Unavailable, f.Reset, f.Truncated}
	for kind := tooManyRequests; kind <= truncated; kind++ {
		shares[kind] += f.Rate / 5
	}
	return shares
}

func (f Faults) validate() error {
	for _, share := range []float64{f.Rate, f.TooManyRequests, f.ServerError, f.Unavailable, f.Reset, f.Truncated, f.Slow} {
		if !(0 <= share && share <= 1) {
			return fmt.Errorf("a share of faults is %v: give 0 to 1", share)
		}
	}
	total := 0.0
	for _, share := range f.shares() {
		total += share
	}
	if total > 1+1e-9 {
		return fmt.Errorf("the shares of faults add up to %v: give at most 1 in total", total)
	}
	if f.RetryAfter < 0 || f.Delay < 0 {
		return errors.New("a duration of faults is negative: give 0 or more")
	}
	if f.MaxInARow < -1 {
		return fmt.Errorf("the number of faults in a row is %d: give -1 (no limit) or more", f.MaxInARow)
	}
	return nil
}

// faultPlan decides about each request.
type faultPlan struct {
	seed       uint64
	shares     [slowAnswer]float64
	slow       float64
	maxInARow  int
	retryAfter string
	inARow     []atomic.Int32 // by prospect; nil when nothing ever goes wrong
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
	if plan.slow > 0 || plan.shares != [slowAnswer]float64{} {
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

// fraction is a number from 0 up to, but not including, 1.
func (r *rng) fraction() float64 { return float64(r.next()>>11) / (1 << 53) }
