// Package knocksim simulates the Knock Get Prospect Events API, so that tests, benchmarks
// and the demo use a real HTTP server instead of canned responses.
//
// Its duties: it responds as the vendor documents (GET
// /prospect/{id}/events?first=N&after=CURSOR, see docs/knock-api.md), from a world that is
// a pure function of Options. The same options give the same bytes on every machine, in
// every order of requests. It exposes the complete world (ProspectIDs, Nodes,
// EventCount), fails on demand (Faults), and counts its responses (Stats). It computes
// every event when it is requested. So its memory depends on the number of prospects, not
// on the number of events.
//
// Not its duties: the rest of the vendor's API, rate limits, storing anything, and unusual
// responses that no seed produces. Tests use canned responses for those.
//
// The vendor documents the path, the key, the page and the kind APPOINTMENT_CREATED. These
// are guesses: the names of the five message kinds and the fields of their data (see
// messageKinds), error bodies, the largest page, that events are in the order of their
// creation, and that a cursor is an offset in that order.
//
// With Options.VendorChanges, the vendor changes the API in the course of the month, as
// vendors do. The creation time of an event determines its shape: an event from before a
// change keeps its shape. The changes are fictional. They take effect on these days of
// January 2022, at midnight UTC:
//
//	05  SMS and e-mail messages have data.sentiment: "positive", "neutral" or "negative"
//	11  appointments have data.reminders: an integer from 0 to 3
//	16  some SMS_MESSAGEs are VOICE_MESSAGEs instead, whose data has direction,
//	    from, to, durationSeconds (an integer) and transcript
//	20  data.reminders is sometimes fractional: 1.5
//	24  data.segments of outbound SMS is a string, "2" instead of 2, and sometimes
//	    "unknown" or an object: {"count":2}
package knocksim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultAPIKey      = "syndication-prospect-TEST-KEY" // the vendor's public key for staging
	DefaultMaxPageSize = 100
)

// Limits of Options.
const (
	MaxProspects = 50_000_000
	MaxEvents    = 1_000_000_000
)

// Window is the period for Options.Events: this number of events happens in each Window. By
// default, the first Window is January 2022.
const Window = 31 * 24 * time.Hour

var defaultSince = time.Date(2022, time.January, 1, 0, 0, 0, 0, time.UTC)

// Options describe a world and how it is served. A zero field has its default, if the
// comment names one.
type Options struct {
	Seed      uint64
	Prospects int // 1 to MaxProspects
	// Events is how many events all prospects together have in each Window after
	// Since: 0 to MaxEvents.
	Events int
	// Since is when the world begins: 2022-01-01T00:00:00Z by default.
	Since time.Time
	// AsOf is the time of the served world. It has the events that were created before
	// AsOf, in their state at that time. The default is one Window after Since. Worlds
	// that differ only in AsOf are one world at two times: the later one has all events
	// of the earlier one, and only the status of appointments may have changed.
	AsOf time.Time
	// NewestFirst reverses the order of a prospect's events, so that a new event moves
	// all others to later offsets.
	NewestFirst bool
	// VendorChanges changes the shape of events in January 2022, as the package
	// comment describes. The number and the times of events stay the same.
	VendorChanges bool
	// MaxPageSize is the largest page size, and the size for a request without
	// `first`: 100 by default. A larger `first` is silently lowered to it.
	MaxPageSize int
	// RejectLargePages returns 400 for a larger `first` instead.
	RejectLargePages bool
	// Gzip compresses pages for clients that accept it.
	Gzip bool
	// APIKey is the only accepted x-api-key: DefaultAPIKey by default.
	APIKey string
	Faults Faults
}

func (o Options) withDefaults() Options {
	if o.Since.IsZero() {
		o.Since = defaultSince
	}
	if o.AsOf.IsZero() {
		o.AsOf = o.Since.Add(Window)
	}
	if o.MaxPageSize == 0 {
		o.MaxPageSize = DefaultMaxPageSize
	}
	if o.APIKey == "" {
		o.APIKey = DefaultAPIKey
	}
	if o.Faults.MaxInARow == 0 {
		o.Faults.MaxInARow = defaultMaxInARow
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(1 <= o.Prospects && o.Prospects <= MaxProspects, "prospects is %d: set 1 to %d", o.Prospects, MaxProspects)
	require(0 <= o.Events && o.Events <= MaxEvents, "events is %d: set 0 to %d", o.Events, MaxEvents)
	for _, t := range []struct {
		name string
		time.Time
	}{{"since", o.Since}, {"as-of", o.AsOf}} {
		year := t.UTC().Year()
		require(1970 <= year && year < 3000, "%s is %s: set a time in the years 1970 to 2999", t.name, t.Format(time.RFC3339))
	}
	require(o.MaxPageSize >= 1, "the largest page is %d: set at least 1", o.MaxPageSize)
	errs = append(errs, o.Faults.validate())
	return errors.Join(errs...)
}

// Simulator is the API of one world, and an http.Handler. Its methods may be called
// concurrently.
type Simulator struct {
	options Options
	world   world
	events  int
	faults  faultPlan
	stats   counters
	// served has, for each prospect, the offset after the last page that was served.
	served []atomic.Int64
	pages  sync.Pool // of *[]byte
}

// New returns a Simulator, or an error about invalid options.
func New(options Options) (*Simulator, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("invalid simulator options: %w", err)
	}
	s := &Simulator{
		options: options,
		world:   newWorld(options),
		faults:  newFaultPlan(options),
		served:  make([]atomic.Int64, options.Prospects),
		pages:   sync.Pool{New: func() any { return new([]byte) }},
	}
	for i := range options.Prospects {
		s.events += s.world.visible(i)
	}
	return s, nil
}

// ProspectIDs yields the ID of every prospect: Options.Prospects different strings of
// eight digits, in no particular order.
func (s *Simulator) ProspectIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range s.options.Prospects {
			if !yield(strconv.Itoa(s.world.id(i))) {
				return
			}
		}
	}
}

// WriteIDs writes the IDs as CSV, one on each line after the header prospect_id.
func (s *Simulator) WriteIDs(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("prospect_id\n")
	for id := range s.ProspectIDs() {
		b.WriteString(id)
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing the prospect IDs: %w", err)
	}
	return nil
}

// Nodes yields the events of a prospect exactly as they are served, in the same order.
// Each is a JSON object in its own memory. Nodes yields nothing for an unknown prospect.
func (s *Simulator) Nodes(prospect string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i, ok := s.world.index(prospect)
		if !ok {
			return
		}
		p := s.world.person(i)
		visible := s.world.visible(i)
		for offset := range visible {
			node := s.world.appendNode(make([]byte, 0, 768), &p, s.at(offset, visible))
			if !yield(node) {
				return
			}
		}
	}
}

// at returns the number of the event at an offset in the served order.
func (s *Simulator) at(offset, visible int) int {
	if s.options.NewestFirst {
		return visible - 1 - offset
	}
	return offset
}

// EventCount returns how many events all prospects together have.
func (s *Simulator) EventCount() int { return s.events }
