package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Trace is what identifies an event: the fields that its ID is made from.
type Trace struct {
	Prospect, Type string
	// Created is createdAt in microseconds since 1970-01-01 UTC, or eventTime when
	// the event has no createdAt.
	Created   int64
	NoCreated bool
}

// Replacement describes how new events differ from vanished ones.
type Replacement struct {
	// Field is the identity field whose change explains most of the vanished
	// events, by its name in the API, or "" if no field does.
	Field string
	// How describes the change, or is "".
	How string
}

// String is a clause such as "createdAt is cut to milliseconds".
func (r *Replacement) String() string {
	subject := r.Field
	if subject == "prospect" {
		subject = "the prospect"
	}
	return subject + " " + cmp.Or(r.How, "has changed")
}

// pair is a vanished event and the new event that replaced it.
type pair struct{ before, after Trace }

// minExplained is the share of the vanished events that a field must explain.
const minExplained = 0.8

// Explain finds the identity field whose change explains most of the vanished
// events, and returns nil if there is none. stale is the share of the vanished
// events that were already missing before and need no explanation.
func Explain(vanished, fresh []Trace, stale float64) *Replacement {
	if len(vanished) == 0 {
		return nil
	}
	need := minExplained * (1 - stale) * float64(len(vanished))
	type moment struct {
		name    string // of a prospect or a type
		created int64
	}
	for _, candidate := range []struct {
		field string
		// key returns what both events have in common, and other returns what
		// differs.
		key   func(Trace) moment
		other func(Trace) string
	}{
		{"type", func(t Trace) moment { return moment{t.Prospect, t.Created} }, func(t Trace) string { return t.Type }},
		{"prospect", func(t Trace) moment { return moment{t.Type, t.Created} }, func(t Trace) string { return t.Prospect }},
	} {
		after := make(map[moment][]string)
		for _, t := range fresh {
			after[candidate.key(t)] = append(after[candidate.key(t)], candidate.other(t))
		}
		explained := 0
		for _, t := range vanished {
			key := candidate.key(t)
			i := slices.IndexFunc(after[key], func(other string) bool { return other != candidate.other(t) })
			if i >= 0 {
				after[key] = slices.Delete(after[key], i, i+1)
				explained++
			}
		}
		if explained > 0 && float64(explained) >= need {
			return &Replacement{Field: candidate.field}
		}
	}
	pairs := byTime(vanished, fresh)
	if len(pairs) == 0 || float64(len(pairs)) < need {
		return nil
	}
	return &Replacement{Field: "createdAt", How: createdHow(pairs)}
}

// byTime pairs the events of each prospect and type in chronological order.
func byTime(vanished, fresh []Trace) (pairs []pair) {
	type source struct{ prospect, eventType string }
	group := func(traces []Trace) map[source][]Trace {
		groups := make(map[source][]Trace)
		for _, t := range traces {
			of := source{t.Prospect, t.Type}
			groups[of] = append(groups[of], t)
		}
		for _, g := range groups {
			slices.SortFunc(g, func(a, b Trace) int { return cmp.Compare(a.Created, b.Created) })
		}
		return groups
	}
	after := group(fresh)
	for of, before := range group(vanished) {
		for i := range min(len(before), len(after[of])) {
			pairs = append(pairs, pair{before[i], after[of][i]})
		}
	}
	return pairs
}

// createdHow describes how createdAt differs. It does not reveal its values.
func createdHow(pairs []pair) string {
	all := func(holds func(pair) bool) bool {
		return !slices.ContainsFunc(pairs, func(p pair) bool { return !holds(p) })
	}
	cut := func(to time.Duration) func(pair) bool {
		unit := to.Microseconds()
		return func(p pair) bool {
			off := p.before.Created - p.after.Created
			return p.after.Created%unit == 0 && -unit < off && off < unit
		}
	}
	shift := pairs[0].after.Created - pairs[0].before.Created
	switch {
	case all(func(p pair) bool { return p.after.NoCreated && !p.before.NoCreated }):
		return "is missing"
	case all(func(p pair) bool { return !p.after.NoCreated && p.before.NoCreated }):
		return "is present, but was missing"
	case all(cut(time.Second)):
		return "is cut to seconds"
	case all(cut(time.Millisecond)):
		return "is cut to milliseconds"
	case len(pairs) > 1 && all(func(p pair) bool { return p.after.Created-p.before.Created == shift }):
		by := (time.Duration(shift) * time.Microsecond).Abs().String()
		for _, zero := range []string{"0s", "0m"} {
			if shorter := strings.TrimSuffix(by, zero); strings.HasSuffix(shorter, "m") || strings.HasSuffix(shorter, "h") {
				by = shorter
			}
		}
		if shift < 0 {
			return "is earlier by " + by
		}
		return "is later by " + by
	}
	return "has changed"
}
