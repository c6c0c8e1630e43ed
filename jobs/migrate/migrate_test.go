package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs/migrate"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/memory"
)

// backend is a backend that a run can lock.
type backend interface {
	migrate.Backend
	Lock(context.Context, state.LockInfo) (context.Context, error)
	Unlock() error
	Write(context.Context, *state.State) error
}

// remote returns a backend in a store, at a time. Its locks have expired an hour later,
// so that the locks of killed processes do not matter.
func remote(files store.Store, key string, hour int) backend {
	now := time.Date(2022, 1, 1, hour, 0, 0, 0, time.UTC)
	return state.NewRemote(files, key, state.RemoteOptions{
		Now: func() time.Time { return now }, After: func(time.Duration) <-chan time.Time { return nil },
	})
}

// locked calls f while holding the locks of all backends.
func locked(ctx context.Context, f func(context.Context) error, all ...backend) error {
	for _, b := range all {
		held, err := b.Lock(ctx, state.NewLockInfo("init", time.Now()))
		if err != nil {
			return err
		}
		defer func() { _ = b.Unlock() }()
		ctx = held
	}
	return f(ctx)
}

// move moves the state.
func move(ctx context.Context, from, to backend) error {
	return locked(ctx, func(ctx context.Context) error {
		m := migrate.Move{From: from, To: to, By: "someone@host, process 1", Now: time.Now}
		if _, err := m.Preview(ctx); err != nil {
			return err
		}
		return m.Run(ctx)
	}, from, to)
}

func mustMove(t *testing.T, from, to backend) {
	t.Helper()
	if err := move(t.Context(), from, to); err != nil {
		t.Fatalf("moving %s to %s: %v", from.Path(), to.Path(), err)
	}
}

// fill writes a state with a backup, two lists and a record of a run.
func fill(t *testing.T, b backend) *state.State {
	t.Helper()
	s := state.New()
	files, prefix := b.Store()
	put := func(key string) string {
		t.Helper()
		if _, err := files.Put(t.Context(), prefix+key, store.ContentOf([]byte("the content of "+key), ""), store.Condition{}); err != nil {
			t.Fatal(err)
		}
		return prefix + key
	}
	put("runs/20220101T000000Z-abcdefgh.json")
	job := s.Job("job.events")
	job.Prospects = &state.ProspectList{Count: 2, Digest: "1", Key: put("prospects/job.events-1.jsonl")}
	job.Empty = &state.ProspectList{Count: 1, Digest: "2", Key: put("empty/job.events-2.jsonl")}
	job.Sink("sink.local.lake").Partitions["a=1"] = state.Partition{Rows: 3}
	s.Tombstones = s.Tombstones.Add(s.Lineage, "someone")
	advance(t, b, s)
	advance(t, b, s)
	return s
}

// advance writes the state once more.
func advance(t *testing.T, b backend, s *state.State) {
	t.Helper()
	err := locked(t.Context(), func(ctx context.Context) error {
		if _, err := b.Read(ctx); err != nil {
			return err
		}
		return b.Write(ctx, s)
	}, b)
	if err != nil {
		t.Fatal(err)
	}
}

// check returns an error unless the backend has the complete state: with the lists that
// it names, and the records of runs.
func check(ctx context.Context, b backend, want *state.State) error {
	got, err := b.Read(ctx)
	if err != nil {
		return err
	}
	if got.Lineage != want.Lineage || got.Serial != want.Serial || !got.Tombstones.Contains(want.Tombstones) {
		return fmt.Errorf("%s has lineage %s and serial %d", b.Path(), got.Lineage, got.Serial)
	}
	files, prefix := b.Store()
	for _, named := range []struct{ key, content string }{
		{got.Jobs["job.events"].Prospects.Key, "prospects/job.events-1.jsonl"},
		{got.Jobs["job.events"].Empty.Key, "empty/job.events-2.jsonl"},
		{prefix + "runs/20220101T000000Z-abcdefgh.json", "runs/20220101T000000Z-abcdefgh.json"},
	} {
		if text, err := readText(ctx, files, named.key); err != nil || named.key != prefix+named.content || text != "the content of "+named.content {
			return fmt.Errorf("%s: %q, %w", named.key, text, err)
		}
	}
	return nil
}

