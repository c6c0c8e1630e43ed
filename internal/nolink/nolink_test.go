package nolink_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prospector/internal/nolink"
)

func openDir(t *testing.T, path string) *nolink.Dir {
	t.Helper()
	d, err := nolink.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Every operation refuses a link to a file or directory, or removes the link
// itself.
func TestLinks(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"dir": outside, "file": precious, "dangling": filepath.Join(outside, "new")} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	d := openDir(t, root)
	for _, name := range []string{"dir", "file", "dangling"} {
		_, open := d.Open(name)
		_, below := d.Open(name + "/below")
		_, makes := d.Make(name+"/below", true)
		_, file := d.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		_, regular := d.Regular(name)
		_, lock := d.TryLock(name)
		_, private := nolink.MakePrivate(root, name)
		for op, err := range map[string]error{
			"Open": open, "Open below": below, "Make": makes, "OpenFile": file, "Regular": regular, "TryLock": lock,
			"MakePrivate": private, "WriteFile": d.WriteFile(name, []byte("x")), "RemoveAll": d.RemoveAll(name), "RemoveAll below": d.RemoveAll(name + "/below"),
		} {
			link, ok := errors.AsType[*nolink.LinkError](err)
			if !ok || link.Path != filepath.Join(root, name) || !strings.HasPrefix(link.Target, outside) {
				t.Errorf("%s of %s returned %v", op, name, err)
			}
		}
		if _, err := d.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create of %s returned %v", name, err)
		}
		if err := d.Remove(name); err != nil {
			t.Errorf("Remove of %s returned %v", name, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("the directory outside has the entries %v: %v", entries, err)
	}
	if info, err := os.Stat(precious); err != nil || info.Size() != 8 || info.Mode().Perm() != 0o644 {
		t.Errorf("the file outside is %v, %v", info, err)
	}
}

// RemoveAll removes the links in a tree, not their targets.
func TestRemoveAll(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600),
		os.MkdirAll(filepath.Join(root, "a", "b", "c"), 0o700),
		os.WriteFile(filepath.Join(root, "a", "b", "file"), nil, 0o400),
		os.Symlink(outside, filepath.Join(root, "a", "b", "link")),
	); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, root)
	for range 2 {
		if err := d.RemoveAll("a/b"); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(root, "a")); err != nil || len(entries) != 0 {
		t.Errorf("RemoveAll left %v: %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Error(err)
	}
	if err := d.RemoveAll("x/y"); err != nil {
		t.Errorf("RemoveAll of a missing directory returned %v", err)
	}
}

func TestTryLock(t *testing.T) {
	d := openDir(t, t.TempDir())
	first, err := d.TryLock("lock")
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if second, err := d.TryLock("lock"); err != nil || second != nil {
		t.Errorf("a second TryLock returned %v, %v", second, err)
	}
	first.Close()
	third, err := d.TryLock("lock")
	if err != nil || third == nil {
		t.Fatal(third, err)
	}
	third.Close()
}
