package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
)

func surveyOf(types map[string]int64, unmapped, mismatched map[schemas.Field]int64) schemas.Survey {
	s := schemas.NewSurvey()
	for t, n := range types {
		s.EventTypes[t] = n
	}
	for f, n := range unmapped {
		s.Unmapped[f] = n
	}
	for f, n := range mismatched {
		s.Mismatched[f] = n
	}
	return s
}

// The first apply reports event types and values. Later applies report only new
// ones, and keep those that do not occur again.
func TestAddSurvey(t *testing.T) {
	schema := schemas.KnockEvents()
	mood := schemas.Field{EventType: "VOICE", Path: "data.mood", Kind: schemas.KindString}
	body := schemas.Field{EventType: "VOICE", Path: "data.body", Kind: schemas.KindArray}
	broken := schemas.Field{EventType: "VOICE", Path: "data.body", Kind: schemas.KindNotUnicode}
	types := map[string]int64{"VOICE": 2}
	const (
		newTypes, newFields = "New event types", "New fields without a column"
		notUnicode, another = "Text that is not Unicode", "Values that do not match their column's type"
	)
	var owned *schemas.Survey
	for _, night := range []struct {
		name     string
		seen     schemas.Survey
		warnings []string
		detail   string
	}{
		{"the first", surveyOf(types, map[schemas.Field]int64{mood: 1}, map[schemas.Field]int64{body: 2}), []string{newTypes, another},
			"  data.body in 2 VOICE events: an array, but the column message_body has type string"},
		{"the same", surveyOf(types, map[schemas.Field]int64{mood: 5}, map[schemas.Field]int64{body: 1}), nil, ""},
		{"nothing", surveyOf(nil, nil, nil), nil, ""},
		{"the same again", surveyOf(types, map[schemas.Field]int64{mood: 1}, map[schemas.Field]int64{body: 1}), nil, ""},
		{"others", surveyOf(types, map[schemas.Field]int64{{EventType: "VOICE", Path: "data.b", Kind: schemas.KindBool}: 3}, map[schemas.Field]int64{broken: 1}),
			[]string{newFields, notUnicode}, "  data.b in 3 VOICE events: a bool\n"},
	} {
		p := plan.Job{Address: "job.a"}
		p.AddSurvey(schema, owned, night.seen)
		var got []string
		text := ""
		for _, w := range p.Problems.Warnings {
			got, text = append(got, w.Summary), text+w.Detail+"\n"
			if w.Severity != jobs.Warning || w.Address != "job.a" {
				t.Errorf("%s: %+v", night.name, w)
			}
		}
		if !slices.Equal(got, night.warnings) || !strings.Contains(text, night.detail) {
			t.Errorf("%s: warnings are %q:\n%s", night.name, got, text)
		}
		owned = p.Source.Survey
	}
	if owned.Mismatched[body] == 0 || owned.Unmapped[mood] == 0 {
		t.Errorf("known fields are lost: %+v", owned)
	}
}

func TestCheckSchema(t *testing.T) {
	before := schemas.KnockEvents()
	added, changed := before, before
	added.Columns = append(slices.Clone(before.Columns), schemas.Column{Name: "note", Type: schemas.String, From: []string{"data.note"}})
	changed.Columns = slices.Clone(before.Columns)
	i := slices.IndexFunc(changed.Columns, func(c schemas.Column) bool { return c.Name == "message_body" })
	changed.Columns[i].Type = schemas.JSON
	published := state.New()
	of := published.Job("job.a")
	of.SchemaFingerprint, of.Schemas = before.Fingerprint(), map[string]schemas.Table{before.Fingerprint(): before}
	lock := schemas.Lock{"job.a": before}
	for _, test := range []struct {
		name              string
		schema            schemas.Table
		prior             *state.State
		lock              schemas.Lock
		refused, warnings string
	}{
		{"nothing is approved or published", changed, state.New(), nil, "", ""},
		{"the same", before, published, lock, "", ""},
		{"a column is added", added, published, nil, "", ""},
		{"a column is added that the lock does not have", added, published, lock, "", "The schema lock is out of date"},
		{"a column changes its meaning", changed, published, lock, "A schema change needs approval", ""},
		{"it changes without a lock", changed, published, nil, "A schema change needs approval", ""},
		{"the change is approved", changed, published, schemas.Lock{"job.a": changed}, "", ""},
	} {
		p := plan.Job{Address: "job.a"}
		p.CheckSchema(jobs.Job{Block: jobs.Block{Address: "job.a"}, Schema: test.schema}, test.prior, test.lock)
		got := [2]string{}
		for i, ds := range []jobs.Diagnostics{p.Problems.Refused, p.Problems.Warnings} {
			for _, d := range ds {
				got[i] += d.Summary
			}
		}
		if diff := cmp.Diff([2]string{test.refused, test.warnings}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestWarnMissing(t *testing.T) {
	for deleted, warns := range map[int64]bool{0: false, 10: false, 11: true} {
		var p plan.Job
		p.Source.Missing.Deleted = deleted
		if p.WarnMissing(100); len(p.Problems.Warnings) > 0 != warns {
			t.Errorf("%d of 100 deleted rows: %v", deleted, p.Problems.Warnings)
		}
	}
}
