package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
)

// result is a result in which all numbers differ.
var result = jobs.Result{
	Rows: 40, TableRows: 200, RowsAdded: 3, RowsChanged: 5, RowsRemoved: 7, Quarantined: 11, Prospects: 13, ProspectsFailed: 17,
	Nulls:  map[string]int64{"message_body": 10, "event_id": 0},
	Newest: time.Date(2022, 1, 30, 22, 0, 0, 123456000, time.FixedZone("", 3600)),
	Now:    time.Date(2022, 2, 1, 9, 0, 0, 123456000, time.UTC),
}

func TestChecks(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
job "many" {
  for_each = toset(["north"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
variable "least" { default = 50 }
check "volume" {
  job      = job.many["north"]
  severity = "error"
  assert {
    condition     = staged.rows >= var.least
    error_message = "Only ${staged.rows} rows of ${job.events.table}, fewer than ${var.least}."
  }
  assert {
    condition     = staged.quarantined == 11
    error_message = "never"
  }
}
check "fresh" {
  job = job.events
  assert {
    condition     = staged.newest_event_age_hours < 24
    error_message = "The newest event is of ${staged.newest_event}."
  }
}
`})
	t.Chdir(dir)
	c := load(t, ".", Options{})
	if len(c.Checks) != 2 {
		t.Fatalf("%d checks", len(c.Checks))
	}
	fresh, volume := c.Checks[0], c.Checks[1]
	if fresh.Name != "fresh" || fresh.Address != "check.fresh" || fresh.Job != "job.events" || fresh.Severity != jobs.Warning || fresh.Origin.Line != 27 {
		t.Errorf("fresh: %+v", fresh)
	}
	if volume.Job != `job.many["north"]` || volume.Severity != jobs.Error || len(volume.Assertions) != 2 || volume.Assertions[1].Origin.Line != 23 {
		t.Errorf("volume: %+v", volume)
	}
	for _, e := range []struct {
		name   string
		assert jobs.Assertion
		change func(*jobs.Result)
		want   string // the message, or "" if the condition holds
	}{
		{"too few", volume.Assertions[0], func(*jobs.Result) {}, "Only 40 rows of events, fewer than 50."},
		{"just enough", volume.Assertions[0], func(r *jobs.Result) { r.Rows = 50 }, ""},
		{"holds", volume.Assertions[1], func(*jobs.Result) {}, ""},
		{"old", fresh.Assertions[0], func(*jobs.Result) {}, "The newest event is of 2022-01-30T21:00:00.123456Z."},
		{"not so old", fresh.Assertions[0], func(r *jobs.Result) { r.Now = r.Newest.Add(23 * time.Hour) }, ""},
	} {
		t.Run(e.name, func(t *testing.T) {
			r := result
			e.change(&r)
			holds, message, problems := e.assert.Evaluate(r)
			if holds != (e.want == "") || message != e.want || len(problems) > 0 {
				t.Errorf("holds: %v, %q, want %q\n%s", holds, message, e.want, render(problems))
			}
		})
	}

	// A condition can be evaluated with a result that it does not expect.
	r := result
	r.Newest = time.Time{}
	holds, message, problems := fresh.Assertions[0].Evaluate(r)
	if holds || message != "" || len(problems) != 1 {
		t.Fatalf("without a newest event: %v, %q\n%s", holds, message, render(problems))
	}
	if d := problems[0]; d.Severity != jobs.Error || d.Address != "check.fresh" || d.Origin == nil || d.Origin.Line != 30 ||
		!strings.Contains(d.Origin.Code, "staged.newest_event_age_hours < 24") {
		t.Errorf("the problem: %+v", d)
	}
}

// A condition can use every attribute of staged.
func TestStaged(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ expression, none string }{ // none: for a result without a row
		{"staged.rows == 40", "staged.rows == 0"}, {"staged.table_rows == 200", "staged.table_rows == 0"},
		{"staged.rows_added == 3", "staged.rows_added == 0"}, {"staged.rows_changed == 5", "staged.rows_changed == 0"},
		{"staged.rows_removed == 7", "staged.rows_removed == 0"}, {"staged.quarantined == 11", "staged.quarantined == 0"},
		{"staged.prospects == 13", "staged.prospects == 0"}, {"staged.prospects_failed == 17", "staged.prospects_failed == 0"},
		{"staged.null_share.message_body == 0.25", "staged.null_share.message_body == 0"},
		{`staged.null_share["event_id"] == 0`, `staged.null_share["event_type"] == 0`},
		{"length(staged.null_share) == 19", "alltrue([for c, share in staged.null_share : share < 0.01])"},
		{`staged.newest_event == "2022-01-30T21:00:00.123456Z"`, "staged.newest_event == null"},
		{"staged.newest_event_age_hours == 36", "staged.newest_event_age_hours == null"},
		{`formatdate("YYYY-MM-DD", staged.newest_event) == "2022-01-30"`, "try(staged.newest_event_age_hours < 24, true)"},
		{`timecmp(staged.newest_event, "2022-01-30T21:00:00Z") == 1`, "coalesce(staged.newest_event, \"none\") == \"none\""},
		{"anytrue([for c, share in staged.null_share : share > 0.2])", "min(values(staged.null_share)...) == 0"},
		{"length(keys(staged)) == 11", "length(keys(staged)) == 11"},
	} {
		for r, expression := range map[*jobs.Result]string{&result: c.expression, {}: c.none} {
			t.Run(expression, func(t *testing.T) {
				writeFile(t, filepath.Join(dir, "main.hcl"), minimal+fmt.Sprintf(`
check "it" {
  job = job.events
  assert {
    condition     = %s
    error_message = "no"
  }
  assert {
    condition     = !(%[1]s)
    error_message = "the opposite"
  }
}`, expression))
				asserts := load(t, dir, Options{}).Checks[0].Assertions
				if holds, message, problems := asserts[0].Evaluate(*r); !holds || message != "" || len(problems) > 0 {
					t.Errorf("%q\n%s", message, render(problems))
				}
				if holds, message, problems := asserts[1].Evaluate(*r); holds || message != "the opposite" || len(problems) > 0 {
					t.Errorf("the opposite: %v, %q\n%s", holds, message, render(problems))
				}
			})
		}
	}
}

// A table that is partitioned by month has another column, and event_type stays one.
func TestStagedColumns(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
job "monthly" {
  source       = source.simulator.demo
  sinks        = [sink.local.lake]
  partition_by = ["event_month"]
}
check "month" {
  job = job.monthly
  assert {
    condition     = staged.null_share.event_month + staged.null_share.event_type == 0
    error_message = "no"
  }
}`})
	if holds, _, problems := load(t, dir, Options{}).Checks[0].Assertions[0].Evaluate(result); !holds {
		t.Error(render(problems))
	}
}

// An error that only a result can cause has the place of the expression, and shows
// nothing sensitive.
func TestAssertionProblems(t *testing.T) {
	for _, c := range []struct{ name, condition, message, want, code string }{
		{"null operand", "staged.newest_event_age_hours < 1", `"m"`, "Operation failed", "staged.newest_event_age_hours < 1"},
		{"division by zero", "staged.rows_added / staged.rows < 1", `"m"`, "Operation failed", "staged.rows_added / staged.rows < 1"},
		{"null", "staged.rows > 0 ? true : tobool(null)", `"m"`, "Invalid condition", "tobool(null)"},
		{"null message", "staged.rows > 0", `staged.newest_event`, "Invalid error message", "error_message = staged.newest_event"},
		{"broken message", "staged.rows > 0", `"of ${staged.newest_event}"`, "Invalid template interpolation value", "error_message ="},
		{"sensitive", "parseint(staged.rows > 0 ? \"1\" : var.key, 10) > 0", `"m"`, "Invalid function argument", "parseint"},
		{"no number", "tobool(staged.rows > 0 ? \"true\" : \"perhaps\")", `"m"`, "Invalid function argument", "perhaps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.hcl": minimal + `
variable "key" { sensitive = true }
check "it" {
  job = job.events
  assert {
    condition = ` + c.condition + `
    error_message = ` + c.message + `
  }
}`})
			a := load(t, dir, Options{Vars: []string{"key=sk_live"}}).Checks[0].Assertions[0]
			holds, message, problems := a.Evaluate(jobs.Result{Now: time.Unix(0, 0)})
			if holds || message != "" || len(problems) != 1 || problems[0].Summary != c.want {
				t.Fatalf("%v, %q, want %q:\n%s", holds, message, c.want, render(problems))
			}
			if o := problems[0].Origin; o == nil || !strings.Contains(o.Code, c.code) || problems[0].Address != "check.it" {
				t.Errorf("the place: %+v", problems[0])
			}
			if strings.Contains(render(problems), "sk_live") {
				t.Errorf("the key shows:\n%s", render(problems))
			}
		})
	}
}

