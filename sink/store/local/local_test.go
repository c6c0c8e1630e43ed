package local_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prospector/sink/store"
	"prospector/sink/store/local"
	"prospector/sink/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
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
	t.Run("makes the root", func(t *testing.T) {
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
	t.Run("a file is no root", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		write(t, file, "")
		for _, root := range []string{file, filepath.Join(file, "below")} {
			_, err := local.Open(root)
			if err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "not a directory") {
				t.Errorf("Open(%s) gives %v", root, err)
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
				t.Errorf("Open(%s) gives %v", root, err)
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
			t.Errorf("List(%q) gives %q, want %q", prefix, got, want)
		}
	}
	for _, key := range []string{".prospector/tmp", ".prospector/tmp/young"} {
		if _, err := s.Stat(t.Context(), key); err == nil || errors.Is(err, store.ErrNotExist) {
			t.Errorf("Stat of %s gives %v, want a refusal", key, err)
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
	root, elsewhere := t.TempDir(), t.TempDir()
	s := open(t, root)
	write(t, filepath.Join(elsewhere, "target"), "linked")
	write(t, filepath.Join(root, "_SUCCESS"), "")
	for name, target := range map[string]string{"file": filepath.Join(elsewhere, "target"), "dir": elsewhere, "dangling": "nowhere", "circle": "."} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "empty", "directory"), 0o777); err != nil {
		t.Fatal(err)
	}
	if got, want := keys(t, s, ""), []string{"_SUCCESS", "file"}; !slices.Equal(got, want) {
		t.Errorf("List gives %q, want %q", got, want)
	}
	o, err := s.Stat(t.Context(), "file")
	if err != nil || o.Size != 6 || o.CRC32C != store.Checksum([]byte("linked")) {
		t.Errorf("Stat of a link gives %+v, %v", o, err)
	}

	for _, cond := range []store.Condition{{}, store.IfAbsent()} {
		_, err := s.Put(t.Context(), "empty", store.ContentOf(nil, ""), cond)
		if err == nil || errors.Is(err, store.ErrCondition) {
			t.Errorf("Put over a directory gives %v", err)
		}
	}
	if _, err := s.Put(t.Context(), "_SUCCESS/a", store.ContentOf(nil, ""), store.Condition{}); err == nil {
		t.Error("Put below a file succeeds")
	}

	// What was a link becomes a file; the file that it named stays.
	put(t, s, "file", "replaced")
	if data, err := os.ReadFile(filepath.Join(elsewhere, "target")); string(data) != "linked" {
		t.Errorf("the target of the link holds %q, %v", data, err)
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
	// Whoever deletes an object may be killed before it comes to its directories,
	// and then deletes it again.
	put(t, s, "t/p=1/q=1/a", "one")
	put(t, s, "t/b", "two")
	if err := os.Remove(filepath.Join(root, "t/p=1/q=1/a")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "t/p=1/q=1/a", store.Condition{}); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("Delete of nothing gives %v", err)
		}
		if entries, err := os.ReadDir(filepath.Join(root, "t")); err != nil || len(entries) != 1 || entries[0].Name() != "b" {
			t.Errorf("Delete of nothing leaves %v, %v", entries, err)
		}
	}
	// A directory that is there no more, whoever removed it, is made again.
	put(t, s, "t/p=1/a", "three")
	if err := os.RemoveAll(filepath.Join(root, "t")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "t/p=1/a", "four")
}

// Two processes, each with its Store, whose objects share directories: no Put
// fails because a Delete has just removed what it was about to fill, and once
// everything is deleted no directory is left.
func TestPutsBesideDeletes(t *testing.T) {
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
		t.Errorf("left are %v, %v", entries, err)
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
	// Fast enough that inodes come again within one tick of the kernel's clock.
	seen := map[string]bool{}
	for i := range 200 {
		o := put(t, s, "b", fmt.Sprintf("%03d", i))
		if seen[o.Generation] {
			t.Fatalf("write %d has the generation %s of an earlier one", i, o.Generation)
		}
		seen[o.Generation] = true
	}
}