func readText(ctx context.Context, files store.Store, key string) (string, error) {
	r, err := files.Open(ctx, key)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// checkLeft checks what remains in the former place: the note, and the state as the
// backup, but no object that can name a prospect.
func checkLeft(t *testing.T, b backend, to backend, want *state.State) {
	t.Helper()
	_, err := b.Read(t.Context())
	moved, ok := errors.AsType[*state.MovedError](err)
	if !ok || moved.Moved.To != to.Path() || moved.Moved.Serial != want.Serial || moved.Moved.Lineage != want.Lineage {
		t.Errorf("reading the former state returns %v", err)
	}
	files, prefix := b.Store()
	for entry, err := range files.List(t.Context(), prefix) {
		t.Errorf("%s is left, %v", entry.Key, err)
	}
	text, err := readText(t.Context(), files, b.BackupKey())
	if err != nil {
		t.Fatal(err)
	}
	backup, err := state.Decode([]byte(text))
	if err != nil || backup.Serial != want.Serial {
		t.Errorf("the backup is %+v, %v", backup, err)
	}
}

// A state moves between all kinds of backends, and back.
func TestMove(t *testing.T) {
	kinds := map[string]func(t *testing.T) backend{
		"local": func(t *testing.T) backend {
			dir := t.TempDir()
			files, err := local.OpenPrivate(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { files.Close() })
			return state.NewLocal(files, filepath.Join(dir, "own.json"))
		},
		"remote": func(*testing.T) backend { return remote(memory.New(), "prospector.state.json", 1) },
	}
	for _, from := range slices.Sorted(maps.Keys(kinds)) {
		for _, to := range slices.Sorted(maps.Keys(kinds)) {
			t.Run(from+" to "+to, func(t *testing.T) {
				a, b := kinds[from](t), kinds[to](t)
				s := fill(t, a)
				mustMove(t, a, b)
				if err := check(t.Context(), b, s); err != nil {
					t.Error(err)
				}
				checkLeft(t, a, b, s)
				mustMove(t, a, b) // again, which changes nothing

				moved, err := b.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				advance(t, b, moved)
				mustMove(t, b, a)
				if err := check(t.Context(), a, moved); err != nil {
					t.Error(err)
				}
				checkLeft(t, b, a, moved)
			})
		}
	}
}

// A move replaces an older version of the same state, and a state that owns nothing.
func TestReplaced(t *testing.T) {
	a, b := remote(memory.New(), "a.json", 1), remote(memory.New(), "b.json", 1)
	old := fill(t, b)
	next := fill(t, a)
	next.Lineage, next.Tombstones, next.Serial = old.Lineage, nil, 7
	advance(t, a, next)
	mustMove(t, a, b)
	got, err := b.Read(t.Context())
	if err != nil || got.Serial != 8 {
		t.Fatal(got, err)
	}
	if !got.Tombstones.Has("someone") {
		t.Error("the move has lost a tombstone of the replaced state")
	}

	files := memory.New()
	c := remote(files, "c.json", 1)
	empty := state.New()
	empty.Tombstones = tombstone.Set(nil).Add(empty.Lineage, "another")
	advance(t, c, empty)
	mustMove(t, b, c)
	if got, err := c.Read(t.Context()); err != nil || got.Lineage != old.Lineage || !got.Tombstones.Has("another") {
		t.Error(got, err)
	}
}

// A move refuses to replace the state of another lake, or one that is not older. It
// changes nothing then.
func TestConflict(t *testing.T) {
	for name, change := range map[string]func(from, to *state.State){
		"another lineage":            func(from, to *state.State) {},
		"a newer serial":             func(from, to *state.State) { to.Lineage, to.Serial = from.Lineage, from.Serial+5 },
		"the same serial, but other": func(from, to *state.State) { to.Lineage, to.Serial = from.Lineage, from.Serial-1 },
	} {
		t.Run(name, func(t *testing.T) {
			under := []*memory.Store{memory.New(), memory.New()}
			a, b := remote(under[0], "a.json", 1), remote(under[1], "b.json", 1)
			from, to := fill(t, a), fill(t, b)
			change(from, to)
			to.Job("job.events").TableName = "other"
			advance(t, b, to)
			before := []map[string]string{contents(t, under[0]), contents(t, under[1])}
			err := move(t.Context(), a, b)
			conflict, ok := errors.AsType[*migrate.ConflictError](err)
			if !ok {
				t.Fatalf("the error is %v", err)
			}
			for _, text := range []string{a.Path(), b.Path(), conflict.From.Lineage, conflict.To.Lineage, fmt.Sprint("serial ", conflict.To.Serial)} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not have %q: %v", text, err)
				}
			}
			for i := range under {
				if diff := cmp.Diff(before[i], contents(t, under[i])); diff != "" {
					t.Errorf("backend %d has changed (-want +got):\n%s", i, diff)
				}
			}
		})
	}
	a := remote(memory.New(), "a.json", 1)
	if err := move(t.Context(), a, remote(memory.New(), "b.json", 1)); !errors.Is(err, migrate.ErrNothing) {
		t.Errorf("moving nothing returns %v", err)
	}
}