func TestSensitiveMessage(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
variable "key" { sensitive = true }
check "it" {
  job = job.events
  assert {
    condition     = var.key == tostring(staged.rows)
    error_message = "It is ${var.key}."
  }
}`})
	a := load(t, dir, Options{Vars: []string{"key=sk_live"}}).Checks[0].Assertions[0]
	if holds, message, problems := a.Evaluate(result); holds || message != hiddenMessage || len(problems) > 0 {
		t.Errorf("%v, %q\n%s", holds, message, render(problems))
	}
}

// Checks may be evaluated concurrently.
func TestEvaluateInParallel(t *testing.T) {
	dir := write(t, map[string]string{"main.hcl": minimal + `
check "it" {
  job = job.events
  assert {
    condition     = staged.rows == 1
    error_message = "There are ${staged.rows}: ${staged.newest_event}"
  }
}`})
	a := load(t, dir, Options{}).Checks[0].Assertions[0]
	var wg sync.WaitGroup
	for n := range int64(64) {
		wg.Go(func() {
			r := result
			r.Rows = n
			want := fmt.Sprintf("There are %d: 2022-01-30T21:00:00.123456Z", n)
			if holds, message, problems := a.Evaluate(r); holds != (n == 1) || n != 1 && message != want || len(problems) > 0 {
				t.Errorf("%d: %v, %q", n, holds, message)
			}
			if _, _, problems := a.Evaluate(jobs.Result{}); len(problems) != 1 {
				t.Errorf("%d: %d problems", n, len(problems))
			}
		})
	}
	wg.Wait()
}

func TestAssertionSource(t *testing.T) {
	source := func(assert string) string {
		t.Helper()
		dir := write(t, map[string]string{"main.hcl": minimal + "check \"it\" {\n job = job.events\n assert {\n" + assert + "\n}\n}\n"})
		return load(t, dir, Options{}).Checks[0].Assertions[0].Source
	}
	plain := source("condition = alltrue([staged.rows > 1, staged.quarantined == 0])\nerror_message = \"a b\"")
	if want := "alltrue ( [ staged . rows > 1 , staged . quarantined == 0 ] )\n\" a b \""; plain != want {
		t.Errorf("%q, want %q", plain, want)
	}
	if d := cmp.Diff(plain, source("error_message   =   \"a b\" # or so\ncondition = alltrue([ # both\n  staged.rows>1,   staged.quarantined   ==   0])")); d != "" {
		t.Errorf("white space, comments and order count: %s", d)
	}
	for _, other := range []string{
		"condition = alltrue([staged.rows > 2, staged.quarantined == 0])\nerror_message = \"a b\"",
		"condition = alltrue([staged.rows > 1, staged.quarantined == 0])\nerror_message = \"a  b\"",
		"condition = alltrue([staged.rows > 1, staged.quarantined == 0])\nerror_message = <<EOT\na b\nEOT\n",
	} {
		if source(other) == plain {
			t.Errorf("the same source:\n%s", other)
		}
	}
	heredoc := "condition = staged.rows > 1\nerror_message = <<EOT\nline %d ${staged.rows}\nEOT\n"
	if a, b := source(fmt.Sprintf(heredoc, 1)), source(fmt.Sprintf(heredoc, 2)); a == b || !strings.Contains(a, "line 1") {
		t.Errorf("heredocs: %q, %q", a, b)
	}
	if s := source("condition = sensitive(\"sk_live\") != tostring(staged.rows)\nerror_message = \"m\""); strings.Contains(s, "sk_live") {
		t.Errorf("the secret shows: %s", s)
	}
}
