package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/schemas"
)

// AddSurvey adds to a job's plan the data that was read and the schema does not
// cover, and warns about data that no earlier apply has reported. owned is the
// survey in the state, or nil.
func (j *Job) AddSurvey(schema schemas.Table, owned *schemas.Survey, seen schemas.Survey) {
	s := surveying{plan: j, schema: schema, known: schemas.NewSurvey(), seen: seen}
	if owned != nil {
		s.known = *owned
	}
	s.seen.Bound()
	s.warnEventTypes()
	if owned != nil { // all fields of a table's first events are new
		s.warnUnmapped()
	}
	broken, mismatched := make(map[schemas.Field]int64), make(map[schemas.Field]int64)
	for f, n := range s.seen.Mismatched {
		if f.Kind == schemas.KindNotUnicode {
			broken[f] = n
		} else {
			mismatched[f] = n
		}
	}
	s.warnBroken(broken)
	s.warnMismatched(mismatched)
	s.keepKnown()
	s.seen.Bound()
	j.Source.Survey = &s.seen
}

// surveying compares the survey of a run with that of earlier runs.
type surveying struct {
	plan        *Job
	schema      schemas.Table
	known, seen schemas.Survey
}

func (s *surveying) warn(summary string, lines []string, remedy string) {
	if len(lines) > 0 {
		s.plan.warn(summary, jobs.List(lines)+"\n\n"+remedy)
	}
}

func (s *surveying) warnEventTypes() {
	var types []string
	for _, t := range slices.Sorted(maps.Keys(s.seen.EventTypes)) {
		if _, before := s.known.EventTypes[t]; !before && !s.schema.Knows(t) {
			types = append(types, terminal.Line(fmt.Sprintf("  %s: %s", t, jobs.Count(s.seen.EventTypes[t], "event"))))
		}
	}
	effect := "Their events are exported like all other events."
	if s.schema.UnknownType == schemas.Quarantine {
		effect = `Their events are quarantined, because the schema has unknown_type = "quarantine".`
	}
	s.warn("New event types", types, effect+" To avoid this warning, add the types to the schema's event_types.")
}

func (s *surveying) warnUnmapped() {
	remedy := "Their values are in extra_json. After the apply, prospector schema infer proposes columns for them."
	if s.schema.UnknownField == schemas.Discard {
		remedy = `They are not exported, because the schema has unknown_field = "drop".`
	}
	s.warn("New fields without a column", newFields(s.seen.Unmapped, s.known.Unmapped, describeKind), remedy)
}

func describeKind(f schemas.Field) string { return schemas.DescribeKind(f.Kind) }

// warnBroken warns about text that is not Unicode.
func (s *surveying) warnBroken(broken map[schemas.Field]int64) {
	effect := "The column has U+FFFD in place of invalid bytes, and extra_json has the original bytes."
	if s.schema.Mismatch == schemas.Quarantine {
		effect = `Their events are quarantined, because the schema has mismatch = "quarantine".`
	}
	s.warn("Text that is not Unicode", newFields(broken, s.known.Mismatched, describeKind), effect)
}

// warnMismatched warns about values that do not match their column's type.
func (s *surveying) warnMismatched(mismatched map[schemas.Field]int64) {
	times := false
	lines := newFields(mismatched, s.known.Mismatched, func(f schemas.Field) string {
		text := describeKind(f)
		if c, ok := s.schema.Taking(f.Path, f.EventType); ok {
			text += fmt.Sprintf(", but the column %s has type %s", c.Name, c.Type)
			times = times || c.Type == schemas.Timestamp || c.Type == schemas.Date
			if form := s.seen.Times[f].String(); form != "" && c.Type == schemas.Timestamp {
				text += fmt.Sprintf("; time = %q would read it", form)
			}
		}
		return text
	})
	effect := "The column is NULL in these rows, and the value is in extra_json."
	if s.schema.Mismatch == schemas.Quarantine {
		effect = `Their events are quarantined, because the schema has mismatch = "quarantine".`
	}
	remedy := " A column of type json can hold all of them."
	if times {
		remedy = ` For a column of times, declare their format: time = "unix_ms", "unix_s", "unix_us" or a layout such as "%d.%m.%Y %H:%M". A column of type json can hold all values.`
	}
	s.warn("Values that do not match their column's type", lines, effect+remedy)
}

// keepKnown keeps known entries that did not occur in this run but still apply.
func (s *surveying) keepKnown() {
	for _, fields := range []map[schemas.Field]int64{s.known.Unmapped, s.known.Mismatched} {
		for f := range fields {
			if times := s.known.Times[f]; times != 0 && s.seen.Unmapped[f]+s.seen.Mismatched[f] == 0 {
				s.seen.Times[f] = times
			}
		}
	}
	keep(s.seen.EventTypes, s.known.EventTypes, func(string) bool { return true })
	keep(s.seen.Unmapped, s.known.Unmapped, func(f schemas.Field) bool {
		_, taken := s.schema.Taking(f.Path, f.EventType)
		return !taken
	})
	keep(s.seen.Mismatched, s.known.Mismatched, func(f schemas.Field) bool {
		c, taken := s.schema.Taking(f.Path, f.EventType)
		return taken && (c.Time == "" || c.Time != s.known.Times[f].String()) // otherwise it can be read now
	})
}

// newFields lists the fields that are in seen but not in known, most frequent
// first.
func newFields(seen, known map[schemas.Field]int64, describe func(schemas.Field) string) (lines []string) {
	counts := schemas.Counts(seen)
	slices.SortStableFunc(counts, func(a, b schemas.FieldCount) int { return cmp.Compare(b.Events, a.Events) })
	for _, c := range counts {
		if _, before := known[c.Field]; !before {
			lines = append(lines, terminal.Line(fmt.Sprintf("  %s in %s: %s", c.Path, jobs.Count(c.Events, c.EventType+" event"), describe(c.Field))))
		}
	}
	return lines
}

// keep copies counts from before to now, for the keys that are not in now and
// for which still returns true.
func keep[K comparable](now, before map[K]int64, still func(K) bool) {
	for k, n := range before {
		if _, ok := now[k]; !ok && still(k) {
			now[k] = n
		}
	}
}
