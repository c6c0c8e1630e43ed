package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const linkedConfig = `
source "simulator" "s" {
  prospects = 20
  events    = 300
  as_of     = %q
}
prospects "listed" { file = "prospects.txt" }
schema "events" {
  extends      = "knock_events"
  unknown_type = "quarantine"
  column "message_body" { policy = "drop" }
}
sink "local" "lake" { path = "lake" }
job "events" {
  source       = source.simulator.s
  prospects    = prospects.listed
  sinks        = [sink.local.lake]
  partition_by = ["event_type"]
}
`

// transient are the files and directories that prospector makes and removes within a
// run. Directories end with a slash.
var transient = []string{
	".prospector/stage/", ".prospector/journal/", ".prospector/journal/job.events/",
	"lake/.prospector/quarantine/", "lake/.prospector/quarantine/events.jsonl", "lake/.prospector/damaged/",
	".prospector.lock.hcl", ".prospector.state.json.lock", ".prospector.state.json.lock.info", "prospector.state.json.backup",
	"errored.prospector.state.json", "night.plan",
}

// unused are the places that the commands of the test do not use.
var unused = []string{"errored.prospector.state.json", "lake/.prospector/damaged/"}

// If a symbolic link is in the place of one of prospector's own files or directories,
// nothing is written or deleted through it, and an error or warning names it.
func TestLinks(t *testing.T) {
	base := t.TempDir()
	firstNight(t, base)
	for _, place := range placesBelow(t, base) {
		for _, kind := range []string{"elsewhere", "dangling"} {
			t.Run(kind+"/"+place, func(t *testing.T) {
				t.Parallel()
				testLink(t, place, kind == "dangling")
			})
		}
	}
}

// firstNight exports a first night into the directory, and leaves the
// configuration of the second one.
func firstNight(t *testing.T, dir string) {
	t.Helper()
	write(t, dir, fmt.Sprintf(linkedConfig, "2022-01-16T00:00:00Z"))
	writeFile(t, filepath.Join(dir, "prospects.txt"), "60822465\n26445524\n")
	for _, args := range [][]string{{"init"}, {"apply", "-auto-approve"}} {
		if out, err := runIn(t, dir, args...); err != nil {
			t.Fatalf("prospector %s: %v\n%s", args[0], err, out)
		}
	}
	write(t, dir, fmt.Sprintf(linkedConfig, "2022-02-01T00:00:00Z"))
}

// placesBelow returns all files and directories of prospector in a working directory.
// Names that differ between runs are patterns.
func placesBelow(t *testing.T, base string) []string {
	places := slices.Clone(transient)
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(base, path)
		switch rel {
		case ".", "main.hcl", "prospects.txt", "lake":
			return err
		}
		if e.IsDir() {
			rel += "/"
		} else if dir, name := filepath.Split(rel); strings.HasSuffix(dir, "/runs/") {
			rel = dir + "*" + filepath.Ext(name)
		}
		places = append(places, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

func testLink(t *testing.T, place string, dangling bool) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	firstNight(t, dir)
	if found, _ := filepath.Glob(filepath.Join(dir, place)); strings.Contains(place, "*") {
		place, _ = filepath.Rel(dir, found[0])
	}
	path, target := filepath.Join(dir, place), filepath.Join(elsewhere, "target")
	switch _, err := os.Lstat(path); {
	case dangling:
		os.RemoveAll(path)
	case err == nil:
		if err := os.Rename(path, target); err != nil {
			t.Fatal(err)
		}
	case !strings.HasSuffix(place, "/"):
		writeFile(t, target, "precious\n")
	}
	if strings.HasSuffix(place, "/") && !dangling { // a sweep would remove it
		for _, name := range []string{"00000001.segment", "precious", "deep/precious"} {
			writeFile(t, filepath.Join(target, name), "precious\n")
			long := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(target, name), long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	before := everything(t, elsewhere)

	var said bytes.Buffer
	for _, args := range [][]string{
		{"init"}, {"verify"}, {"plan", "-out=night.plan"}, {"apply", "-auto-approve"}, {"verify"},
		{"erase", "-prospect=26445524", "-auto-approve"}, {"destroy", "-auto-approve"},
	} {
		out, err := runIn(t, dir, args...)
		said.Write(out)
		if err != nil && !bytes.Contains(flat(out), []byte("is a symbolic link")) {
			t.Errorf("prospector %s fails without naming the link: %v\n%s", strings.Join(args, " "), err, out)
		}
		if after := everything(t, elsewhere); !maps.Equal(before, after) {
			t.Fatalf("prospector %s changes what the link leads to:\n%q\n%q", strings.Join(args, " "), before, after)
		}
	}
	// erase removes the journals, including a link among them.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSymlink {
		t.Error("something has replaced the link")
	}
	named := bytes.Contains(flat(said.Bytes()), []byte(strings.TrimSuffix(place, "/")+" is a symbolic link to "+target))
	if !named && !slices.Contains(unused, place) {
		t.Errorf("no command names the link:\n%s", said.Bytes())
	}
}

// Directories that the user names may be links.
func TestLinkedRoots(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	config := strings.Replace(fmt.Sprintf(linkedConfig, "2022-01-16T00:00:00Z"), `path = "lake"`, `path = "big/lake"`, 1)
	for _, link := range []string{"work", "big"} {
		if err := os.Mkdir(filepath.Join(elsewhere, link), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(elsewhere, link), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	work := filepath.Join(dir, "work")
	if err := os.Symlink(filepath.Join(elsewhere, "big"), filepath.Join(work, "big")); err != nil {
		t.Fatal(err)
	}
	write(t, work, config)
	writeFile(t, filepath.Join(work, "prospects.txt"), "60822465\n26445524\n")
	t.Setenv("PROSPECTOR_DATA_DIR", filepath.Join(work, "big"))
	for _, args := range [][]string{{"init"}, {"apply", "-auto-approve"}, {"verify"}, {"destroy", "-auto-approve"}} {
		if out, err := runIn(t, work, args...); err != nil {
			t.Fatalf("prospector %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// runIn runs the program in a directory, and returns its output.
func runIn(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	c := program(t, dir)
	c.Args = append([]string{"prospector"}, args...)
	return c.CombinedOutput()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flat joins the lines of a message.
func flat(out []byte) []byte { return bytes.Join(bytes.Fields(out), []byte(" ")) }

// everything describes all files in a directory: their modes, times and content.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprint(info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] += string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
