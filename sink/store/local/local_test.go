package local_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prospector/internal/nolink"
	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) }, storetest.Advisor, storetest.Concurrent)
}

func open(t testing.TB, root string) *local.Store {
	t.Helper()
	s, err := local.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s store.Store, key, data string) store.Object {
	t.Helper()
	o, err := s.Put(t.Context(), key, store.ContentOf([]byte(data), ""), store.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func keys(t testing.TB, s store.Store, prefix string) (keys []string) {
	t.Helper()
	for e, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return keys
}

func write(t testing.TB, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	t.Run("creates the root", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "a", "b")
		s := open(t, root)
		put(t, s, "c/d", "one")
		if data, err := os.ReadFile(filepath.Join(root, "c", "d")); string(data) != "one" {
			t.Errorf("the file holds %q, %v", data, err)
		}
		if got, want := s.URI("c/d e"), "file://"+root+"/c/d%20e"; got != want {
			t.Errorf("URI is %q, want %q", got, want)
		}
	})
	t.Run("a file cannot be the root", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		write(t, file, "")
		for _, root := range []string{file, filepath.Join(file, "below")} {
			_, err := local.Open(root)
			if err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "not a directory") {
				t.Errorf("Open(%s) returns %v", root, err)
			}
		}
	})
	t.Run("an unwritable root", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("the superuser may write anywhere")
		}
		root := t.TempDir()
		if err := os.Chmod(root, 0o555); err != nil {
			t.Fatal(err)
		}
		for _, root := range []string{root, filepath.Join(root, "below")} {
			_, err := local.Open(root)
			if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), root) {
				t.Errorf("Open(%s) returns %v", root, err)
			}
		}
	})
}

func TestTemporaries(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	tmp := filepath.Join(root, ".prospector", "tmp")
	put(t, s, "a", "one")
	if _, err := s.Put(t.Context(), "a", store.Content{Reader: strings.NewReader("x"), Size: 2}, store.Condition{}); !errors.Is(err, store.ErrCorrupt) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) != 0 {
		t.Errorf("Put leaves %v, %v", entries, err)
	}

	write(t, filepath.Join(tmp, "young"), "in use")
	write(t, filepath.Join(tmp, "old"), "abandoned")
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(tmp, "old"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, ".prospector", "kept"), "an object")
	s = open(t, root)
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) != 1 || entries[0].Name() != "young" {
		t.Errorf("Open leaves %v, %v", entries, err)
	}
	for prefix, want := range map[string][]string{
		"":                     {".prospector/kept", "a"},
		".prospector/":         {".prospector/kept"},
		".prospector/t":        nil,
		".prospector/tmp/":     nil,
		".prospector/tmp/youn": nil,
	} {
		if got := keys(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) returns %q, want %q", prefix, got, want)
		}
	}
	for _, key := range []string{".prospector/tmp", ".prospector/tmp/young"} {
		if _, err := s.Stat(t.Context(), key); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("Stat of %s returns %v, want a refusal", key, err)
		}
	}
	if err := s.Sweep(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) != 0 {
		t.Errorf("Sweep leaves %v, %v", entries, err)
	}
	if got := keys(t, s, ""); !slices.Equal(got, []string{".prospector/kept", "a"}) {
		t.Errorf("Sweep leaves the objects %q", got)
	}
	if err := os.RemoveAll(filepath.Join(root, ".prospector")); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		t.Errorf("without the directory: %v", err)
	}
	put(t, s, "b", "the directory is made again")
}

func TestForeignFiles(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	write(t, filepath.Join(root, "_SUCCESS"), "")
	if err := os.MkdirAll(filepath.Join(root, "empty", "directory"), 0o777); err != nil {
		t.Fatal(err)
	}
	if got, want := keys(t, s, ""), []string{"_SUCCESS"}; !slices.Equal(got, want) {
		t.Errorf("List returns %q, want %q", got, want)
	}
	for _, cond := range []store.Condition{{}, store.IfAbsent()} {
		_, err := s.Put(t.Context(), "empty", store.ContentOf(nil, ""), cond)
		if err == nil || errors.Is(err, store.ErrCondition) {
			t.Errorf("Put over a directory returns %v", err)
		}
	}
	if _, err := s.Put(t.Context(), "_SUCCESS/a", store.ContentOf(nil, ""), store.Condition{}); err == nil {
		t.Error("Put below a file succeeds")
	}
}

