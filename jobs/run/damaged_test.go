package run

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prospector/extract/knocksim"
	"prospector/jobs/plan"
	"prospector/sink/store"
)

// If a published file is damaged anywhere, and the source returns only some of its
// rows, then a copy of the file is kept, no row is invented or duplicated, and lost rows
// are counted. If only one byte or only the footer has changed, no row is lost.
func TestDamagedFile(t *testing.T) {
	for _, c := range []struct {
		name   string
		times  int
		damage func(rng *rand.Rand, file []byte) []byte
		least  int // number of files in which every row must be proven
	}{
		{"one bit", 100, func(rng *rand.Rand, file []byte) []byte {
			file[rng.IntN(len(file))] ^= 1 << rng.IntN(8)
			return file
		}, 100},
		{"one byte", 30, func(rng *rand.Rand, file []byte) []byte {
			file[rng.IntN(len(file))] ^= byte(1 + rng.IntN(255))
			return file
		}, 30},
		{"two bits of the data", 30, func(rng *rand.Rand, file []byte) []byte {
			for range 2 {
				file[rng.IntN(len(file)*3/4)] ^= 1 << rng.IntN(8)
			}
			return file
		}, 1},
		{"a gap", 30, func(rng *rand.Rand, file []byte) []byte {
			at := rng.IntN(len(file))
			clear(file[at:min(at+256, len(file))])
			return file
		}, 10},
		{"no end", 30, func(rng *rand.Rand, file []byte) []byte { return file[:rng.IntN(len(file))] }, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newDamagedHouse(t)
			rng := rand.New(rand.NewPCG(11, 11))
			recovered, proven := 0, 0
			for i := range c.times {
				d := h.damage(c.damage(rng, bytes.Clone(h.intact)))
				if d.Recovered > 0 {
					recovered++
				}
				if d.Proven {
					proven++
				}
				if t.Failed() {
					t.Fatalf("damage number %d", i)
				}
			}
			t.Logf("rows were recovered from %d of %d files, and proven in %d", recovered, c.times, proven)
			if proven < c.least {
				t.Errorf("the rows of %d files must be proven", c.least)
			}
		})
	}
}

// damagedHouse has a published table. The source now returns one of its prospects.
type damagedHouse struct {
	*house
	before map[string]map[string]string // the rows
	key    string                       // of the file to damage
	intact []byte
	aside  string // a copy of the working directory
	asked  string // the prospect
}

func newDamagedHouse(t *testing.T) *damagedHouse {
	h := &damagedHouse{house: newHouse(t), aside: t.TempDir()}
	var err error
	if h.job().Schema, err = h.job().Schema.PartitionedBy("event_type"); err != nil {
		t.Fatal(err)
	}
	sim := h.simulate(knocksim.Options{Seed: 5, Prospects: 8, Events: 160})
	h.apply()
	h.before = h.rows()
	for _, row := range h.before {
		h.key = max(h.key, row[""])
	}
	if h.intact, err = os.ReadFile(filepath.Join(h.root(), h.key)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(h.aside, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	for id := range sim.ProspectIDs() {
		h.asked = id
		break
	}
	return h
}

// damage replaces the file, plans and applies, and checks the result.
func (h *damagedHouse) damage(damaged []byte) (d plan.Drift) {
	if err := os.RemoveAll(h.dir); err != nil {
		h.Fatal(err)
	}
	if err := os.CopyFS(h.dir, os.DirFS(h.aside)); err != nil {
		h.Fatal(err)
	}
	h.ask(h.api().Endpoint, h.asked)
	if err := os.WriteFile(filepath.Join(h.root(), h.key), damaged, 0o600); err != nil {
		h.Fatal(err)
	}
	p := h.apply()
	after := h.rows() // fails on duplicate IDs
	for _, d = range p.Jobs[0].Found.Drift {
		break
	}
	for id, row := range after {
		if h.before[id] == nil || h.before[id][""] != row[""] {
			h.Errorf("the row %v is invented, or in another partition", row)
		}
	}
	if lost := int64(len(h.before) - len(after)); lost != p.Jobs[0].Unrestored() || lost > d.Held-d.Recovered {
		h.Errorf("%d rows are lost, %d are reported as lost, %d of %d were recovered", lost, p.Jobs[0].Unrestored(), d.Recovered, d.Held)
	}
	if d.Proven && !maps.EqualFunc(h.before, after, maps.Equal) {
		h.Error("proven rows differ")
	}
	copied, err := os.ReadFile(filepath.Join(h.root(), plan.DamagedKey(h.key, store.Checksum(damaged))))
	if err != nil || !bytes.Equal(copied, damaged) {
		h.Errorf("the copy that was kept differs: %v", err)
	}
	if next := h.apply(); !next.Empty() || strings.Contains(next.Jobs[0].Problems.Warnings.Error(), "outside of prospector") {
		h.Error("the next plan is not empty")
	}
	return d
}
