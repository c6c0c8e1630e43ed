package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

type reader interface {
	Read(context.Context) (*state.State, error)
}

type writer interface {
	Write(context.Context, *state.State) error
}

// backend returns a Local at the path, as another process would create it.
func backend(t testing.TB, path string) *state.Local {
	t.Helper()
	files, err := local.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	return state.NewLocal(files, path)
}

func statePath(t testing.TB) string { return filepath.Join(t.TempDir(), "prospector.state.json") }

// lock takes the lock and ignores its context.
func lock(t testing.TB, l state.Locker, info state.LockInfo) error {
	t.Helper()
	_, err := l.Lock(t.Context(), info)
	return err
}

func read(t testing.TB, l reader) *state.State {
	t.Helper()
	s, err := l.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, l writer, s *state.State) {
	t.Helper()
	if err := l.Write(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// contents returns the content of the file, or "" if there is none.
func contents(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func overwrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadWithoutFile(t *testing.T) {
	path := statePath(t)
	l := backend(t, path)
	if l.Path() != path {
		t.Errorf("the path is %q", l.Path())
	}
	s := read(t, l)
	if s.Lineage == "" || s.Serial != 0 || len(s.Jobs) != 0 {
		t.Errorf("the state is %+v", s)
	}
	if contents(t, path) != "" {
		t.Error("Read has created a file")
	}
}

func TestReadDamaged(t *testing.T) {
	for _, test := range []struct {
		name, file string
		contains   []string
	}{
		{"truncated", `{"version":1,`, []string{".backup"}},
		{"empty", ``, []string{".backup"}},
		{"newer", `{"version":6}`, []string{"newer version", "format 6"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := statePath(t)
			overwrite(t, path, test.file)
			_, err := backend(t, path).Read(t.Context())
			if err == nil {
				t.Fatal("Read accepted it")
			}
			for _, contains := range append(test.contains, path) {
				if !strings.Contains(err.Error(), contains) {
					t.Errorf("the error does not contain %q: %v", contains, err)
				}
			}
			if errors.Is(err, state.ErrNewer) != (test.name == "newer") {
				t.Errorf("the error has the wrong kind: %v", err)
			}
			if strings.Contains(err.Error(), ".backup") && test.name == "newer" {
				t.Errorf("the error names a backup that does not exist: %v", err)
			}
		})
	}
}

// The error for a damaged state reports whether the backup can replace it.
func TestReadDamagedWithBackup(t *testing.T) {
	damaged := strings.Replace(encode(t, owning("a", 4, 71)), `"rows": 71`, `"rows": 17`, 1)
	for _, test := range []struct {
		name, backup string
		contains     []string
	}{
		{"none", "", []string{"There is no backup at"}},
		{"intact", encode(t, owning("a", 3, 1)), []string{"is intact: it has serial 3, written at 20", "state push -force"}},
		{"of an older format", `{"version":1,"serial":2,"lineage":"x","jobs":{}}`, []string{"is intact: it has serial 2, "}},
		{"damaged as well", damaged, []string{"cannot be used either", "checksum"}},
		{"truncated", "{", []string{"cannot be used either", "not JSON"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := statePath(t)
			overwrite(t, path, damaged)
			if test.backup != "" {
				overwrite(t, path+".backup", test.backup)
			}
			for _, b := range []reader{backend(t, path), state.NewRemote(openDir(t, path), filepath.Base(path), state.RemoteOptions{})} {
				_, err := b.Read(t.Context())
				if !errors.Is(err, state.ErrDamaged) {
					t.Fatalf("the error is %v", err)
				}
				if d, ok := errors.AsType[jobs.Diagnostic](fmt.Errorf("wrapped: %w", err)); !ok || d.Summary != "The state is damaged" {
					t.Errorf("its diagnostic is %+v", d)
				}
				for _, contains := range append(test.contains, "checksum does not match", path) {
					if !strings.Contains(err.Error(), contains) {
						t.Errorf("the error does not contain %q: %v", contains, err)
					}
				}
			}
			if contents(t, path) != damaged || contents(t, path+".backup") != test.backup {
				t.Error("a file has changed")
			}
		})
	}
}

func openDir(t testing.TB, path string) store.Store {
	t.Helper()
	files, err := local.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Each write increments the serial and keeps the previous state as the backup.
func TestWrite(t *testing.T) {
	path := statePath(t)
	l := backend(t, path)
	s := read(t, l)
	lineage := s.Lineage
	for serial := int64(1); serial <= 4; serial++ {
		if serial == 3 { // another run, which reads the state first
			l = backend(t, path)
			if diff := cmp.Diff(s, read(t, l), same); diff != "" {
				t.Fatalf("the state that was read differs from the one that was written (-want +got):\n%s", diff)
			}
		}
		before := contents(t, path)
		s.Job("job.a").Sink("sink.b").Partitions["p"] = partition(serial, 1)
		write(t, l, s)
		if s.Serial != serial || s.Lineage != lineage {
			t.Errorf("after write %d the state has serial %d and lineage %s", serial, s.Serial, s.Lineage)
		}
		if got, want := contents(t, path), encode(t, s); got != want {
			t.Errorf("write %d: the file contains\n%s, want\n%s", serial, got, want)
		}
		if got := contents(t, path+".backup"); got != before {
			t.Errorf("write %d: the backup contains\n%s, want\n%s", serial, got, before)
		}
	}
}

// If another program has replaced the state, neither the state nor its backup is
// overwritten.
func TestWriteAfterAnotherProgram(t *testing.T) {
	for _, test := range []struct {
		name       string
		begin      int // the number of earlier writes
		interferes func(t *testing.T, path string)
	}{
		{"created", 0, func(t *testing.T, path string) {
			write(t, backend(t, path), state.New())
		}},
		{"created and written again", 0, func(t *testing.T, path string) {
			l, s := backend(t, path), state.New()
			write(t, l, s)
			write(t, l, s)
		}},
		{"written", 2, func(t *testing.T, path string) {
			l := backend(t, path)
			write(t, l, read(t, l))
		}},
		{"backup restored", 2, func(t *testing.T, path string) {
			if err := os.Rename(path+".backup", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"damaged", 2, func(t *testing.T, path string) { overwrite(t, path, "{") }},
		{"deleted", 2, func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := statePath(t)
			l := backend(t, path)
			s := read(t, l)
			for range test.begin {
				write(t, l, s)
			}
			test.interferes(t, path)
			file, backup := contents(t, path), contents(t, path+".backup")

			for range 2 { // a second attempt fails as well
				if err := l.Write(t.Context(), s); !errors.Is(err, store.ErrCondition) {
					t.Errorf("Write returned %v", err)
				}
				if s.Serial != int64(test.begin) {
					t.Errorf("the serial is %d after a failed write", s.Serial)
				}
				if got := contents(t, path); got != file {
					t.Errorf("the file has changed from\n%s to\n%s", file, got)
				}
				if got := contents(t, path+".backup"); got != backup {
					t.Errorf("the backup has changed from\n%s to\n%s", backup, got)
				}
			}
		})
	}
}

// interfering is a store in which another program writes the state right after the
// backup is made.
type interfering struct {
	store.Store
	write func()
}

func (s *interfering) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	o, err := s.Store.Put(ctx, key, content, cond)
	if strings.HasSuffix(key, ".backup") {
		s.write()
	}
	return o, err
}

func TestWriteWhileAnotherProgramDoes(t *testing.T) {
	path := statePath(t)
	write(t, backend(t, path), state.New())
	files, err := local.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	l := state.NewLocal(&interfering{files, func() {
		other := backend(t, path)
		write(t, other, read(t, other))
	}}, path)
	s := read(t, l)
	if err := l.Write(t.Context(), s); !errors.Is(err, store.ErrCondition) || s.Serial != 1 {
		t.Errorf("Write returned %v and serial %d", err, s.Serial)
	}
	if now := read(t, backend(t, path)); now.Serial != 2 {
		t.Errorf("the file has serial %d: the other write is lost", now.Serial)
	}
}

var noon = time.Date(2022, 1, 13, 12, 0, 0, 0, time.UTC)

func TestLock(t *testing.T) {
	path := statePath(t)
	first, second := backend(t, path), backend(t, path)
	info := state.NewLockInfo("apply", noon.In(time.FixedZone("", 3600)))
	if err := lock(t, first, info); err != nil {
		t.Fatal(err)
	}
	for _, other := range []*state.Local{second, first} {
		err := lock(t, other, state.NewLockInfo("plan", noon))
		var locked *state.LockedError
		if !errors.Is(err, state.ErrLocked) || !errors.As(err, &locked) {
			t.Fatalf("the second lock returned %v", err)
		}
		info.Path = path
		if diff := cmp.Diff(info, locked.Holder); diff != "" {
			t.Errorf("the holder differs (-want +got):\n%s", diff)
		}
		for _, contains := range []string{info.Who, "apply", "2022-01-13T12:00:00Z", info.ID} {
			if !strings.Contains(err.Error(), contains) {
				t.Errorf("the error does not contain %q: %v", contains, err)
			}
		}
	}
	if err := second.Unlock(); err != nil { // it does not hold the lock, so it cannot release it
		t.Error(err)
	}
	if err := lock(t, second, info); !errors.Is(err, state.ErrLocked) {
		t.Errorf("a backend that does not hold the lock has released it: %v", err)
	}
	for range 2 {
		if err := first.Unlock(); err != nil {
			t.Error(err)
		}
	}
	if err := lock(t, second, info); err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
	if err := first.Unlock(); err != nil { // again, now that another backend holds it
		t.Error(err)
	}
	if err := lock(t, backend(t, path), info); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), info.ID) {
		t.Errorf("a former holder has released the lock of another: %v", err)
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
}

// The file that describes the holder of the lock is only for the user.
func TestLockInfoIsNotTheLock(t *testing.T) {
	infoOf := func(path string) string {
		return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock.info")
	}
	for _, test := range []struct {
		name string
		harm func(t *testing.T, info string)
	}{
		{"incomplete", func(t *testing.T, info string) { overwrite(t, info, contents(t, info)[:20]) }},
		{"empty", func(t *testing.T, info string) { overwrite(t, info, "") }},
		{"not a lock", func(t *testing.T, info string) { overwrite(t, info, `["a"]`) }},
		{"missing", func(t *testing.T, info string) {
			if err := os.Remove(info); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name+" while held", func(t *testing.T) {
			path := statePath(t)
			holder, other := backend(t, path), backend(t, path)
			if err := lock(t, holder, state.NewLockInfo("apply", noon)); err != nil {
				t.Fatal(err)
			}
			test.harm(t, infoOf(path))
			err := lock(t, other, state.NewLockInfo("plan", noon))
			if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), "another run") {
				t.Errorf("the second lock returned %v", err)
			}
			if err := holder.Unlock(); err != nil {
				t.Error(err)
			}
			if err := lock(t, other, state.NewLockInfo("plan", noon)); err != nil {
				t.Errorf("after the lock was released: %v", err)
			}
			if err := other.Unlock(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("left by a dead holder", func(t *testing.T) {
		path := statePath(t)
		overwrite(t, infoOf(path), `{"id":"gone-long-ago"`)
		l := backend(t, path)
		info := state.NewLockInfo("apply", noon)
		if err := lock(t, l, info); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, infoOf(path)); !strings.Contains(got, info.ID) || strings.Contains(got, "gone-long-ago") {
			t.Errorf("the holder is described as %s", got)
		}
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
		if contents(t, infoOf(path)) != "" {
			t.Error("a lock that no process holds has a description")
		}
	})
}

func TestLockInMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "prospector.state.json")
	err := lock(t, state.NewLocal(nil, path), state.NewLockInfo("plan", noon))
	if err == nil || errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("Lock returned %v", err)
	}
}

// If the lock file cannot be used, the error names it and suggests what to do.
func TestLockIsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), ".state.json.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := lock(t, state.NewLocal(nil, path), state.NewLockInfo("plan", noon))
	if err == nil || !strings.Contains(err.Error(), "remove ") || !strings.Contains(err.Error(), ".state.json.lock") {
		t.Errorf("got %v", err)
	}
}

