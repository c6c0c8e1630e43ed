package erase

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

const (
	id     = "prospect-4711"
	prefix = "state.json.d/"
)

// world has the places of a run without published files. Its stores are in memory.
type world struct {
	*testing.T
	proof                     Proof
	stateStore, lake, workDir store.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	data, err := nolink.MakePrivate(dir, "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { data.Close() })
	w := &world{T: t, stateStore: memory.New(), lake: memory.New(), workDir: memory.New()}
	w.proof = Proof{
		Prospect: id, State: state.New(), Discard: []string{"journal"}, Memory: 64 << 20,
		Places: Places{
			StateStore: w.stateStore, Prefix: prefix, WorkDir: named{w.workDir, "work"}, Stores: map[string]store.Store{"sink.local.lake": named{w.lake, "lake"}},
			Data: data, DataDir: filepath.Join(dir, "data"), StageDir: filepath.Join(dir, "data", "stage", "own"),
		},
	}
	return w
}

// named is a store whose URIs begin with a name, so that the stores of a test differ.
type named struct {
	store.Store
	name string
}

func (n named) URI(key string) string { return n.name + ":" + key }

func put(t *testing.T, into store.Store, key, text string) {
	t.Helper()
	if _, err := into.Put(t.Context(), key, store.ContentOf([]byte(text), ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// file writes a file into the data directory.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.proof.Places.DataDir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

func keys(t *testing.T, of store.Store) (keys []string) {
	for entry, err := range of.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, entry.Key)
	}
	return keys
}

// A proof removes objects that name the prospect or cannot be searched, and no others.
func TestProofRemovesTraces(t *testing.T) {
	const binary = "PAR1\x00"
	w := newWorld(t)
	put(t, w.stateStore, "state.json", "{}")
	put(t, w.stateStore, prefix+"lists/a.jsonl", `"`+id+`"`+"\n")
	put(t, w.stateStore, prefix+"lists/b.jsonl", `"bob"`+"\n")
	put(t, w.stateStore, "other", id) // not an object of prospector
	put(t, w.lake, ".prospector/damaged/x", binary)
	put(t, w.lake, ".prospector/later", "page of "+id)
	put(t, w.lake, "table/part", id) // a published file
	named, journal := w.file("stage/dead/00000", id), w.file("journal/x", "")
	own, other := w.file("stage/own/00000", id), w.file("later", "{}")

	result, err := w.proof.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Removed: 4, Objects: 3}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"other", "state.json", prefix + "lists/b.jsonl"}, keys(t, w.stateStore)); diff != "" {
		t.Errorf("next to the state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"table/part"}, keys(t, w.lake)); diff != "" {
		t.Errorf("in the sink (-want +got):\n%s", diff)
	}
	for path, stays := range map[string]bool{named: false, journal: false, own: true, other: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A proof fails if the prospect is left, and reports where. Other occurrences of
// the ID are mentions.
func TestProofFails(t *testing.T) {
	w := newWorld(t)
	put(t, w.stateStore, "state.json", `{"table":"`+id+`"}`)
	put(t, w.lake, ".prospector/quarantine/t.jsonl", `{"prospect_id":"bob","event":"ask `+id+`."}`)
	if _, err := w.proof.Run(t.Context()); err != nil {
		t.Errorf("mentions fail the proof: %v", err)
	}
	entries := `{"prospect_id":"bob","event":"ask ` + id + `."}` + "\n" + strings.Repeat(`{"prospect_id":"`+id+`"}`+"\n", 2)
	put(t, w.lake, ".prospector/quarantine/t.jsonl", entries)
	w.proof.State.Job("job.t").Sink("sink.local.lake").Quarantine = &state.Quarantine{Object: state.Object{Key: plan.QuarantineKey("t"), Size: int64(len(entries)), CRC32C: store.Checksum([]byte(entries))}}
	result, err := w.proof.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "lake:.prospector/quarantine/t.jsonl: 2 events of the prospect") {
		t.Errorf("the error of the proof is %v", err)
	}
	want := []Mention{
		{"lake:.prospector/quarantine/t.jsonl", "quarantined events of other prospects", 3},
		{w.stateStore.URI("state.json"), "a text that equals the ID", 1},
	}
	if diff := cmp.Diff(want, result.Mentions); diff != "" {
		t.Errorf("mentions (-want +got):\n%s", diff)
	}
}

func TestTombstonesOfAllSinks(t *testing.T) {
	a, b := memory.New(), memory.New()
	stores := map[string]store.Store{"sink.a": a, "sink.b": b}
	if err := tombstone.Write(t.Context(), a, tombstone.Set{}.Add("1", "alice")); err != nil {
		t.Fatal(err)
	}
	put(t, b, tombstone.Key, "damaged")
	all, warnings, err := ReadTombstones(t.Context(), tombstone.Set{}.Add("2", "bob"), stores)
	if err != nil || len(warnings) != 1 || warnings[0].Address != "sink.b" {
		t.Errorf("the warnings are %v: %v", warnings, err)
	}
	if err := WriteTombstones(t.Context(), all, stores); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		found, err := tombstone.Read(t.Context(), s)
		if err != nil || !found.Has("alice") || !found.Has("bob") {
			t.Errorf("a sink has %d tombstones: %v", found.Len(), err)
		}
	}
	put(t, b, tombstone.Key, `{"version":2}`)
	if _, _, err := ReadTombstones(t.Context(), nil, stores); err == nil || !strings.Contains(err.Error(), "could export an erased prospect") {
		t.Errorf("tombstones of a newer version: %v", err)
	}
}

func TestRequested(t *testing.T) {
	tombstones := tombstone.Set{}.Add("1", "alice").Add("1", "carol")
	ids := []string{"carol", "bob", "alice"}
	for _, exports := range []bool{false, true} {
		requested, erased := Requested(jobs.Job{ExportErased: exports}, ids, tombstones)
		want, effect := []string{"bob"}, "skipped: 2"
		if exports {
			want, effect = ids, "exported: 2"
		}
		if !slices.Equal(requested, want) || !slices.Equal(erased, []string{"carol", "alice"}) {
			t.Errorf("exports %t: requested are %v, erased are %v", exports, requested, erased)
		}
		if d := WarnListed(jobs.Job{ExportErased: exports}, erased); len(d) != 1 || !strings.HasSuffix(d[0].Summary, effect) {
			t.Errorf("exports %t: %v", exports, d)
		}
	}
	if requested, erased := Requested(jobs.Job{}, ids, nil); !slices.Equal(requested, ids) || len(erased) > 0 {
		t.Errorf("without tombstones: %v, %v", requested, erased)
	}
}

func TestWarnStillListed(t *testing.T) {
	list := &jobs.Prospects{File: "prospects.csv"}
	declared := []jobs.Job{{Prospects: list}, {}, {Prospects: &jobs.Prospects{File: "-"}}, {Prospects: list, ExportErased: true}}
	warnings, err := WarnStillListed(t.Context(), declared, id, func(_ context.Context, from jobs.Prospects) ([]string, int, error) {
		if from.File == "-" {
			t.Error("standard input was read")
		}
		return []string{"bob", id}, 0, nil
	})
	if err != nil || len(warnings) != 2 || warnings.HasErrors() {
		t.Fatalf("warnings: %v, %v", warnings, err)
	}
	if !strings.Contains(warnings[0].Detail, "prevents the next run") || !strings.Contains(warnings[1].Detail, "exports it again") {
		t.Errorf("warnings: %v", warnings)
	}
}
