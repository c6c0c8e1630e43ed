package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Only the owner can read files with personal data, under any umask, and even if an
// earlier version made directories with wider permissions.
func TestModes(t *testing.T) {
	for _, umask := range []string{"000", "077"} {
		t.Run(umask, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, fmt.Sprintf(linkedConfig, "2022-01-16T00:00:00Z"))
			writeFile(t, filepath.Join(dir, "prospects.txt"), "60822465\n26445524\n")
			for _, wide := range []string{".prospector", "lake", "lake/.prospector", "prospector.state.json.d"} {
				path := filepath.Join(dir, wide)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			bits, err := strconv.ParseInt(umask, 8, 32)
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Umask(syscall.Umask(int(bits))) // the program inherits it
			for _, args := range [][]string{{"plan", "-out=night.plan"}, {"apply", "night.plan"}} {
				if out, err := runIn(t, dir, args...); err != nil {
					t.Fatalf("%s: %v\n%s", args, err, out)
				}
			}
			err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := e.Info()
				if err != nil {
					return err
				}
				rel, _ := filepath.Rel(dir, path)
				checkMode(t, umask, rel, info.Mode())
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkMode(t *testing.T, umask, path string, mode fs.FileMode) {
	t.Helper()
	var want fs.FileMode
	switch {
	case path == "." || path == "main.hcl" || path == "prospects.txt":
		return // the user's
	case path == "lake":
		want = 0o777
	case strings.HasPrefix(path, "lake/events"):
		want = map[string]fs.FileMode{"000": 0o666, "077": 0o600}[umask]
		if mode.IsDir() {
			want = map[string]fs.FileMode{"000": 0o777, "077": 0o700}[umask]
		}
	case mode.IsDir():
		want = 0o700
	default:
		want = 0o600
	}
	if mode.Perm() != want {
		t.Errorf("%s has the mode %v, want %v", path, mode.Perm(), want)
	}
}
