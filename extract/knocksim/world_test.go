package knocksim

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "update the golden files")

var february = time.Date(2022, time.February, 1, 0, 0, 0, 0, time.UTC)

func mustNew(t testing.TB, o Options) *Simulator {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// truth returns every event of a world, by prospect.
func truth(s *Simulator) map[string][][]byte {
	all := map[string][][]byte{}
	for id := range s.ProspectIDs() {
		all[id] = slices.Collect(s.Nodes(id))
	}
	return all
}

func count(all map[string][][]byte) (n int) {
	for _, nodes := range all {
		n += len(nodes)
	}
	return n
}

func TestEventCount(t *testing.T) {
	for _, o := range []Options{
		{Prospects: 1, Events: 0},
		{Prospects: 1, Events: 1},
		{Prospects: 1, Events: 1000},
		{Prospects: 2, Events: 3},
		{Prospects: 13, Events: 100, Seed: 7},
		{Prospects: 500, Events: 4000, Seed: 1},
		{Prospects: 1000, Events: 100},
		{Prospects: 100, Events: 1000, Since: time.Date(2024, 2, 29, 12, 30, 0, 1500, time.UTC)},
	} {
		t.Run(fmt.Sprintf("%d of %d", o.Events, o.Prospects), func(t *testing.T) {
			o = o.withDefaults()
			for _, c := range []struct {
				windows float64
				want    int
			}{{-1, 0}, {0, 0}, {1, o.Events}, {2, 2 * o.Events}, {3, 3 * o.Events}} {
				o.AsOf = o.Since.Add(time.Duration(c.windows * float64(Window)))
				s := mustNew(t, o)
				if got := s.EventCount(); got != c.want {
					t.Errorf("after %v windows EventCount is %d, want %d", c.windows, got, c.want)
				}
				if got := count(truth(s)); got != c.want {
					t.Errorf("after %v windows there are %d nodes, want %d", c.windows, got, c.want)
				}
			}
			o.AsOf = o.Since.Add(Window * 3 / 2)
			if got, want := mustNew(t, o).EventCount(), o.Events*3/2; got < want-o.Events/20-o.Prospects || got > want+o.Events/20+o.Prospects {
				t.Errorf("after one and a half windows there are %d events, want about %d", got, want)
			}
		})
	}
}

func TestSlotsFillTheWindow(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 7, 31, 999_983, MaxEvents - 1, MaxEvents} {
		if first, last := slot(0, n), slot(n, n); first != 0 || last != window {
			t.Errorf("%d slots cover %d to %d, want 0 to %d", n, first, last, window)
		}
		for _, j := range []int64{1, n / 3, n / 2, n - 1} {
			if width := slot(j+1, n) - slot(j, n); width != window/n && width != window/n+1 {
				t.Errorf("slot %d of %d is %d µs wide, want %d", j, n, width, window/n)
			}
		}
	}
}

