package local

import (
	"os"
	"path/filepath"
	"testing"
)

// FoldsCase detects how the file system handles names that differ in case, and leaves no
// files behind.
func TestFoldsCase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := os.Stat(filepath.Join(dir, "PROBE"))
	want := err == nil
	s, err := Open(filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.FoldsCase()
	if err != nil || got != want {
		t.Errorf("got %t, %v; want %t", got, err, want)
	}
	left, err := os.ReadDir(filepath.Join(dir, "lake", filepath.FromSlash(temporaries)))
	if err != nil || len(left) > 0 {
		t.Errorf("the probe left %v, %v", left, err)
	}
}
