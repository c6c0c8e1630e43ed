package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"prospector/cmd/internal/cli"
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

// house is a working directory of prospector.
type house struct {
	dir     string
	backend string // a block in HCL
	sink    string // the body of the block of the sink, and its kind
	kind    string
}

const (
	table       = "events"
	lakePrefix  = "lake"
	statePrefix = "state"
)

// shape is the layout of the table.
type shape struct {
	partitionBy string // in HCL
	targetSize  string
}

// configure writes the configuration. The memory limit is for the process, which also
// has the emulators with their objects.
func (h *house) configure(api string, w *world, s shape) error {
	text := fmt.Sprintf(`
prospector {
  memory_limit = "1GiB"
  %s
}

source "knock" "world" {
  endpoint            = %q
  api_key             = %q
  page_size           = 20
  concurrency         = 4
  requests_per_second = 0
}

prospects "all" { file = "prospects.txt" }

sink %q "lake" {
  %s
}

job %q {
  source           = source.knock.world
  prospects        = prospects.all
  sinks            = [sink.%[4]s.lake]
  partition_by     = %[7]s
  target_file_size = %[8]q
  compression      = "none"
  on_missing       = "delete"
}
`, h.backend, api, key, h.kind, h.sink, table, s.partitionBy, s.targetSize)
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(h.dir, "prospects.txt"), []byte(strings.Join(w.ids(), "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h.dir, "main.hcl"), []byte(text), 0o600)
}

// run runs prospector like a user, and returns its exit code and what it prints.
func (h *house) run(args ...string) (code int, printed string) {
	var out bytes.Buffer
	code = cli.Run(cli.Deps{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Environ: os.Environ(),
		Sources: extract.Kinds{knock.Kind},
		Stores:  store.Kinds{local.Kind, gcs.Kind},
	}, append([]string{"-chdir=" + h.dir}, args...))
	return code, out.String()
}

// file is a published file in a state.
type file struct {
	Key     string
	Content string
	Size    int64
	CRC32C  uint32 `json:"crc32c"`
}

// filesOf returns the published files in the text of a state, by their keys.
func filesOf(text []byte) (map[string]file, error) {
	var s struct {
		Jobs map[string]struct {
			Sinks map[string]struct {
				Partitions map[string]struct{ Files []file }
			}
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("reading a state: %w", err)
	}
	files := make(map[string]file)
	for _, job := range s.Jobs {
		for _, sink := range job.Sinks {
			for _, partition := range sink.Partitions {
				for _, f := range partition.Files {
					files[f.Key] = f
				}
			}
		}
	}
	return files, nil
}
