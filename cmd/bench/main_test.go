package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The test program is also the process that does one task.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workCommand {
		os.Exit(work(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A run with few events measures and prints everything.
func TestMeasures(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := []string{"-events=2k", "-runs=1", "-peers=naive,duckdb", "-python=no-python-of-that-name", "-dir=" + dir, "-json"}
	if code := command(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, &stdout, &stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the directory still has %v (%v)", left, err)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Comparisons) != 1 || r.Comparisons[0].World.Events != 2000 {
		t.Fatalf("the comparisons are %+v", r.Comparisons)
	}
	c := r.Comparisons[0]
	for _, name := range []string{onDisk, served, withCodec("zstd"), "naive"} {
		e, ok := c.find(name)
		if !ok {
			t.Errorf("%s is not measured, or its result differs: %+v", name, e)
		}
		if e.Seconds <= 0 || e.CPUSeconds <= 0 || e.PeakBytes < 1<<20 || e.Files < 100 || e.Bytes < 1000 {
			t.Errorf("%s takes %+v", name, e)
		}
	}
	if len(c.Nights) != 2 {
		t.Fatalf("there are %d nights", len(c.Nights))
	}
	if n := c.Nights[0]; n.Touched != 0 || n.BytesWritten != 0 || n.Partitions < 100 {
		t.Errorf("the night without change: %+v", n)
	}
	if n := c.Nights[1]; n.Touched != 2 || n.BytesWritten != n.BytesTouched || n.BytesRead == 0 {
		t.Errorf("the night that touches two partitions: %+v", n)
	}

	var text bytes.Buffer
	if err := r.write(&text, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2,000 events of 50 prospects, 0.9 MB", "\n| prospector | ", " | same; no event_id, not sorted |\n",
		"Skipped: duckdb, which no-python-of-that-name cannot run: ", "| needs -events 1M | not measured |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-events=many", `"many" is not a number of events`},
		{"-events=0", `"0" is not a number of events`},
		{"-peers=naive,polars", `there is no peer "polars"`},
		{"-compression=lz4", `"lz4" is not supported`},
		{"-runs=0", "use at least 1"},
		{"-guard -json", "the guard prints text"},
		{"more", `unexpected argument "more"`},
		{"-nonsense", "-help"},
	} {
		var stderr bytes.Buffer
		if code := command(t.Context(), strings.Fields(c.args), io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: exit code %d, with\n%s", c.args, code, &stderr)
		}
	}
	o, err := parse([]string{"-events=1M, 100k,1000k,20"}, io.Discard)
	if err != nil || len(o.worlds) != 3 || o.worlds[0].Events != 20 || o.worlds[2].Events != million {
		t.Errorf("the sizes are %+v, %v", o.worlds, err)
	}
}

// The guard does not pass if a requested peer cannot run.
func TestGuardNeedsPython(t *testing.T) {
	var stderr bytes.Buffer
	args := []string{"-guard", "-events=1k", "-python=no-python-of-that-name", "-dir=" + t.TempDir()}
	code := command(t.Context(), args, io.Discard, &stderr)
	if want := "the guard needs duckdb"; code != 1 || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d, with\n%s", code, &stderr)
	}
}

// Differences do not depend on the order of rows.
func TestDifferences(t *testing.T) {
	dir := t.TempDir()
	pages := filepath.Join(dir, "pages.ndjson")
	if err := (world{Events: 60, Prospects: 5}).writePages(pages); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pages)
	if err != nil {
		t.Fatal(err)
	}
	tableOf := func(t *testing.T, text string) fingerprint {
		task := task{Pages: filepath.Join(t.TempDir(), "pages.ndjson"), Output: t.TempDir(), Compression: "snappy"}
		if err := os.WriteFile(task.Pages, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := task.naive(t.Context()); err != nil {
			t.Fatal(err)
		}
		f, err := task.fingerprint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	whole := tableOf(t, string(text))
	if whole.Rows != 60 {
		t.Fatalf("there are %d rows", whole.Rows)
	}
	lines := strings.SplitAfter(string(text), "\n")
	first, second := lines[0], lines[1]
	swap := func(a, b string) string { return b + a + strings.Join(lines[2:], "") }
	replace := func(old, replacement string) string {
		if !strings.Contains(string(text), old) {
			t.Fatalf("there is no %s in the pages", old)
		}
		return strings.Replace(string(text), old, replacement, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"the same", string(text), ""},
		{"another order", swap(first, second), ""},
		{"a page twice", first + string(text), ""},
		{"a page is missing", second + strings.Join(lines[2:], ""), "rows, not 60"},
		{"another text", replace(`"title":"`, `"title":"The `), "source_title"},
		{"another field", replace(`"sessionId":`, `"session":`), "extra_json"},
		{"another time", replace(`"createdAt":"2022-`, `"createdAt":"2021-`), "created_at"},
		{"another type", replace(`"type":"SMS_MESSAGE"`, `"type":"MMS_MESSAGE"`), "partitions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(whole.differences(tableOf(t, c.text)), ", ")
			if got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
				t.Errorf("the differences are %q, not %q", got, c.want)
			}
		})
	}
	// If two prospects swap their values, each column still has the same values.
	const page = `{"prospect_id":"%s","edges":[{"node":{"type":"A","createdAt":"2022-01-13T00:00:00Z","data":{"n":%d}}}]}` + "\n"
	a := tableOf(t, fmt.Sprintf(page+page, "1", 1, "2", 2))
	b := tableOf(t, fmt.Sprintf(page+page, "1", 2, "2", 1))
	if got := strings.Join(a.differences(b), ", "); got != "rows" {
		t.Errorf("if two prospects swap their values, the differences are %q", got)
	}
}