// No operation follows a link below the root, whether it leads to a file or a directory,
// outside the root or below it, to itself or to nothing.
func TestLinks(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "a"), "precious")
	for name, link := range map[string]struct{ at, target, key string }{
		"file":                  {"t/p=1/a", filepath.Join(outside, "a"), "t/p=1/a"},
		"file below the root":   {"t/p=1/a", "../p=2/a", "t/p=1/a"},
		"partition":             {"t/p=1", outside, "t/p=1/a"},
		"partition of the root": {"t/p=1", "p=2", "t/p=1/a"},
		"table":                 {"t", outside, "t/a"},
		"dangling":              {"t/p=1", "nowhere", "t/p=1/a"},
		"dangling file":         {"t/p=1/a", "nowhere", "t/p=1/a"},
		"circle":                {"t/p=1", ".", "t/p=1/a"},
		"private directory":     {".prospector/quarantine", outside, ".prospector/quarantine/a"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := open(t, root)
			if link.at != "t" {
				put(t, s, "t/p=2/a", "other")
			}
			path := filepath.Join(root, link.at)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.Symlink(link.target, path)); err != nil {
				t.Fatal(err)
			}
			of := func(cond store.Condition) error {
				_, err := s.Put(t.Context(), link.key, store.ContentOf([]byte("new"), ""), cond)
				return err
			}
			_, stat := s.Stat(t.Context(), link.key)
			_, read := s.Open(t.Context(), link.key)
			var listed error
			for _, err := range s.List(t.Context(), link.at[:1]) {
				listed = errors.Join(listed, err)
			}
			for op, err := range map[string]error{
				"Stat": stat, "Open": read, "List": listed, "Put": of(store.Condition{}),
				"Put if absent": of(store.IfAbsent()), "Put if unchanged": of(store.IfGeneration("1-1-1")),
				"Delete": s.Delete(t.Context(), link.key, store.Condition{}),
			} {
				if e, ok := errors.AsType[*nolink.LinkError](err); !ok || e.Path != path || e.Target != link.target {
					t.Errorf("%s returns %v, want the link %s", op, err, path)
				}
			}
			if target, err := os.Readlink(path); target != link.target {
				t.Errorf("the link is %q, %v", target, err)
			}
			if data, err := os.ReadFile(filepath.Join(outside, "a")); string(data) != "precious" {
				t.Errorf("the file outside holds %q, %v", data, err)
			}
		})
	}
	t.Run("List counts links", func(t *testing.T) {
		root := t.TempDir()
		s := open(t, root)
		put(t, s, "t/a", "one")
		for _, name := range []string{"b", "c", "d"} {
			if err := os.Symlink(outside, filepath.Join(root, "t", name)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for e, err := range s.List(t.Context(), "t/") {
			if err != nil {
				got = append(got, err.Error())
			} else {
				got = append(got, e.Key)
			}
		}
		if len(got) != 2 || got[0] != "t/a" || !strings.Contains(got[1], "t/b is a symbolic link to "+outside+", and there are 2 more") {
			t.Errorf("List returns %q", got)
		}
	})
	t.Run("temporaries", func(t *testing.T) {
		for _, at := range []string{".prospector", ".prospector/tmp"} {
			root := t.TempDir()
			path := filepath.Join(root, at)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.Symlink(outside, path)); err != nil {
				t.Fatal(err)
			}
			if _, err := local.Open(root); !strings.Contains(fmt.Sprint(err), path+" is a symbolic link") {
				t.Errorf("Open with a link at %s returns %v", at, err)
			}
		}
	})
	t.Run("the root may be a link", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "lake")
		if err := os.Symlink(t.TempDir(), root); err != nil {
			t.Fatal(err)
		}
		put(t, open(t, root), "t/a", "one")
		if got := keys(t, open(t, root), ""); !slices.Equal(got, []string{"t/a"}) {
			t.Errorf("List returns %q", got)
		}
	})
}