func TestLockInfo(t *testing.T) {
	a, b := state.NewLockInfo("plan", noon), state.NewLockInfo("plan", noon)
	if a.ID == "" || a.ID == b.ID {
		t.Errorf("two locks have the IDs %q and %q", a.ID, b.ID)
	}
	if a.Operation != "plan" || !a.Created.Equal(noon) || !strings.Contains(a.Who, "@") {
		t.Errorf("the lock is %+v", a)
	}
}

// A lock of the operating system cannot be taken from its holder, and the error
// names the holder. A lock without a holder blocks no run.
func TestForceUnlock(t *testing.T) {
	path := statePath(t)
	holder, other := backend(t, path), backend(t, path)
	info := state.NewLockInfo("apply", noon)
	if err := lock(t, holder, info); err != nil {
		t.Fatal(err)
	}
	err := other.ForceUnlock(t.Context(), info.ID)
	if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), info.Who) || !strings.Contains(err.Error(), "end it") {
		t.Errorf("a held lock returned %v", err)
	}
	if err := lock(t, other, info); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), info.ID) {
		t.Errorf("the lock is no longer held, or its holder has no description: %v", err)
	}
	if err := holder.Unlock(); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock.info")
	overwrite(t, stale, `{"id":"gone-long-ago"}`)
	if err := other.ForceUnlock(t.Context(), "gone-long-ago"); !errors.Is(err, state.ErrNotLocked) {
		t.Errorf("a lock that no process holds returned %v", err)
	}
	if contents(t, stale) != "" {
		t.Error("the description of the dead holder is still there")
	}
	if err := lock(t, other, info); err != nil {
		t.Errorf("the state cannot be locked afterwards: %v", err)
	}
}

func TestStore(t *testing.T) {
	path := statePath(t)
	files, prefix := backend(t, path).Store()
	if prefix != "prospector.state.json.d/" {
		t.Errorf("the prefix is %q", prefix)
	}
	if _, err := files.Put(t.Context(), prefix+"runs/1", store.ContentOf([]byte("x"), ""), store.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	if contents(t, path+".d/runs/1") != "x" {
		t.Error("it is not next to the state")
	}
}