func TestBudgets(t *testing.T) {
	entries := func(own, server, duck float64, peak int64) []entry {
		e := func(name string, s float64) entry {
			return entry{Name: name, cost: cost{Seconds: s, CPUSeconds: s, PeakBytes: peak}, size: size{Files: 1, Bytes: 100}, Runs: 1}
		}
		return []entry{e(onDisk, own), e(served, server), e("duckdb 2", duck), e(oneCore, own*1.8), e(withCodec("zstd"), own*1.6)}
	}
	all := []comparison{
		{World: newWorld(100_000), Entries: entries(0.1, 0.5, 1, 1<<20)},
		{World: newWorld(million), Entries: entries(1, 6, 8, 512<<20), Rewritten: size{Files: 1, Bytes: 99}, Nights: []night{
			{Name: "quiet", Partitions: 186},
			{Name: "busy", Partitions: 186, Touched: 2, BytesTouched: 10, BytesAll: 1000, BytesRead: 15, BytesWritten: 10},
		}},
		{World: newWorld(10 * million), Entries: entries(12, 60, 100, 512<<20+1)},
	}
	var verdicts []string
	for _, b := range budgets(all, focusOf([]world{newWorld(100_000), newWorld(million), newWorld(10 * million)}), "snappy") {
		verdicts = append(verdicts, b.Verdict)
	}
	want := "met met met missed missed missed met missed met met"
	if got := strings.Join(verdicts, " "); got != want {
		t.Errorf("the verdicts are\n%s, not\n%s", got, want)
	}
	all[1].Entries[2].Differences = []string{"extra_json"}
	if b := budgets(all, newWorld(million), "snappy")[0]; b.Verdict != "not measured" {
		t.Errorf("a wrong result of DuckDB counts: %+v", b)
	}
}

func TestGuard(t *testing.T) {
	fine := func() comparison {
		e := func(name string, cpu float64, peak int64) entry {
			return entry{Name: name, cost: cost{Seconds: cpu, CPUSeconds: cpu, PeakBytes: peak}, size: size{Bytes: 100}, Runs: 1}
		}
		return comparison{
			Entries:   []entry{e(onDisk, 1, 100), e("naive", 2, 150), e("duckdb 2", 1, 300), e(withCodec("zstd"), 1.2, 100)},
			Rewritten: size{Bytes: 100},
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*comparison)
		want  string // "" when the guard holds
	}{
		{"fine", func(*comparison) {}, ""},
		{"without DuckDB", func(c *comparison) { c.Entries = append(c.Entries[:2], c.Entries[3]); c.Rewritten = size{} }, ""},
		{"slower than before", func(c *comparison) { c.Entries[0].CPUSeconds = 4 }, "broken"},
		{"slow ZSTD", func(c *comparison) { c.Entries[3].CPUSeconds = 2.5 }, "broken"},
		{"more memory", func(c *comparison) { c.Entries[0].PeakBytes = 1000 }, "broken"},
		{"larger files", func(c *comparison) { c.Entries[0].Bytes = 1000 }, "broken"},
		{"another result", func(c *comparison) { c.Entries[1].Differences = []string{"extra_json"} }, "naive: different result: extra_json"},
		{"a peer that fails", func(c *comparison) { c.Entries[2].Failed = "no such file" }, "duckdb 2: failed: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doctored := fine()
			c.spoil(&doctored)
			var text bytes.Buffer
			holds := guard(&text, doctored)
			if holds != (c.want == "") || !strings.Contains(text.String(), c.want) {
				t.Errorf("guard returns %t, with\n%s", holds, &text)
			}
		})
	}
}

// The pages have all events of the simulator, in order.
func TestPages(t *testing.T) {
	w := newWorld(3000)
	path := filepath.Join(t.TempDir(), "pages.ndjson")
	if err := w.writePages(path); err != nil {
		t.Fatal(err)
	}
	sim, err := w.simulator()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]string)
	for id := range sim.ProspectIDs() {
		for node := range sim.Nodes(id) {
			want[id] = append(want[id], string(node))
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var page struct {
			ProspectID string `json:"prospect_id"`
			Edges      []struct{ Node json.RawMessage }
		}
		if err := json.Unmarshal([]byte(line), &page); err != nil {
			t.Fatal(err)
		}
		rest := want[page.ProspectID]
		for i, edge := range page.Edges {
			if i >= len(rest) || rest[i] != string(edge.Node) {
				t.Fatalf("the pages of prospect %s have %s", page.ProspectID, edge.Node)
			}
		}
		if want[page.ProspectID] = rest[len(page.Edges):]; len(want[page.ProspectID]) == 0 {
			delete(want, page.ProspectID)
		}
	}
	if len(want) > 0 {
		t.Errorf("events of %d prospects are missing", len(want))
	}
}
