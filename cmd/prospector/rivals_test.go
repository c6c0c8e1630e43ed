package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/extract/knocksim"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

// rivalConfig reads from an API of the test, and keeps its state in a backend of the
// test.
const rivalConfig = `
prospector {
  %s
}
source "knock" "s" {
  endpoint            = %q
  api_key             = %q
  requests_per_second = 0
}
prospects "p" { file = "prospects.txt" }
sink "local" "lake" { path = "lake" }
job "prospect_events" {
  source       = source.knock.s
  prospects    = prospects.p
  sinks        = [sink.local.lake]
  partition_by = ["event_month"]
}
`

// gate is an API that reports its first request, and does not respond before it is
// opened.
type gate struct {
	*httptest.Server
	asked, open chan struct{}
}

func newGate(t *testing.T) *gate {
	sim, err := knocksim.New(knocksim.Options{Seed: 1, Prospects: 5, Events: 100})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{asked: make(chan struct{}, 100), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked <- struct{}{}
		select {
		case <-g.open:
			sim.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// rivals makes a directory with a configuration that reads from a gate.
func (g *gate) directory(t *testing.T, backend string) string {
	t.Helper()
	dir := t.TempDir()
	sim, err := knocksim.New(knocksim.Options{Seed: 1, Prospects: 5, Events: 100})
	if err != nil {
		t.Fatal(err)
	}
	var ids strings.Builder
	for id := range sim.ProspectIDs() {
		fmt.Fprintln(&ids, id)
	}
	write(t, dir, fmt.Sprintf(rivalConfig, backend, g.URL, knocksim.DefaultAPIKey))
	if err := os.WriteFile(filepath.Join(dir, "prospects.txt"), []byte(ids.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// backends are the kinds of backends, each with a function that makes one.
func backends(t *testing.T) map[string]string {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL())
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	return map[string]string{
		"local": `backend "local" { path = "prospector.state.json" }`,
		"gcs":   "backend \"gcs\" {\n    bucket = \"acme\"\n    prefix = \"state\"\n  }",
	}
}

type process struct {
	*exec.Cmd
	out output
}

// output is what a process has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	end  time.Time // when the test stops waiting for more
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// closed stops waiting for a process that prints nothing for a long time.
func (o *output) closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end.IsZero() {
		o.end = time.Now().Add(20 * time.Second)
	}
	return time.Now().After(o.end)
}

func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...)}
	p.Args[0], p.Dir, p.Stdout, p.Stderr = "prospector", dir, &p.out, &p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// If two applies start at the same time, exactly one runs. The other one reports the
// holder of the lock, and does nothing.
func TestTwoAtOnce(t *testing.T) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			dir := g.directory(t, backend)
			both := []*process{start(t, dir, "apply", "-auto-approve"), start(t, dir, "apply", "-auto-approve")}
			ended := make(chan *process, 2)
			for _, p := range both {
				go func() {
					_ = p.Wait()
					ended <- p
				}()
			}
			second := <-ended // the first one waits for the API
			if code := second.ProcessState.ExitCode(); code != 1 {
				t.Errorf("the second one exits with %d:\n%s", code, &second.out)
			}
			first := both[0]
			if first == second {
				first = both[1]
			}
			holder := fmt.Sprintf(`the state is locked by\s+\S+, process\s+%d\s`, first.Process.Pid)
			if !regexp.MustCompile(holder).MatchString(second.out.String()) {
				t.Errorf("the second one does not report the holder of the lock:\n%s", &second.out)
			}
			close(g.open)
			if first = <-ended; !first.ProcessState.Success() || !strings.Contains(first.out.String(), "Apply complete!") {
				t.Errorf("the first one did not run:\n%s", &first.out)
			}
			third := start(t, dir, "plan")
			if third.Wait(); !strings.Contains(third.out.String(), "No changes.") {
				t.Errorf("afterwards:\n%s", &third.out)
			}
		})
	}
}

