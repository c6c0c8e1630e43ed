package knocksim

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Stats count what a Simulator has served so far.
type Stats struct {
	Requests int64 // in total
	Pages    int64 // complete responses with status 200
	Events   int64 // events on Pages
	// Repeated is how many of Pages begin with an event (or the end of the events) that
	// an earlier page covered. If it is 0, no page was read twice.
	Repeated int64
	Aborted  int64 // pages that could not be sent completely
	// Faults counts faults by kind: 429, 500, 503, reset, truncated, slow. Kinds that did
	// not occur are missing.
	Faults map[string]int64
	// Status counts responses by status. The status of reset and truncated responses is
	// 200. A status that did not occur is missing.
	Status map[int]int64
}

// String returns a summary of a few lines.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d pages with %d events, %d repeated, %d aborted", s.Requests, s.Pages, s.Events, s.Repeated, s.Aborted)
	var lines []string
	for status, n := range s.Status {
		lines = append(lines, fmt.Sprintf("status %d: %d", status, n))
	}
	for fault, n := range s.Faults {
		lines = append(lines, fmt.Sprintf("fault %s: %d", fault, n))
	}
	slices.Sort(lines)
	for _, line := range lines {
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// counters are the live counts for Stats.
type counters struct {
	requests, pages, events, repeated, aborted atomic.Int64
	faults                                     [faultKinds]atomic.Int64
	status                                     [600]atomic.Int64
}

// page counts a page, or subtracts it if sign is -1.
func (c *counters) page(events int, repeated bool, sign int64) {
	c.pages.Add(sign)
	c.events.Add(sign * int64(events))
	if repeated {
		c.repeated.Add(sign)
	}
}

// Stats returns a snapshot. It includes every response that a client has received
// completely.
func (s *Simulator) Stats() Stats {
	c := &s.stats
	out := Stats{
		Requests: c.requests.Load(), Pages: c.pages.Load(), Events: c.events.Load(),
		Repeated: c.repeated.Load(), Aborted: c.aborted.Load(),
		Faults: map[string]int64{}, Status: map[int]int64{},
	}
	for kind, name := range faultNames {
		if n := c.faults[kind].Load(); n > 0 {
			out.Faults[name] = n
		}
	}
	for status := range c.status {
		if n := c.status[status].Load(); n > 0 {
			out.Status[status] = n
		}
	}
	return out
}

// mark is the change of Simulator.served by one page.
type mark struct {
	at            *atomic.Int64
	before, after int64
	repeated      bool
}

// mark records that a prospect's events from offset on are served. Pages are requested in
// order, because each cursor comes from the previous page. So one number for each
// prospect separates the served events from the others.
func (s *Simulator) mark(index, offset, events int) mark {
	m := mark{at: &s.served[index], after: int64(offset + max(events, 1))}
	for {
		m.before = m.at.Load()
		m.repeated = int64(offset) < m.before
		if m.after <= m.before || m.at.CompareAndSwap(m.before, m.after) {
			return m
		}
	}
}

// takeBack undoes the mark, unless a later page depends on it.
func (m mark) takeBack() {
	if m.after > m.before {
		m.at.CompareAndSwap(m.after, m.before)
	}
}
