package quarantine

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

const (
	sink  = "sink.local.lake"
	table = "events"
)

// naive is a quarantine that keeps everything in memory. It keeps the first line of
// each event. Lines of this run come before published ones.
type naive struct {
	lines     map[schemas.Digest]naiveLine
	published []entry
	replaced  map[string]bool
	read      map[string]bool
	counts    map[string]plan.Quarantining
}

type naiveLine struct {
	prospect string
	text     []byte
}

func newNaive(published []entry) *naive {
	return &naive{make(map[schemas.Digest]naiveLine), published, make(map[string]bool), make(map[string]bool), make(map[string]plan.Quarantining)}
}

func (n *naive) count(event []byte, change func(*plan.Quarantining)) {
	c := n.counts[eventType(event)]
	if c.Reasons == nil {
		c.Reasons = make(map[string]int64)
	}
	change(&c)
	n.counts[eventType(event)] = c
}

func (n *naive) put(e entry) (added bool) {
	if _, twice := n.lines[e.digest()]; twice {
		return false
	}
	text, err := e.line()
	if err != nil {
		panic(err)
	}
	n.lines[e.digest()] = naiveLine{e.Prospect, text}
	return true
}

func (n *naive) add(e Event, policies string) {
	added := n.put(newEntry(e, policies))
	n.count(e.Raw, func(c *plan.Quarantining) {
		c.Quarantined++
		c.Reasons[e.Reason]++
		if added {
			c.Distinct++
		}
	})
}

func (n *naive) file(obey func(entry) entry) (text []byte, content schemas.Digest) {
	for _, e := range n.published {
		if n.read[e.Prospect] {
			n.count(e.text(), func(c *plan.Quarantining) { c.Before++ })
		}
	}
	for _, e := range n.published {
		if !n.replaced[e.Prospect] {
			n.put(obey(e))
		}
	}
	for of := range n.lines {
		content = content.Add(of)
	}
	lines := slices.Collect(maps.Values(n.lines))
	slices.SortFunc(lines, func(a, b naiveLine) int {
		return cmp.Or(cmp.Compare(a.prospect, b.prospect), bytes.Compare(a.text, b.text))
	})
	for _, l := range lines {
		text = append(text, l.text...)
	}
	return text, content
}

// events returns random events of some prospects. Some events are repeated, on the same
// page or another one, and some have long texts that begin alike.
func events(rng *rand.Rand, count int) (all []Event) {
	prospects := []string{"1", "10", "a", "A&B", "é", "a\x00b", "a b"}
	for range count {
		raw := fmt.Sprintf(`{"type":"T%d","n": %d}`, rng.IntN(3), rng.IntN(20))
		switch rng.IntN(8) {
		case 0:
			raw = fmt.Sprintf("not JSON \xff %d", rng.IntN(9))
		case 1:
			raw = fmt.Sprintf(`{"type":"L","text":"%s","n":%d}`, strings.Repeat("x", sortedText), rng.IntN(9))
		case 2:
			raw = fmt.Sprintf(`{"type":"T0","n":%d}`, rng.IntN(20)) // without the space
		}
		e := Event{
			Prospect: prospects[rng.IntN(len(prospects))], Cursor: []string{"", "c<", "d"}[rng.IntN(3)], Index: rng.IntN(3),
			Reason: []string{"no time", "not an object"}[rng.IntN(2)], Raw: []byte(raw),
		}
		if rng.IntN(10) == 0 {
			e.Raw, e.Withheld = nil, 1+rng.IntN(5)
		}
		all = append(all, e)
	}
	return all
}