// A state that was moved to another place is not moved again from the former one.
func TestMovedElsewhere(t *testing.T) {
	a, b, c := remote(memory.New(), "a.json", 1), remote(memory.New(), "b.json", 1), remote(memory.New(), "c.json", 1)
	fill(t, a)
	mustMove(t, a, b)
	err := move(t.Context(), a, c)
	if moved, ok := errors.AsType[*state.MovedError](err); !ok || moved.Moved.To != b.Path() {
		t.Errorf("the error is %v", err)
	}
}

// A state that was moved to a directory of another machine is not in the directory with
// the same path on this one. Then nothing is deleted.
func TestMovedToAnotherMachine(t *testing.T) {
	files := memory.New()
	a, b := remote(files, "a.json", 1), remote(memory.New(), "b.json", 1)
	s := fill(t, a)
	mustMove(t, a, b)
	if _, err := files.Put(t.Context(), "a.json.d/left", store.ContentOf([]byte("left"), ""), store.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	same := remote(memory.New(), "b.json", 1)
	if err := move(t.Context(), a, same); err == nil || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("the error is %v", err)
	}
	if text, err := readText(t.Context(), files, "a.json.d/left"); err != nil || text != "left" {
		t.Errorf("the object next to the former state is %q, %v", text, err)
	}
	if err := check(t.Context(), b, s); err != nil {
		t.Error(err)
	}
}

func contents(t *testing.T, files store.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for entry, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		text, err := readText(t.Context(), files, entry.Key)
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Key] = text
	}
	return all
}

var errKilled = errors.New("the process was killed")

// dying is a store of a process that is killed after a number of operations, before or
// after the last one takes effect.
type dying struct {
	store.Store
	lives *int
	late  bool
}

// Concurrency implements store.Concurrent, so that the operations have an order.
func (d *dying) Concurrency() int { return 1 }

func (d *dying) live() (effective bool, err error) {
	*d.lives--
	switch {
	case *d.lives > 0:
		return true, nil
	case *d.lives == 0:
		return d.late, errKilled
	}
	return false, errKilled
}

func (d *dying) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (o store.Object, err error) {
	effective, killed := d.live()
	if effective {
		o, err = d.Store.Put(ctx, key, content, cond)
	}
	if killed != nil {
		return store.Object{}, killed
	}
	return o, err
}

func (d *dying) Delete(ctx context.Context, key string, cond store.Condition) (err error) {
	effective, killed := d.live()
	if effective {
		err = d.Store.Delete(ctx, key, cond)
	}
	return errors.Join(killed, err)
}

func (d *dying) Stat(ctx context.Context, key string) (store.Object, error) {
	if _, err := d.live(); err != nil {
		return store.Object{}, err
	}
	return d.Store.Stat(ctx, key)
}

func (d *dying) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, err := d.live(); err != nil {
		return nil, err
	}
	return d.Store.Open(ctx, key)
}

func (d *dying) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	if _, err := d.live(); err != nil {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, err) }
	}
	return d.Store.List(ctx, prefix)
}

// The process is killed at every operation of a move. Then one of the backends has the
// complete state, and the next move completes the move.
func TestKilled(t *testing.T) {
	for _, late := range []bool{false, true} {
		for lives := 1; ; lives++ {
			under := []store.Store{memory.New(), memory.New()}
			s := fill(t, remote(under[0], "a.json", 1))
			backup, err := readText(t.Context(), under[0], "a.json.backup")
			if err != nil {
				t.Fatal(err)
			}
			left := lives
			killed := move(t.Context(),
				remote(&dying{under[0], &left, late}, "a.json", 2), remote(&dying{under[1], &left, late}, "b.json", 2))

			a, b := remote(under[0], "a.json", 3), remote(under[1], "b.json", 3)
			inA, inB := check(t.Context(), a, s), check(t.Context(), b, s)
			if inA != nil && inB != nil {
				t.Fatalf("killed at operation %d (late: %t), neither backend has the state: %v; %v", lives, late, inA, inB)
			}
			if got, err := b.Read(t.Context()); inB != nil && (err != nil || !got.Empty()) {
				t.Errorf("killed at operation %d (late: %t), the new state is incomplete: %v", lives, late, inB)
			}
			mustMove(t, a, b)
			if err := check(t.Context(), b, s); err != nil {
				t.Errorf("killed at operation %d (late: %t), after the next move: %v", lives, late, err)
			}
			checkLeft(t, a, b, s)
			// The former place already has this state as its backup when the note replaces it.
			got, err := readText(t.Context(), under[1], b.BackupKey())
			if err != nil {
				t.Fatal(err)
			}
			if moved, err := state.Decode([]byte(got)); err != nil || got != backup && moved.Serial != s.Serial {
				t.Errorf("killed at operation %d (late: %t), the backup is %+v, %v", lives, late, moved, err)
			}
			if left > 0 { // it was not killed
				if killed != nil {
					t.Fatal(killed)
				}
				t.Logf("a move has %d operations", lives-left)
				break
			}
		}
	}
}