func TestVisible(t *testing.T) {
	o := Options{Prospects: 40, Events: 3000, Seed: 3, AsOf: february.Add(3 * Window)}.withDefaults()
	w := mustNew(t, o).world
	created := make([][]int64, o.Prospects)
	for i := range created {
		for k := range w.visible(i) {
			at, _ := w.created(w.prospectSeed(i), w.shares[i], k)
			if k > 0 && at <= created[i][k-1] {
				t.Fatalf("prospect %d: event %d was created at %d, want a time after %d", i, k, at, created[i][k-1])
			}
			created[i] = append(created[i], at)
		}
	}
	check := func(asOf int64) {
		w.asOf = asOf
		for i := range created {
			want, _ := slices.BinarySearch(created[i], asOf)
			if got := w.visible(i); got != want {
				t.Fatalf("prospect %d at %d: %d events are visible, want %d", i, asOf, got, want)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		check(w.since + r.Int64N(3*window))
	}
	for i := range created { // at creation times, and at the edges of slots
		for k, at := range created[i] {
			check(at)
			check(at + 1)
			n := int64(w.shares[i])
			check(w.since + int64(k)/n*window + slot(int64(k)%n, n))
		}
		if i == 3 {
			break
		}
	}
}

func TestLaterAsOfOnlyAdds(t *testing.T) {
	for name, o := range map[string]Options{
		"no changes":     {Prospects: 60, Events: 4000, Seed: 5},
		"vendor changes": {Prospects: 60, Events: 4000, Seed: 5, VendorChanges: true},
	} {
		t.Run(name, func(t *testing.T) { testLaterAsOfOnlyAdds(t, o) })
	}
}

func testLaterAsOfOnlyAdds(t *testing.T, o Options) {
	var before map[string][][]byte
	for _, day := range []int{3, 10, 24, 31, 32, 33, 45, 70} {
		o.AsOf = defaultSince.Add(time.Duration(day)*24*time.Hour + time.Second)
		now := truth(mustNew(t, o))
		if before == nil {
			before = now
			continue
		}
		changed := 0
		for id, old := range before {
			if len(now[id]) < len(old) {
				t.Fatalf("day %d: prospect %s has %d events, and had %d", day, id, len(now[id]), len(old))
			}
			for i, was := range old {
				is := now[id][i]
				if bytes.Equal(was, is) {
					continue
				}
				changed++
				prefix, suffix, ok := bytes.Cut(was, []byte(`"status":"confirmed"`))
				if !ok || !bytes.HasPrefix(is, prefix) || !bytes.HasSuffix(is, suffix) {
					t.Fatalf("day %d: more than a confirmed status has changed:\n%s\n%s", day, was, is)
				}
				status := string(is[len(prefix) : len(is)-len(suffix)])
				if !slices.Contains([]string{`"status":"cancelled"`, `"status":"completed"`, `"status":"no_show"`}, status) {
					t.Fatalf("day %d: the status changed to %s", day, status)
				}
			}
		}
		if count(now) <= count(before) || changed == 0 {
			t.Errorf("day %d: %d events, previously %d, and %d changed", day, count(now), count(before), changed)
		}
		before = now
	}
}

func TestSeed(t *testing.T) {
	o := Options{Prospects: 50, Events: 2000, Seed: 9}
	a, again := mustNew(t, o), mustNew(t, o)
	if !slices.Equal(slices.Collect(a.ProspectIDs()), slices.Collect(again.ProspectIDs())) {
		t.Error("the same seed resulted in different prospects")
	}
	for id, nodes := range truth(a) {
		if !slices.EqualFunc(nodes, slices.Collect(again.Nodes(id)), bytes.Equal) {
			t.Errorf("the same seed resulted in different events of prospect %s", id)
		}
	}
	o.Seed++
	other := mustNew(t, o)
	if slices.Equal(slices.Collect(a.ProspectIDs()), slices.Collect(other.ProspectIDs())) {
		t.Error("another seed resulted in the same prospects")
	}
	if slices.Equal(a.world.shares, other.world.shares) {
		t.Error("another seed resulted in the same number of events for every prospect")
	}
}

// The golden files ensure that worlds are the same across machines and versions of Go, and
// they show what events look like.
func TestGolden(t *testing.T) {
	for name, o := range map[string]Options{
		"world":  {Prospects: 30, Events: 40, Seed: 1},
		"vendor": {Prospects: 30, Events: 40, Seed: 1, VendorChanges: true},
	} {
		t.Run(name, func(t *testing.T) { testGolden(t, mustNew(t, o), filepath.Join("testdata", name+".golden")) })
	}
}

func testGolden(t *testing.T, s *Simulator, path string) {
	var got bytes.Buffer
	for id := range s.ProspectIDs() {
		fmt.Fprintf(&got, "prospect %s\n", id)
		for node := range s.Nodes(id) {
			got.Write(append(node, '\n'))
		}
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("the world differs from line %d on; if this is intended, run the test with -update", i+1)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	o := Options{Prospects: 50, Events: 2000}
	oldest := truth(mustNew(t, o))
	o.NewestFirst = true
	for id, nodes := range truth(mustNew(t, o)) {
		slices.Reverse(nodes)
		if !slices.EqualFunc(nodes, oldest[id], bytes.Equal) {
			t.Errorf("prospect %s: newest first is not the reverse of oldest first", id)
		}
	}
}

func TestSharesAreSkewed(t *testing.T) {
	for _, o := range []Options{{Prospects: 500, Events: 20_000}, {Prospects: 40_000, Events: 1_000_000}, {Prospects: 400_000, Events: 10_000_000}} {
		shares := shares(o)
		head := 0 // events of the first tenth of the prospects, which must be a fair sample
		for _, n := range shares[:len(shares)/10] {
			head += int(n)
		}
		slices.Sort(shares)
		if shares[0] != 0 {
			t.Errorf("%d prospects: all have events", o.Prospects)
		}
		if median := shares[len(shares)/2]; median < 1 || median > 20 {
			t.Errorf("%d prospects: the median has %d events", o.Prospects, median)
		}
		top := 0
		for _, n := range shares[len(shares)*99/100:] {
			top += int(n)
		}
		if share := float64(top) / float64(o.Events); share < 0.3 || share > 0.5 {
			t.Errorf("%d prospects: the top 1 %% has %.2f of the events", o.Prospects, share)
		}
		if most := shares[len(shares)-1]; most < 2000 || most > 20_000 {
			t.Errorf("%d prospects: one has %d events", o.Prospects, most)
		}
		if head > o.Events/2 {
			t.Errorf("%d prospects: the first tenth has %d events", o.Prospects, head)
		}
	}
}

func TestIDs(t *testing.T) {
	s := mustNew(t, Options{Prospects: 20_000, Events: 1, Seed: 4})
	seen := map[string]bool{}
	for id := range s.ProspectIDs() {
		if i, ok := s.world.index(id); !ok || i != len(seen) {
			t.Fatalf("ID %s has index %d (%v), want %d", id, i, ok, len(seen))
		}
		if len(id) != 8 || seen[id] {
			t.Fatalf("ID %s does not have eight digits, or is not unique", id)
		}
		seen[id] = true
	}
	for id := range s.ProspectIDs() {
		n, _ := strconv.Atoi(id)
		next := strconv.Itoa(n + 1)
		if _, ok := s.world.index(next); ok != seen[next] {
			t.Fatalf("ID %s is known: %v, want %v", next, ok, seen[next])
		}
	}
	for _, id := range []string{"", "1", "0", "-1", "abcdefgh", "00000001", "+1000000", "100000000", "99999999999999999999", "1000000 "} {
		if _, ok := s.world.index(id); ok {
			t.Errorf("ID %q is known", id)
		}
		if n := len(slices.Collect(s.Nodes(id))); n != 0 {
			t.Errorf("unknown prospect %q has %d events", id, n)
		}
	}
	var csv strings.Builder
	if err := s.WriteIDs(&csv); err != nil {
		t.Fatal(err)
	}
	if want := "prospect_id\n" + strings.Join(slices.Collect(s.ProspectIDs()), "\n") + "\n"; csv.String() != want {
		t.Errorf("the CSV begins %.40q, want %.40q", csv.String(), want)
	}
}

func TestShuffleIsAPermutation(t *testing.T) {
	for n := 1; n < 300; n++ {
		s := newShuffle(n, rand.Uint64())
		seen := make([]bool, n)
		for i := range n {
			x := s.at(i)
			if x < 0 || x >= n || seen[x] || s.find(x) != i {
				t.Fatalf("n %d: %d → %d → %d", n, i, x, s.find(x))
			}
			seen[x] = true
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"no prospects":       {func(o *Options) { o.Prospects = 0 }, "prospects is 0"},
		"too many prospects": {func(o *Options) { o.Prospects = MaxProspects + 1 }, "prospects is"},
		"negative events":    {func(o *Options) { o.Events = -1 }, "events is -1"},
		"too many events":    {func(o *Options) { o.Events = MaxEvents + 1 }, "events is"},
		"early":              {func(o *Options) { o.Since = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) }, "since is 1969"},
		"late":               {func(o *Options) { o.AsOf = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC) }, "as-of is 3000"},
		"page size":          {func(o *Options) { o.MaxPageSize = -1 }, "largest page is -1"},
		"negative share":     {func(o *Options) { o.Faults.Reset = -0.1 }, "share of faults is -0.1"},
		"total":              {func(o *Options) { o.Faults.Rate, o.Faults.Reset = 0.6, 0.6 }, "add up to 1.2"},
		"delay":              {func(o *Options) { o.Faults.Delay = -1 }, "negative"},
		"in a row":           {func(o *Options) { o.Faults.MaxInARow = -2 }, "in a row is -2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Prospects: 1}
			c.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("New returned %v, want an error with %q", err, c.says)
			}
		})
	}
}

func TestMemoryDoesNotGrowWithEvents(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := mustNew(t, Options{Prospects: 400_000, Events: 10_000_000})
	if got := heap() - before; got > 8<<20 {
		t.Errorf("a world of 10 M events and 400 k prospects takes %d bytes, want 12 for each prospect", got)
	}
	p := s.world.person(0)
	page := make([]byte, 0, 1<<16)
	for _, s.world.vendorChanges = range []bool{false, true} {
		k := 0
		if n := testing.AllocsPerRun(1000, func() { page = s.world.appendNode(page[:0], &p, k); k++ }); n != 0 {
			t.Errorf("rendering an event takes %v allocations (vendor changes: %v)", n, s.world.vendorChanges)
		}
	}
}
