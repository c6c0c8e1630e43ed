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

// One byte of a published file is changed whose rows the source gives in part.
// Wherever it is, the file is kept as it is, no row is invented or doubled, and
// the rows that are lost are counted.
func TestFlippedByte(t *testing.T) {
	h := newHouse(t)
	var err error
	if h.job().Table, err = h.job().Table.PartitionedBy("event_type"); err != nil {
		t.Fatal(err)
	}
	sim := h.simulate(knocksim.Options{Seed: 5, Prospects: 8, Events: 160})
	h.apply()
	before := h.rows()
	key := ""
	for _, row := range before {
		key = max(key, row[""])
	}
	path := filepath.Join(h.root(), key)
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	aside := t.TempDir()
	if err := os.CopyFS(aside, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	for id := range sim.ProspectIDs() { // of the others, the source gives nothing
		h.ask(h.job().Source.Endpoint, id)
		break
	}

	rng := rand.New(rand.NewPCG(11, 11))
	recovered, proven := 0, 0
	for range 100 {
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(h.dir, os.DirFS(aside)); err != nil {
			t.Fatal(err)
		}
		for id := range sim.ProspectIDs() {
			h.ask(h.job().Source.Endpoint, id)
			break
		}
		at := rng.IntN(len(intact))
		damaged := bytes.Clone(intact)
		damaged[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		p := h.apply()
		after := h.rows() // fails where an id is there twice
		var d plan.Drift
		for _, d = range p.Jobs[0].Drift {
			break
		}
		for id, row := range after {
			if before[id] == nil || before[id][""] != row[""] {
				t.Fatalf("byte %d: the row %v is invented, or has another place", at, row)
			}
		}
		if lost := int64(len(before) - len(after)); lost != p.Jobs[0].Unrestored() || lost > d.Held-d.Recovered {
			t.Errorf("byte %d: %d rows are lost, %d are said to be, %d of %d were recovered", at, lost, p.Jobs[0].Unrestored(), d.Recovered, d.Held)
		}
		if d.Recovered > 0 {
			recovered++
		}
		if d.Proven {
			proven++
			if !maps.EqualFunc(before, after, maps.Equal) {
				t.Errorf("byte %d: proven rows differ", at)
			}
		}
		copied, err := os.ReadFile(filepath.Join(h.root(), plan.DamagedKey(key, store.Checksum(damaged))))
		if err != nil || !bytes.Equal(copied, damaged) {
			t.Errorf("byte %d: the copy that was kept differs: %v", at, err)
		}
		if next := h.apply(); !next.Empty() || strings.Contains(next.Jobs[0].Warnings.Error(), "outside of prospector") {
			t.Errorf("byte %d: the next plan is not empty", at)
		}
	}
	t.Logf("rows were recovered from %d of 100 files, and proven in %d", recovered, proven)
	if recovered == 0 || proven == 0 {
		t.Error("nothing was recovered: the test does not test")
	}
}