// A killed run leaves no lock on this machine. In a bucket it leaves a lock that names
// it and can be released.
func TestLockOfTheDead(t *testing.T) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			dir := g.directory(t, backend)
			dead := start(t, dir, "apply", "-auto-approve")
			<-g.asked
			if err := dead.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = dead.Wait()
			close(g.open)
			if name == "gcs" {
				refused := start(t, dir, "apply", "-auto-approve")
				_ = refused.Wait()
				id := regexp.MustCompile(`prospector force-unlock ([0-9a-f-]{36})`).FindStringSubmatch(refused.out.String())
				if refused.ProcessState.ExitCode() != 1 || id == nil {
					t.Fatalf("the lock of the killed run does not block, or the error does not say how to release it:\n%s", &refused.out)
				}
				wrong := start(t, dir, "force-unlock", "-force", "00000000-0000-0000-0000-000000000000")
				if _ = wrong.Wait(); wrong.ProcessState.Success() {
					t.Errorf("any ID releases the lock:\n%s", &wrong.out)
				}
				release := start(t, dir, "force-unlock", "-force", id[1])
				if err := release.Wait(); err != nil {
					t.Fatalf("force-unlock: %v\n%s", err, &release.out)
				}
			}
			next := start(t, dir, "apply", "-auto-approve")
			if err := next.Wait(); err != nil || !strings.Contains(next.out.String(), "Apply complete!") {
				t.Errorf("the next run: %v\n%s", err, &next.out)
			}
		})
	}
}

// A run whose lock is deleted or replaced by hand says that it has written the state. A
// run whose lock was released by force stops, and says that it has not.
func TestLockRemovedDuringARun(t *testing.T) {
	const lock = "prospector.state.json.lock"
	for name, test := range map[string]struct {
		remove   func(t *testing.T, files store.Store, dir string)
		exit     int
		contains []string
	}{
		"deleted": {func(t *testing.T, files store.Store, _ string) {
			if err := files.Delete(t.Context(), lock, store.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, 0, []string{"Warning: The lock on the state was lost before this run ended", "it was removed", "This run is complete. It wrote the state last with serial 2", "Apply complete!"}},
		"replaced": {func(t *testing.T, files store.Store, _ string) {
			if _, err := files.Put(t.Context(), lock, store.ContentOf([]byte("mine"), ""), store.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, 0, []string{"replaced by an object that prospector has not written", "It wrote the state last with serial 2", "Apply complete!"}},
		"released by force": {func(t *testing.T, files store.Store, dir string) {
			r, err := files.Open(t.Context(), lock)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var holder struct{ ID string }
			if err := json.NewDecoder(r).Decode(&holder); err != nil {
				t.Fatal(err)
			}
			release := start(t, dir, "force-unlock", "-force", holder.ID)
			if err := release.Wait(); err != nil {
				t.Fatalf("force-unlock: %v\n%s", err, &release.out)
			}
		}, 1, []string{"Error: The lock on the state was lost", "It did not write the state."}},
	} {
		t.Run(name, func(t *testing.T) {
			backend := backends(t)["gcs"]
			g := newGate(t)
			dir := g.directory(t, backend)
			p := start(t, dir, "apply", "-auto-approve")
			<-g.asked
			files, err := gcs.Open(t.Context(), "acme", "state", gcs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			test.remove(t, files, dir)
			close(g.open)
			_ = p.Wait()
			out := strings.Join(strings.Fields(strings.ReplaceAll(p.out.String(), "│", "")), " ")
			if code := p.ProcessState.ExitCode(); code != test.exit {
				t.Errorf("it exits with %d", code)
			}
			for _, contains := range test.contains {
				if !strings.Contains(out, contains) {
					t.Errorf("the output does not contain %q", contains)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "errored.prospector.state.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a state is in the working directory: %v", err)
			}
			if t.Failed() || testing.Verbose() {
				t.Logf("%s", &p.out)
			}
		})
	}
}

// After a second interrupt, a run stops at once and reports what it leaves behind. The
// next run is not affected.
func TestSecondInterrupt(t *testing.T) {
	g := newGate(t)
	dir := g.directory(t, `backend "local" { path = "prospector.state.json" }`)
	p := start(t, dir, "apply", "-auto-approve")
	<-g.asked
	for _, said := range []string{"Interrupt again to stop at once", "Stopped at once."} {
		if err := p.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(p.out.String(), said) && !p.out.closed() {
			time.Sleep(time.Millisecond)
		}
	}
	_ = p.Wait()
	out := p.out.String()
	if p.ProcessState.ExitCode() != 1 || !strings.Contains(out, "Interrupt again to stop at once") || !strings.Contains(out, "Stopped at once.") {
		t.Errorf("it exits with %d:\n%s", p.ProcessState.ExitCode(), out)
	}
	close(g.open)
	next := start(t, dir, "apply", "-auto-approve")
	if err := next.Wait(); err != nil || !strings.Contains(next.out.String(), "Apply complete!") {
		t.Errorf("the next run: %v\n%s", err, &next.out)
	}
}
