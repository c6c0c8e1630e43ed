package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"prospector/sink/store/gcs/gcsfault"
)

var memoryCommand = command{
	name:     "memory",
	synopsis: "Measure the peak memory of an apply of large files",
	about: `Builds prospector, and applies large files to a local directory and to an emulator.
Prints the peak memory of each process, and its difference from the memory limit.
Run it in the repository.
`,
	flags: func(fs *flag.FlagSet) func(context.Context, io.Writer) error {
		var t memoryTrial
		fs.IntVar(&t.files, "files", 12, "Publish this `number` of files, at most 28.")
		fs.IntVar(&t.size, "size", 32, "Publish files of this many `MiB`")
		fs.IntVar(&t.text, "text", 2, "Publish events with texts of this many `KiB`")
		fs.IntVar(&t.limit, "limit", 128, "Set memory_limit to this many `MiB`")
		fs.IntVar(&t.parallelism, "parallelism", 16, "Send this `number` of requests at a time.")
		return t.run
	},
}

// memoryTrial measures the peak memory of prospector.
type memoryTrial struct{ files, size, text, limit, parallelism int }

func (t *memoryTrial) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "gcsfaults-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "prospector")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", program, "prospector/cmd/prospector").CombinedOutput(); err != nil {
		return fmt.Errorf("building prospector: %w\n%s", err, text)
	}
	server, err := startEmulator(ctx, "127.0.0.1:0", &gcsfault.Faithful{}, gcsfault.Options{})
	if err != nil {
		return err
	}
	defer server.close()
	source := httptest.NewServer(http.HandlerFunc(t.serveEvents))
	defer source.Close()
	for _, sink := range []struct{ name, block string }{
		{"local", `sink "local" "lake" { path = "lake" }`},
		{"gcs", fmt.Sprintf("sink \"gcs\" \"lake\" {\n  bucket      = %q\n  endpoint    = %q\n  parallelism = %d\n}", bucket, server.url, t.parallelism)},
	} {
		work := filepath.Join(dir, sink.name)
		if err := t.configure(work, source.URL, sink.name, sink.block); err != nil {
			return err
		}
		peak, err := t.apply(ctx, program, work)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-6s %d files of %d MiB: peak memory %d MiB, which is the limit of %d MiB %+d MiB\n",
			sink.name+":", t.files, t.size, peak>>20, t.limit, peak>>20-int64(t.limit))
	}
	return nil
}

// configure writes the configuration of a working directory.
func (t *memoryTrial) configure(dir, source, kind, sink string) error {
	text := fmt.Sprintf(`
prospector { memory_limit = "%dMiB" }

source "knock" "large" {
  endpoint            = %q
  api_key             = "secret"
  requests_per_second = 0
}

prospects "all" { file = "prospects.txt" }

%s

job "events" {
  source      = source.knock.large
  prospects   = prospects.all
  sinks       = [sink.%s.lake]
}
`, t.limit, source, sink, kind)
	var ids strings.Builder
	for prospect := range t.files * t.prospects() {
		fmt.Fprintln(&ids, prospect)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "prospects.txt"), []byte(ids.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600)
}

// apply returns the peak memory of an apply in bytes.
func (t *memoryTrial) apply(ctx context.Context, program, dir string) (int64, error) {
	c := exec.CommandContext(ctx, program, "-chdir="+dir, "apply", "-auto-approve", "-no-color")
	if text, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("prospector apply: %w\n%s", err, text)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, fmt.Errorf("the operating system does not report the memory of a process")
	}
	return usage.Maxrss << 10, nil
}

// events is the number of events of a prospect.
const events = 100

// prospects returns how many prospects have their events on one day.
func (t *memoryTrial) prospects() int { return max(1, t.size<<10/t.text/events) }

// serveEvents serves the events of a prospect, which are all on one day. Their texts do
// not compress well.
func (t *memoryTrial) serveEvents(w http.ResponseWriter, r *http.Request) {
	var prospect int
	if _, err := fmt.Sscanf(r.URL.Path, "/prospect/%d/events", &prospect); err != nil {
		http.NotFound(w, r)
		return
	}
	random := rand.New(rand.NewPCG(uint64(prospect), 0))
	raw := make([]byte, t.text<<10/4*3)
	io.WriteString(w, `{"edges":[`) //nolint:errcheck // the client sees it
	for i := range events {
		for j := range raw {
			raw[j] = byte(random.Uint32())
		}
		if i > 0 {
			io.WriteString(w, ",") //nolint:errcheck // the client sees it
		}
		fmt.Fprintf(w, `{"node":{"type":"SMS_MESSAGE","createdAt":"2022-01-%02dT10:%02d:%02dZ","data":{"body":%q}}}`,
			1+prospect%t.files, i/60, i%60, base64.StdEncoding.EncodeToString(raw))
	}
	io.WriteString(w, `],"pageInfo":{"hasNextPage":false,"endCursor":null}}`) //nolint:errcheck // the client sees it
}
