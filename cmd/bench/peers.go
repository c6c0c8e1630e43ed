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

// A peer does the same work on the same pages: the events of all prospects, each
// once, in the columns of the built-in table, extra_json among them, partitioned
// and sorted. What it does not do, its shortfall says.
type peer struct {
	name      string
	module    string // of Python; "" for the naive one, which is Go
	script    string // in peers/
	shortfall string
	// most is the largest number of events for which it is measured, and runs
	// how often at the most: some would take all day.
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

// title is how the peer is shown.
func (p peer) title() string { return strings.TrimSpace(p.name + " " + p.version) }

//go:embed peers/*.py
var scripts embed.FS

// python runs the peers that are written in it.
type python struct {
	path string
	dir  string // has the scripts
}

func newPython(path, dir string) (python, error) {
	files, err := fs.Sub(scripts, "peers")
	if err == nil {
		err = os.CopyFS(dir, files)
	}
	return python{path, dir}, err
}

// version gives the version of a module, or says why it cannot be used.
func (p python) version(ctx context.Context, module string) (string, error) {
	c := exec.CommandContext(ctx, p.path, "-c", fmt.Sprintf("import %s; print(%[1]s.__version__)", module))
	out, err := c.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", errors.New(lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), err
}

// run runs a script, and reads what its last line tells.
func (p python) run(ctx context.Context, into any, script string, args ...string) error {
	c := exec.CommandContext(ctx, p.path, append([]string{filepath.Join(p.dir, script)}, args...)...)
	return lastLine(c, into)
}

// do has the peer make the table in output.
func (p peer) do(ctx context.Context, py python, pages, output, compression string) (c cost, err error) {
	if p.module == "" {
		err = runWork(ctx, task{Do: "naive", Pages: pages, Output: output, Compression: compression}, &c)
	} else {
		err = py.run(ctx, &c, p.script, pages, output, compression, fmt.Sprint(runtime.GOMAXPROCS(0)))
	}
	return c, err
}
