package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCorruptions damages one of the files that prospector keeps, as disks and people
// do. No command may panic. An error must name the file. After the remedy that the
// error advises, or after the next apply, the lake must be that of an export from
// scratch.
//
// go test ./... tries 20 corruptions. To try more, or others:
//
//	.ci/corruptions 400 7
//
// To repeat one of them, with the output of all commands:
//
//	go test ./cmd/prospector -v -run TestCorruptions/123
func TestCorruptions(t *testing.T) {
	number := func(variable string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return otherwise
	}
	count, seed := number("PROSPECTOR_CORRUPTIONS", 20), number("PROSPECTOR_CORRUPTIONS_SEED", 1)
	w := newNights(t)
	scenes := w.scenes(t)
	var all []corruption
	for _, s := range scenes {
		all = append(all, s.corruptions(t)...)
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	chosen := choose(rng, all, count)
	t.Logf("%d of %d corruptions", len(chosen), len(all))
	for i, c := range chosen {
		t.Run(fmt.Sprintf("%d/%s", i, c), func(t *testing.T) { w.try(t, c, rand.New(rand.NewPCG(uint64(seed), uint64(i)))) })
	}
}

// choose chooses corruptions so that all kinds of files occur as equally as possible, and
// within a kind all operations.
func choose(rng *rand.Rand, all []corruption, count int) (chosen []corruption) {
	byKind := make(map[string][]corruption)
	for _, c := range all {
		byKind[c.kind] = append(byKind[c.kind], c)
	}
	kinds := slices.Sorted(maps.Keys(byKind))
	for _, kind := range kinds {
		of := byKind[kind]
		rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	}
	for len(chosen) < min(count, len(all)) {
		for _, kind := range kinds {
			if of := byKind[kind]; len(of) > 0 && len(chosen) < count {
				chosen, byKind[kind] = append(chosen, of[0]), of[1:]
			}
		}
	}
	return chosen
}

// nights is an API whose prospects have more events every night, and the lake of an
// export from scratch.
type nights struct {
	api  *httptest.Server
	dir  string            // working directory of all runs, as the state has the lake's absolute path
	want map[string]string // by path, the content of the last night's lake
}

const (
	calmScene = "two nights"
	lastNight = 3
	people    = 24
)

func newNights(t *testing.T) *nights {
	w := &nights{api: httptest.NewServer(http.HandlerFunc(serveNight)), dir: filepath.Join(t.TempDir(), "work")}
	t.Cleanup(w.api.Close)
	scratch := t.TempDir()
	w.configure(t, scratch)
	w.mustRun(t, scratch, lastNight, "apply", "-auto-approve")
	w.want = lakeOf(t, scratch)
	return w
}

// serveNight serves /NIGHT/prospect/ID/events, in pages of five events.
func serveNight(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	night, _ := strconv.Atoi(parts[1])
	id, _ := strconv.Atoi(parts[3])
	var events []any
	for i := range 4*night + id%5 {
		at := time.Date(2022, 1, 1+i, id, 0, i, 0, time.UTC).Format(time.RFC3339)
		event := map[string]any{
			"type": []string{"SMS_MESSAGE", "EMAIL_MESSAGE", "APPOINTMENT_CREATED"}[(id+i)%3], "description": fmt.Sprintf("event %d of %d", i, id),
			"eventTime": at, "createdAt": at, "data": map[string]any{"text": strings.Repeat("word ", 20+i), "extra": i},
		}
		if id%7 == 0 && i == 2 {
			delete(event, "eventTime") // so that it is quarantined
			delete(event, "createdAt")
		}
		events = append(events, map[string]any{"node": event})
	}
	const page = 5
	from, _ := strconv.Atoi(r.URL.Query().Get("after"))
	to := min(from+page, len(events))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"edges": events[from:to], "pageInfo": map[string]any{
		"endCursor": strconv.Itoa(to), "hasNextPage": to < len(events),
	}})
}