// Operations fail if a directory becomes a link while they use it.
func TestSwappedForLink(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "a"), "precious")
	s := open(t, root)
	put(t, s, "t/p=1/a", "one")
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // replaces the directory by a link, again and again
		at, aside := filepath.Join(root, "t", "p=1"), filepath.Join(root, "aside")
		for {
			select {
			case <-done:
				return
			default:
			}
			if os.Rename(at, aside) == nil {
				os.Symlink(outside, at)
				os.Remove(at)
				os.Rename(aside, at)
			}
		}
	})
	for range 300 {
		s.Put(t.Context(), "t/p=1/a", store.ContentOf([]byte("two"), ""), store.Condition{})
		s.Put(t.Context(), "t/p=1/b", store.ContentOf([]byte("two"), ""), store.IfAbsent())
		s.Delete(t.Context(), "t/p=1/a", store.Condition{})
		s.Delete(t.Context(), "t/p=1/b", store.Condition{})
		if r, err := s.Open(t.Context(), "t/p=1/a"); err == nil {
			if b, _ := io.ReadAll(r); string(b) == "precious" {
				t.Error("Open follows a link")
			}
			r.Close()
		}
		for e := range s.List(t.Context(), "t/") {
			if e.Size == int64(len("precious")) {
				t.Error("List follows a link")
			}
		}
	}
	close(done)
	wg.Wait()
	entries, err := os.ReadDir(outside)
	if data, _ := os.ReadFile(filepath.Join(outside, "a")); err != nil || len(entries) != 1 || string(data) != "precious" {
		t.Errorf("the directory outside has %v, with the content %q: %v", entries, data, err)
	}
}

func TestDeleteRemovesEmptyDirectories(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	put(t, s, "t/p=1/q=1/a", "one")
	put(t, s, "t/p=2/a", "two")
	for _, step := range []struct{ key, gone, left string }{
		{"t/p=1/q=1/a", "t/p=1", "t/p=2"},
		{"t/p=2/a", "t", ""},
	} {
		if err := s.Delete(t.Context(), step.key, store.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, step.gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", step.gone, err)
		}
		if _, err := os.Stat(filepath.Join(root, step.left)); err != nil {
			t.Error(err)
		}
	}
	// A process may be killed after it deletes an object and before it removes the
	// directories. The next run deletes the object again.
	put(t, s, "t/p=1/q=1/a", "one")
	put(t, s, "t/b", "two")
	if err := os.Remove(filepath.Join(root, "t/p=1/q=1/a")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "t/p=1/q=1/a", store.Condition{}); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("Delete of nothing returns %v", err)
		}
		if entries, err := os.ReadDir(filepath.Join(root, "t")); err != nil || len(entries) != 1 || entries[0].Name() != "b" {
			t.Errorf("Delete of nothing leaves %v, %v", entries, err)
		}
	}
	// A directory that another process has removed is created again.
	put(t, s, "t/p=1/a", "three")
	if err := os.RemoveAll(filepath.Join(root, "t")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "t/p=1/a", "four")
}

