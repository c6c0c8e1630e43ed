package state_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

// owning returns a state of the lineage and serial that owns some rows.
func owning(lineage string, serial, rows int64) *state.State {
	s := state.New()
	s.Lineage, s.Serial = lineage, serial
	s.Job("job.a").Sink("sink.b").Partitions["p"] = partition(rows, 1)
	return s
}

func TestCheckPush(t *testing.T) {
	empty := state.New()
	empty.Lineage, empty.Serial = "b", 9
	empty.Job("job.a").Sink("sink.b")
	for _, test := range []struct {
		name          string
		current, next *state.State
		want          error
	}{
		{"over none", nil, owning("a", 1, 1), nil},
		{"over a new one", state.New(), owning("a", 1, 1), nil},
		{"over one that owns nothing", empty, owning("a", 1, 1), nil},
		{"newer", owning("a", 4, 1), owning("a", 5, 2), nil},
		{"much newer", owning("a", 4, 1), owning("a", 50, 2), nil},
		{"the same", owning("a", 4, 1), owning("a", 4, 1), nil},
		{"the same serial, but different", owning("a", 4, 1), owning("a", 4, 2), state.ErrSerial},
		{"older", owning("a", 4, 1), owning("a", 3, 1), state.ErrSerial},
		{"of another lake", owning("a", 4, 1), owning("b", 5, 1), state.ErrLineage},
		{"of another lake and older", owning("a", 4, 1), owning("b", 3, 1), state.ErrLineage},
		{"nothing, of another lake", owning("a", 4, 1), empty, state.ErrLineage},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := state.CheckPush(test.current, test.next)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("CheckPush returned %v, want %v", err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), "-force") {
				t.Errorf("the error does not suggest what to do: %v", err)
			}
		})
	}
}

func TestPush(t *testing.T) {
	for _, test := range []struct {
		name   string
		before string // the current state
		next   *state.State
		force  bool
		want   error // nil if it is pushed
		backUp bool
	}{
		{"over nothing", "", owning("a", 7, 1), false, nil, false},
		{"newer", encode(t, owning("a", 4, 1)), owning("a", 7, 1), false, nil, true},
		{"older", encode(t, owning("a", 4, 1)), owning("a", 3, 1), false, state.ErrSerial, false},
		{"older, by force", encode(t, owning("a", 4, 1)), owning("a", 3, 1), true, nil, true},
		{"of another lake", encode(t, owning("a", 4, 1)), owning("b", 7, 1), false, state.ErrLineage, false},
		{"of another lake, by force", encode(t, owning("a", 4, 1)), owning("b", 7, 1), true, nil, true},
		{"over a damaged one", "{", owning("a", 7, 1), false, errAny, false},
		{"over a damaged one, by force", "{", owning("a", 7, 1), true, nil, false},
		{"over a newer format, by force", `{"version":6}`, owning("a", 7, 1), true, state.ErrNewer, false},
		{"one that was never written", encode(t, owning("a", 4, 1)), state.New(), true, errAny, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := statePath(t)
			if test.before != "" {
				overwrite(t, path, test.before)
			}
			overwrite(t, path+".backup", "the backup")
			l := backend(t, path)
			err := l.Push(t.Context(), test.next, test.force)
			switch {
			case test.want == nil && err != nil, test.want == errAny && err == nil,
				test.want != nil && test.want != errAny && !errors.Is(err, test.want):
				t.Fatalf("Push returned %v, want %v", err, test.want)
			}
			want, backup := test.before, "the backup"
			if test.want == nil {
				want = encode(t, test.next)
			}
			if test.backUp {
				backup = test.before
			}
			if diff := cmp.Diff(want, contents(t, path)); diff != "" {
				t.Errorf("the file differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(backup, contents(t, path+".backup")); diff != "" {
				t.Errorf("the backup differs (-want +got):\n%s", diff)
			}
			if test.want == nil { // the next write continues from there
				write(t, l, test.next)
			}
		})
	}
}

// A pushed state does not bring back a prospect that was erased.
func TestPushKeepsTombstones(t *testing.T) {
	path := statePath(t)
	current := owning("a", 4, 1)
	current.Tombstones = current.Tombstones.Add("a", "alice")
	overwrite(t, path, encode(t, current))
	older := owning("a", 3, 1)
	older.Tombstones = older.Tombstones.Add("a", "bob")
	if err := backend(t, path).Push(t.Context(), older, true); err != nil {
		t.Fatal(err)
	}
	if now := read(t, backend(t, path)); now.Serial != 3 || !now.Tombstones.Has("alice") || !now.Tombstones.Has("bob") {
		t.Errorf("the state: serial %d, %d tombstones", now.Serial, now.Tombstones.Len())
	}
}

var errAny = errors.New("any error")

// A state that another program writes during a push is not lost.
func TestPushWhileAnotherProgramWrites(t *testing.T) {
	path := statePath(t)
	overwrite(t, path, encode(t, owning("a", 4, 1)))
	files, err := local.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	l := state.NewLocal(&interfering{files, func() {
		other := backend(t, path)
		write(t, other, read(t, other))
	}}, path)
	if err := l.Push(t.Context(), owning("a", 9, 2), true); !errors.Is(err, store.ErrCondition) {
		t.Errorf("Push returned %v", err)
	}
	if now := read(t, backend(t, path)); now.Serial != 5 {
		t.Errorf("the file has serial %d: the other write is lost", now.Serial)
	}
}

// Pushing a state that could not be written recovers it.
func TestErrored(t *testing.T) {
	path := statePath(t)
	dir := memory.New()
	if _, err := state.ReadErrored(t.Context(), dir); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("without a file, ReadErrored returned %v", err)
	}
	if err := state.WriteErrored(t.Context(), dir, owning("a", 2, 1)); err != nil { // of an earlier run
		t.Fatal(err)
	}
	s := owning("a", 4, 1)
	overwrite(t, path, encode(t, s))
	s.Job("job.a").Sink("sink.b").Partitions["q"] = partition(2, 2)
	if err := state.WriteErrored(t.Context(), dir, s); err != nil {
		t.Fatal(err)
	}
	if s.Serial != 4 {
		t.Errorf("the serial of the state that was not written is %d", s.Serial)
	}
	kept, err := state.ReadErrored(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l := backend(t, path)
	if err := l.Push(t.Context(), kept, false); err != nil {
		t.Fatal(err)
	}
	s.Serial = 5
	if diff := cmp.Diff(s, read(t, l), same); diff != "" {
		t.Errorf("the recovered state differs (-want +got):\n%s", diff)
	}
	if _, err := dir.Put(t.Context(), state.ErroredName, store.ContentOf([]byte("{"), ""), store.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := state.ReadErrored(t.Context(), dir); err == nil || !strings.Contains(err.Error(), state.ErroredName) {
		t.Errorf("a damaged file returned %v", err)
	}
}