func (w *nights) configure(t *testing.T, dir string) {
	write(t, dir, fmt.Sprintf(`
variable "night" { default = %d }
variable "rate"  { default = 0 }
source "knock" "k" {
  endpoint            = "%s/${var.night}"
  api_key             = "key"
  requests_per_second = var.rate
  concurrency         = 2
}
prospects "p" { file = "ids.txt" }
sink "local" "lake" { path = "lake" }
job "events" {
  source       = source.knock.k
  prospects    = prospects.p
  sinks        = [sink.local.lake]
  partition_by = ["event_type", "event_date"]
}
`, lastNight, w.api.URL))
	var ids strings.Builder
	for id := range people {
		fmt.Fprintln(&ids, id)
	}
	if err := os.WriteFile(filepath.Join(dir, "ids.txt"), []byte(ids.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a command as of a night, and checks what holds for every command.
func (w *nights) run(t *testing.T, dir string, night int, args ...string) (code int, printed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	c := exec.CommandContext(ctx, "prospector", args...) // TestMain adds it to PATH
	c.Dir, c.Stdout, c.Stderr = dir, &out, &out
	c.Env = append(os.Environ(), fmt.Sprint("PROSPECTOR_VAR_night=", night))
	err := c.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	code, printed = c.ProcessState.ExitCode(), out.String()
	if code < 0 || code > 3 || regexp.MustCompile(`(?i)panic|goroutine \d|runtime error|this is a bug|please report`).MatchString(printed) {
		t.Errorf("%q ended with %s:\n%s", args, c.ProcessState, printed)
	}
	if testing.Verbose() {
		t.Logf("%q ends with %s:\n%s", args, c.ProcessState, printed)
	}
	return code, printed
}

func (w *nights) mustRun(t *testing.T, dir string, night int, args ...string) {
	t.Helper()
	if code, printed := w.run(t, dir, night, args...); code != 0 {
		t.Fatalf("%q exits with %d:\n%s", args, code, printed)
	}
}

// scene is a directory after two nights. The test damages a file in it.
type scene struct {
	name, dir string
	older     string // the same files after the first night
}

func (w *nights) scenes(t *testing.T) []scene {
	calm, older := t.TempDir(), t.TempDir()
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.configure(t, w.dir)
	w.mustRun(t, w.dir, 1, "init")
	w.mustRun(t, w.dir, 1, "apply", "-auto-approve")
	copyDir(t, w.dir, older)
	w.mustRun(t, w.dir, 2, "apply", "-auto-approve")
	w.mustRun(t, w.dir, lastNight, "plan", "-out=night.plan")
	copyDir(t, w.dir, calm)
	scenes := []scene{{calmScene, calm, older}}
	for _, killed := range []struct {
		name, args string
		reached    func(dir string) bool
	}{
		{"killed while it read", "apply -auto-approve -var rate=40", func(dir string) bool { return sizeOf(filepath.Join(dir, ".prospector", "journal")) > 2000 }},
		{"killed while it published", "apply -auto-approve", func(dir string) bool {
			b, _ := os.ReadFile(filepath.Join(dir, "prospector.state.json"))
			return bytes.Contains(b, []byte(`"pending"`))
		}},
	} {
		for range 5 {
			w.restore(t, calm)
			if w.killOnce(t, w.dir, killed.args, killed.reached) {
				dir := t.TempDir()
				copyDir(t, w.dir, dir)
				scenes = append(scenes, scene{killed.name, dir, older})
				break
			}
		}
	}
	return scenes
}

// restore replaces the working directory by a copy of another one.
func (w *nights) restore(t *testing.T, from string) {
	t.Helper()
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, from, w.dir)
}

// killOnce starts a command and kills it after some progress. It returns false if the
// command ended first.
func (w *nights) killOnce(t *testing.T, dir, args string, reached func(string) bool) bool {
	t.Helper()
	c := exec.Command("prospector", strings.Fields(args)...)
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	for !reached(dir) {
		select {
		case <-ended:
			return false
		case <-time.After(time.Millisecond):
		}
	}
	_ = c.Process.Kill()
	<-ended
	return !c.ProcessState.Success() && reached(dir)
}

func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}

// corruption is one thing that happens to one file.
type corruption struct {
	scene
	kind, file, how string
}

func (c corruption) String() string {
	return strings.ReplaceAll(c.name+"/"+c.kind+"/"+c.how+"/"+filepath.Base(c.file), " ", "_")
}

// kinds are the kinds of files that prospector keeps, by patterns of their paths. The
// first pattern that matches counts.
var kinds = []struct {
	name  string
	paths *regexp.Regexp
}{
	{"", regexp.MustCompile(`^(main\.hcl|ids\.txt)$`)}, // the user's
	{"state", regexp.MustCompile(`^prospector\.state\.json$`)},
	{"backup", regexp.MustCompile(`^prospector\.state\.json\.backup$`)},
	{"lock", regexp.MustCompile(`\.lock$`)},
	{"schema lock", regexp.MustCompile(`^\.prospector\.lock\.hcl$`)},
	{"list", regexp.MustCompile(`\.json\.d/prospects/`)},
	{"record", regexp.MustCompile(`\.json\.d/runs/`)},
	{"next to the state", regexp.MustCompile(`\.json\.d/`)},
	{"plan", regexp.MustCompile(`\.plan$`)},
	{"published", regexp.MustCompile(`^lake/events/`)},
	{"quarantine", regexp.MustCompile(`^lake/.*quarantine`)},
	{"in the sink", regexp.MustCompile(`^lake/`)},
	{"journal", regexp.MustCompile(`/journal/`)},
	{"staged", regexp.MustCompile(`/stage/`)},
	{"data directory", regexp.MustCompile(`^\.prospector/`)},
}

func kindOf(file string) string {
	for _, k := range kinds {
		if k.paths.MatchString(file) {
			return k.name
		}
	}
	return "other"
}

// corruptions returns everything that can happen in a scene. The other scenes have the
// files of the calm scene as well, and do not damage these again.
func (s scene) corruptions(t *testing.T) (all []corruption) {
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		kind := kindOf(filepath.ToSlash(file))
		own := kind == "journal" || kind == "staged" || kind == "data directory" || kind == "state" || kind == "published"
		if kind == "" || s.name != calmScene && !own {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		for _, how := range slices.Sorted(maps.Keys(damages)) {
			if !s.possible(file, info.Size(), how) {
				continue
			}
			all = append(all, corruption{scene: s, kind: kind, file: filepath.ToSlash(file), how: how})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// possible reports whether something can happen to a file of that size.
func (s scene) possible(file string, size int64, how string) bool {
	switch how {
	case "removed", "a directory", "a dead link", "read-only", "swapped":
		return true
	case "no permission":
		return os.Geteuid() != 0 // root has all permissions
	case "older":
		_, err := os.Stat(filepath.Join(s.older, file))
		return err == nil
	}
	return size > 0
}

// damages are operations on the file at a path. They return false if they do not apply
// to the file.
var damages = map[string]func(rng *rand.Rand, c corruption, path string) (bool, error){
	"bit": rewriteWith(func(rng *rand.Rand, b []byte) []byte {
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		return b
	}),
	"last bit":  rewriteWith(func(_ *rand.Rand, b []byte) []byte { b[len(b)-1] ^= 1; return b }),
	"cut":       rewriteWith(func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b))] }),
	"cut a bit": rewriteWith(func(_ *rand.Rand, b []byte) []byte { return b[:len(b)-1] }),
	"empty":     rewriteWith(func(_ *rand.Rand, b []byte) []byte { return nil }),
	"twice":     rewriteWith(func(_ *rand.Rand, b []byte) []byte { return append(b, b...) }),
	"zeros":     rewriteWith(func(rng *rand.Rand, b []byte) []byte { clear(b[rng.IntN(len(b)):]); return b }),
	"garbage": rewriteWith(func(rng *rand.Rand, b []byte) []byte {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}),
	"a line lost": rewriteWith(func(rng *rand.Rand, b []byte) []byte {
		lines := bytes.SplitAfter(b, []byte("\n"))
		return bytes.Join(slices.Delete(lines, rng.IntN(len(lines)), len(lines)), nil)
	}),
	"other JSON": rewriteWith(func(_ *rand.Rand, b []byte) []byte { return []byte(`{"version": 1, "format_version": "1.0"}` + "\n") }),
	"null":       rewriteWith(func(_ *rand.Rand, b []byte) []byte { return []byte("null\n") }),
	"a digit":    rewriteWith(changeDigit),
	"removed":    func(_ *rand.Rand, _ corruption, path string) (bool, error) { return true, os.Remove(path) },
	"a directory": func(_ *rand.Rand, _ corruption, path string) (bool, error) {
		return true, errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
	},
	"a dead link": func(_ *rand.Rand, _ corruption, path string) (bool, error) {
		return true, errors.Join(os.Remove(path), os.Symlink("/nowhere", path))
	},
	"no permission": func(_ *rand.Rand, _ corruption, path string) (bool, error) {
		return os.Geteuid() != 0, os.Chmod(path, 0)
	},
	"read-only": func(_ *rand.Rand, _ corruption, path string) (bool, error) { return true, os.Chmod(path, 0o400) },
	"older": func(_ *rand.Rand, c corruption, path string) (bool, error) {
		b, err := os.ReadFile(filepath.Join(c.older, filepath.FromSlash(c.file)))
		if err != nil {
			return false, nil
		}
		return true, os.WriteFile(path, b, 0o600)
	},
	"swapped": func(rng *rand.Rand, c corruption, path string) (bool, error) {
		siblings, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if c.kind == "published" {
			siblings, err = filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(path)), "*", "*"))
		}
		siblings = slices.DeleteFunc(siblings, func(other string) bool {
			info, err := os.Lstat(other)
			rel, _ := strings.CutPrefix(filepath.ToSlash(other), strings.TrimSuffix(filepath.ToSlash(path), c.file))
			return err != nil || other == path || !info.Mode().IsRegular() || kindOf(rel) != c.kind
		})
		if err != nil || len(siblings) == 0 {
			return false, err
		}
		other, hold := siblings[rng.IntN(len(siblings))], path+".hold"
		return true, errors.Join(os.Rename(path, hold), os.Rename(other, path), os.Rename(hold, other))
	},
}