// publish puts a quarantine into a store, and returns it as a refresh finds it.
func publish(t *testing.T, s store.Store, text []byte, content schemas.Digest, events int64) *state.Quarantine {
	t.Helper()
	key := plan.QuarantineKey(table)
	if _, err := s.Put(t.Context(), key, store.ContentOf(text, ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	return &state.Quarantine{Events: events, Content: content, Object: state.Object{Key: key, Size: int64(len(text)), CRC32C: store.Checksum(text), Generation: "1"}}
}

func parse(t *testing.T, text []byte) (all []entry) {
	t.Helper()
	for line := range bytes.Lines(text) {
		e, ok := parseEntry(line)
		if !ok {
			t.Fatalf("a line cannot be parsed: %s", line)
		}
		all = append(all, e)
	}
	return all
}

// The file has the same bytes, however little memory there is.
func TestSpilled(t *testing.T) {
	for seed := range uint64(6) {
		for _, limit := range []int64{0, 5_000, 100_000, 64 << 20} {
			t.Run(fmt.Sprintf("%d, %d bytes", seed, limit), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				former := newNaive(nil)
				for _, e := range events(rng, 100) {
					former.add(e, "")
				}
				text, content := former.file(nil)
				s := memory.New()
				job := &plan.Job{TableName: table, Sinks: []string{sink}, Found: plan.Found{Prior: map[string]*plan.Refreshed{sink: {
					Sink: state.Sink{Quarantine: publish(t, s, text, content, int64(len(former.lines)))},
				}}}}
				dir := t.TempDir()
				q, err := Open(t.Context(), map[string]store.Store{sink: s}, job, filepath.Join(dir, "q"), limit)
				if err != nil {
					t.Fatal(err)
				}
				if seed%2 == 0 {
					q.Protect("policy", func(event []byte) ([]byte, bool) {
						return bytes.ReplaceAll(event, []byte("1"), []byte("2")), !bytes.Contains(event, []byte("7"))
					})
				}
				want := newNaive(parse(t, text))
				for _, e := range events(rng, 200) {
					want.add(e, q.policies)
					if err := q.Add(e); err != nil {
						t.Fatal(err)
					}
				}
				for i, prospect := range []string{"1", "a", "é", "unlisted"} {
					q.CountBefore(prospect)
					want.read[prospect] = true
					if i%2 == 0 {
						q.Replace(prospect)
						want.replaced[prospect] = true
					}
				}
				if err := q.Finish(); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "quarantine.jsonl")
				change, err := q.Change(table, job.Sinks, job.Found.Prior, path)
				if err != nil {
					t.Fatal(err)
				}
				wantText, wantContent := want.file(q.obey)
				if diff := gocmp.Diff(want.counts, q.Counts()); diff != "" {
					t.Errorf("the counts differ (-want +got):\n%s", diff)
				}
				got, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(got, wantText) {
					t.Errorf("the file is (error %v)\n%s\nwant\n%s", err, got, wantText)
				}
				wantChange := &plan.Quarantine{
					Before: int64(len(former.lines)), After: int64(len(want.lines)),
					Staged: &plan.Staged{Path: path, Rows: int64(len(want.lines)), Content: wantContent, Size: int64(len(wantText)), CRC32C: store.Checksum(wantText)},
					Writes: []plan.Write{{Sink: sink, Action: plan.Update, Key: plan.QuarantineKey(table), Generation: "1"}},
				}
				if diff := gocmp.Diff(wantChange, change); diff != "" {
					t.Errorf("the change differs (-want +got):\n%s", diff)
				}
				if err := q.Close(); err != nil {
					t.Fatal(err)
				}
				if runs, _ := filepath.Glob(filepath.Join(dir, "q", "*", "*")); len(runs) > 0 {
					t.Errorf("Close leaves %v", runs)
				}
			})
		}
	}
}

// The readable events of damaged quarantines are kept, each of them once.
func TestRecover(t *testing.T) {
	for _, limit := range []int64{0, 64 << 20} {
		rng := rand.New(rand.NewPCG(1, 1))
		former := newNaive(nil)
		for _, e := range events(rng, 50) {
			former.add(e, "")
		}
		text, _ := former.file(nil)
		lines := slices.Collect(bytes.Lines(text))
		first, second := memory.New(), memory.New()
		cut := bytes.Join(lines[:len(lines)/2], nil)
		publish(t, first, append(slices.Concat(cut, lines[0]), lines[len(lines)/2][:5]...), schemas.Digest{}, 0)
		publish(t, second, bytes.Join(lines[1:], nil), schemas.Digest{}, 0)
		const other = "sink.local.other"
		key := plan.QuarantineKey(table)
		found := &plan.Refreshed{Damaged: map[string]string{key: "1"}}
		job := &plan.Job{TableName: table, Sinks: []string{sink, other}, Found: plan.Found{
			Prior: map[string]*plan.Refreshed{sink: found, other: found},
			Drift: []plan.Drift{{Sink: sink, Key: key, Kind: plan.Modified}, {Sink: other, Key: key, Kind: plan.Modified}},
		}}
		stores := map[string]store.Store{sink: first, other: second}
		dir := t.TempDir()
		q, err := Open(t.Context(), stores, job, filepath.Join(dir, "q"), limit)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{len(lines) / 2, len(lines) - 1} {
			if got := job.Found.Drift[i].Recovered; got != int64(want) {
				t.Errorf("%d events are recovered from sink %d, want %d", got, i, want)
			}
			n, err := CountReadable(t.Context(), stores[job.Sinks[i]], key, filepath.Join(dir, "count"), limit)
			if err != nil || n != int64(want) {
				t.Errorf("%d events can be read, want %d: %v", n, want, err)
			}
		}
		path := filepath.Join(dir, "quarantine.jsonl")
		if _, err := q.Change(table, job.Sinks, job.Found.Prior, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
			t.Errorf("the file is (error %v)\n%s\nwant\n%s", err, got, text)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A quarantine that is too large is refused, however little memory there is. Events
// that are read repeatedly count once.
func TestTooLarge(t *testing.T) {
	const size = 1 << 20
	for _, limit := range []int64{0, 64 << 20} {
		q := New(t.TempDir(), limit)
		q.maxSize, q.checkAt = size, size
		event := func(i int) Event {
			return Event{Prospect: "1", Reason: "unusual", Index: i, Raw: fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, strings.Repeat("x", size/16))}
		}
		for i := range 60 { // four times the limit, but few distinct events
			if err := q.Add(event(i % 6)); err != nil {
				t.Fatalf("limit %d, event %d: %v", limit, i, err)
			}
		}
		if err := q.Finish(); err != nil {
			t.Fatal(err)
		}
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = q.Add(event(i))
		}
		if err == nil || !strings.Contains(err.Error(), "the last one because it is unusual") {
			t.Errorf("limit %d: the error is %v", limit, err)
		}
		if err := q.Finish(); err == nil {
			t.Errorf("limit %d: Finish returns no error", limit)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