// Two processes have a Store each, and their objects share directories. No Put may fail
// because a Delete has just removed the directory, and no directory may remain when all
// objects are deleted.
func TestPutsDuringDeletes(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	for process := range 2 {
		s := open(t, root)
		for worker := range 3 {
			wg.Go(func() {
				key := fmt.Sprintf("t/p=1/q=%d/%d", worker, process)
				for range 30 {
					if _, err := s.Put(t.Context(), key, store.ContentOf([]byte(key), ""), store.IfAbsent()); err != nil {
						t.Error(err)
					}
					if data, err := os.ReadFile(filepath.Join(root, key)); string(data) != key {
						t.Errorf("%s holds %q, %v", key, data, err)
					}
					if err := s.Delete(t.Context(), key, store.Condition{}); err != nil {
						t.Error(err)
					}
					if err := s.Delete(t.Context(), key, store.Condition{}); !errors.Is(err, store.ErrNotExist) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 || entries[0].Name() != ".prospector" {
		t.Errorf("%v are left: %v", entries, err)
	}
}

func TestGeneration(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	path := filepath.Join(root, "a")
	generation := func() string {
		t.Helper()
		o, err := s.Stat(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return o.Generation
	}
	before := put(t, s, "a", "one").Generation

	for name, same := range map[string]func() error{
		"chmod":     func() error { return os.Chmod(path, 0o600) },
		"hard link": func() error { return os.Link(path, filepath.Join(root, "backup")) },
		"move":      func() error { return errors.Join(os.Rename(path, path+"x"), os.Rename(path+"x", path)) },
	} {
		if err := same(); err != nil {
			t.Fatal(err)
		}
		if now := generation(); now != before {
			t.Errorf("%s changes the generation from %s to %s", name, before, now)
		}
	}
	for name, change := range map[string]func() error{
		"another tool's write": func() error { return os.WriteFile(path, []byte("two"), 0o666) },
		"a restored copy": func() error {
			return errors.Join(os.WriteFile(path+"x", []byte("one"), 0o666), os.Rename(path+"x", path))
		},
	} {
		before := generation()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if now := generation(); now == before {
			t.Errorf("%s keeps the generation %s", name, before)
		}
	}
	// These writes are so fast that inodes are reused within one tick of the kernel's
	// clock.
	seen := map[string]bool{}
	for i := range 200 {
		o := put(t, s, "b", fmt.Sprintf("%03d", i))
		if seen[o.Generation] {
			t.Fatalf("write %d has the generation %s of an earlier one", i, o.Generation)
		}
		seen[o.Generation] = true
	}
}

// Only the owner can read private objects, whatever the umask, and wider directories are
// narrowed. Objects of the lake have the modes that the umask allows. The mode of the root
// does not change.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		for _, private := range []bool{false, true} {
			t.Run(fmt.Sprintf("umask %03o, private store %t", umask, private), func(t *testing.T) {
				before := syscall.Umask(0)
				defer syscall.Umask(before)
				root := filepath.Join(t.TempDir(), "root")
				wide := []string{root, filepath.Join(root, ".prospector"), filepath.Join(root, ".prospector/quarantine"), filepath.Join(root, "state.d")}
				for _, dir := range wide {
					if err := os.Mkdir(dir, 0o775); err != nil {
						t.Fatal(err)
					}
				}
				syscall.Umask(umask)
				opener := local.Open
				if private {
					opener = local.OpenPrivate
				}
				s, err := opener(root)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"t/p=1/a", "state.d/runs/a", ".prospector/quarantine/a", ".prospector/damaged/t/a"} {
					put(t, s, key, "one")
				}
				dir, file := 0o777&^os.FileMode(umask), 0o666&^os.FileMode(umask)
				existing := os.FileMode(0o775)
				if private {
					dir, file, existing = 0o700, 0o600, 0o700
				}
				for path, want := range map[string]os.FileMode{
					"": 0o775, "t": dir, "t/p=1": dir, "t/p=1/a": file,
					"state.d": existing, "state.d/runs": dir, "state.d/runs/a": file,
					".prospector": 0o700, ".prospector/tmp": 0o700,
					".prospector/quarantine": 0o700, ".prospector/quarantine/a": 0o600,
					".prospector/damaged": 0o700, ".prospector/damaged/t": 0o700, ".prospector/damaged/t/a": 0o600,
				} {
					info, err := os.Stat(filepath.Join(root, path))
					if err != nil || info.Mode().Perm() != want {
						t.Errorf("%q has the mode %v, want %v: %v", path, info.Mode().Perm(), want, err)
					}
				}
			})
		}
	}
}