func rewriteWith(damage func(*rand.Rand, []byte) []byte) func(*rand.Rand, corruption, string) (bool, error) {
	return func(rng *rand.Rand, _ corruption, path string) (bool, error) {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return false, err
		}
		return true, os.WriteFile(path, damage(rng, b), 0o600)
	}
}

// changeDigit changes a digit. The file remains valid text.
func changeDigit(rng *rand.Rand, b []byte) []byte {
	digits := regexp.MustCompile(`[1-8]`).FindAllIndex(b, -1)
	if len(digits) > 0 {
		b[digits[rng.IntN(len(digits))][0]]++
	}
	return b
}

// try damages a copy of a scene, and brings its lake to the last night.
func (w *nights) try(t *testing.T, c corruption, rng *rand.Rand) {
	w.restore(t, c.dir)
	dir := w.dir
	path := filepath.Join(dir, filepath.FromSlash(c.file))
	saved := c.kind == "plan" || c.name == calmScene && rng.IntN(4) == 0
	if saved { // a saved plan does not apply to a copy of the lake
		w.mustRun(t, dir, lastNight, "plan", "-out=night.plan")
	}
	if happened, err := damages[c.how](rng, c, path); err != nil {
		t.Fatal(err)
	} else if !happened {
		t.Skip("it cannot happen to this file")
	}
	looks := [][]string{{"validate"}, {"plan"}, {"show"}, {"show", "-json"}, {"show", "-runs"}, {"state", "list"}, {"state", "pull"}, {"verify"}, {"schema", "diff"},
		{"schema", "infer"}, {"plan", "-refresh-only"}, {"show", "night.plan"}, {"state", "rm", "-dry-run", "job.events"}, {"init"}}
	rng.Shuffle(len(looks), func(i, j int) { looks[i], looks[j] = looks[j], looks[i] })
	for _, args := range looks[:2] {
		w.run(t, dir, lastNight, args...)
	}
	if saved {
		if code, printed := w.run(t, dir, lastNight, "apply", "night.plan"); code != 0 {
			w.refused(t, c, printed)
		}
	}
	code, printed := w.run(t, dir, lastNight, "apply", "-auto-approve")
	if code != 0 {
		w.refused(t, c, printed)
	}
	for tried := 0; code != 0 && tried < 2; tried++ { // an old backup lacks what was published later
		w.remedy(t, dir, c, printed, tried)
		code, printed = w.run(t, dir, lastNight, "apply", "-auto-approve")
	}
	if code != 0 {
		t.Fatalf("the advice in the error does not help:\n%s", printed)
	}
	if got := lakeOf(t, dir); !maps.Equal(got, w.want) {
		t.Errorf("the lake is\n%v, not\n%v\n%s", got, w.want, printed)
	}
	if code, printed := w.run(t, dir, lastNight, "verify"); code != 0 {
		t.Errorf("verify exits with %d:\n%s", code, printed)
	}
	if code, printed := w.run(t, dir, lastNight, "plan", "-detailed-exitcode"); code != 0 {
		t.Errorf("after the apply, plan exits with %d:\n%s", code, printed)
	}
}

