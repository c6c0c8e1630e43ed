package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
)

func TestAdvice(t *testing.T) {
	const kB, mB = 1000, 1000 * 1000
	// days returns n partitions of the size for each type.
	days := func(n int, size int64, types ...string) map[string]int64 {
		sizes := make(map[string]int64)
		for i := range n {
			day := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i).Format(time.DateOnly)
			for _, of := range types {
				sizes["event_type="+of+"/event_date="+day] = size
			}
			if len(types) == 0 {
				sizes["event_date="+day] = size
			}
		}
		return sizes
	}
	ofTypes := func(n int, size int64) map[string]int64 {
		sizes := make(map[string]int64)
		for i := range n {
			sizes[fmt.Sprintf("event_type=T%d", i)] = size
		}
		return sizes
	}
	for _, test := range []struct {
		name          string
		before, after map[string]int64
		want          []string // nil: no advice
	}{
		{"nothing", nil, nil, nil},
		{"few partitions", nil, days(99, 900*kB), nil},
		{"many large ones", nil, days(1000, 20*mB), nil},
		{"many in a small table", nil, days(31, 3*kB, "A", "B", "C", "D", "E", "F"), nil},
		{"by month is enough", nil, days(730, 600*kB), []string{"730 partitions", "438.0 MB", "smaller than 600.0 kB", "about 24 partitions of 18.2 MB", `partition_by = ["event_month"]`}},
		{"by month and type is enough", nil, days(730, 700*kB, "A", "B"), []string{"1460 partitions", "about 48 partitions", `partition_by = ["event_type", "event_month"]`}},
		{"only by year", nil, days(730, 100*kB, "A", "B"), []string{"about 4 partitions of 36.5 MB", `partition_by = ["event_type", "event_year"]`}},
		{"only without the type", nil, days(365, 10*kB, strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "")...), []string{"9490 partitions", `partition_by = ["event_year"]`, "about 1 partition of 94.9 MB", "smaller than 10.0 kB"}},
		{"no time, so nothing helps", nil, ofTypes(200, 500*kB), nil},
		{"as before", days(730, 600*kB), days(731, 600*kB), nil},
		{"twice as many as before", days(150, 600*kB), days(731, 600*kB), []string{"731 partitions"}},
		{"enough small partitions for advice", days(90, 600*kB), days(130, 600*kB), []string{"130 partitions", `partition_by = ["event_month"]`}},
		{"the table is deleted", days(730, 600*kB), nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			prior := &plan.Refreshed{Sink: state.Sink{Partitions: make(map[string]state.Partition)}}
			j := plan.Job{Address: "job.events", Sinks: []string{lake}, Found: plan.Found{Prior: map[string]*plan.Refreshed{lake: prior}}}
			for path, size := range test.before {
				prior.Partitions[path] = state.Partition{Rows: 1, Files: []state.File{{Rows: 1, Object: state.Object{Size: size / 2}}, {Rows: 1, Object: state.Object{Size: size - size/2}}}}
				if _, stays := test.after[path]; !stays {
					j.Output.Changes = append(j.Output.Changes, plan.Change{Partition: path, Action: plan.Delete})
				}
			}
			for path, size := range test.after {
				if was, ok := test.before[path]; !ok || was != size {
					j.Output.Changes = append(j.Output.Changes, plan.Change{Partition: path, Action: plan.Create, Rows: plan.Rows{After: 1}, After: size})
				}
			}
			got := j.Advice(schemas.KnockEvents())
			if len(got) != min(1, len(test.want)) {
				t.Fatalf("the advice is %v", got)
			}
			for _, text := range test.want {
				if !strings.Contains(got[0].Detail, text) {
					t.Errorf("the advice does not contain %q: %s", text, got[0].Detail)
				}
			}
			if test.want == nil {
				return
			}
			j.Output.Changes = nil // the plan changes no partition
			if got := j.Advice(schemas.KnockEvents()); got != nil {
				t.Errorf("without a change, the advice is %v", got)
			}
		})
	}
}
