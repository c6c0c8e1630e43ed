package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A peer is another program that does the same work on the same pages. Its table has
// every event once, in the columns of the built-in table including extra_json,
// partitioned and sorted. Its shortfall lists what it does not do.
type peer struct {
	name      string
	module    string // of Python; "" for a peer in Go
	script    string // in peers/
	shortfall string
	// most is the largest number of events to measure, and runs the largest number of
	// runs; 0 means no limit. Some peers would take all day.
	most, runs int
	version    string
}

const million = 1_000_000

var peers = []peer{
	{name: "naive", shortfall: "no event_id, not sorted", most: million},
	{name: "duckdb", module: "duckdb", script: "with_duckdb.py", shortfall: "no event_id"},
	{name: "pyarrow", module: "pyarrow", script: "with_pyarrow.py", shortfall: "no event_id", most: million, runs: 1},
	{name: "dlt", module: "dlt", script: "with_dlt.py", shortfall: "no event_id, neither partitioned nor sorted", most: million, runs: 1},
}

func peerNames() string {
	var names []string
	for _, p := range peers {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// title returns the name in the report.
func (p peer) title() string { return strings.TrimSpace(p.name + " " + p.version) }

//go:embed peers/*.py
var scripts embed.FS

// python runs the peers that are written in Python.
type python struct {
	path string
	dir  string // of the scripts
}

func newPython(path, dir string) (python, error) {
	files, err := fs.Sub(scripts, "peers")
	if err == nil {
		err = os.CopyFS(dir, files)
	}
	return python{path, dir}, err
}

// version returns the version of a module. The error says why it cannot be used.
func (p python) version(ctx context.Context, module string) (string, error) {
	c := exec.CommandContext(ctx, p.path, "-c", fmt.Sprintf("import %s; print(%[1]s.__version__)", module))
	out, err := c.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", errors.New(lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), err
}

// run runs a script, and decodes the JSON in the last line of its output.
func (p python) run(ctx context.Context, into any, script string, args ...string) error {
	c := exec.CommandContext(ctx, p.path, append([]string{filepath.Join(p.dir, script)}, args...)...)
	return lastLine(c, into)
}

// do runs the peer, which writes its table to output.
func (p peer) do(ctx context.Context, py python, pages, output, compression string) (c cost, err error) {
	if p.module == "" {
		err = runWork(ctx, task{Do: "naive", Pages: pages, Output: output, Compression: compression}, &c)
	} else {
		err = py.run(ctx, &c, p.script, pages, output, compression, fmt.Sprint(runtime.GOMAXPROCS(0)))
	}
	return c, err
}