// refused fails unless an error names the file.
func (w *nights) refused(t *testing.T, c corruption, printed string) {
	t.Helper()
	words := strings.Join(strings.Fields(printed), "") // a long name may be broken
	if name := filepath.Base(c.file); !strings.Contains(words, name) && !strings.Contains(words, filepath.Base(filepath.Dir(c.file))) {
		t.Errorf("the error does not name %s:\n%s", c.file, printed)
	}
}

// remedy runs the commands that the error advises, or removes the file.
func (w *nights) remedy(t *testing.T, dir string, c corruption, printed string, tried int) {
	t.Helper()
	text := strings.Join(strings.Fields(printed), " ")
	advice := regexp.MustCompile(`prospector (state push( -force)? [^ ]+|init -upgrade|force-unlock [^ ]+)`).FindString(text)
	switch {
	case advice != "" && tried == 0:
		advice = strings.Replace(strings.Trim(advice, ".,:;"), "FILE", "prospector.state.json.backup", 1)
		args := strings.Fields(advice)[1:]
		if code, printed := w.run(t, dir, lastNight, args...); code != 0 && strings.Contains(printed, "remove it") { // it is not a file
			if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(c.file))); err != nil {
				t.Fatal(err)
			}
			w.mustRun(t, dir, lastNight, args...)
		}
	case strings.Contains(text, "move the objects away"):
		if err := os.Rename(filepath.Join(dir, "lake", "events"), filepath.Join(t.TempDir(), "away")); err != nil {
			t.Fatal(err)
		}
	case regexp.MustCompile(`(?i)remove|delete|move .*(away|aside)|restore`).MatchString(text):
		if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(c.file))); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the error advises nothing:\n%s", printed)
	}
}

// lakeOf returns every file of the table with its content.
func lakeOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for path, digest := range contentOf(t, dir, "events") {
		out[path] = digest.String()
	}
	return out
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS keeps neither permissions nor times.
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return errors.Join(os.Chmod(filepath.Join(to, rel), info.Mode().Perm()), os.Chtimes(filepath.Join(to, rel), time.Time{}, info.ModTime()))
	})
	if err != nil {
		t.Fatal(err)
	}
}
