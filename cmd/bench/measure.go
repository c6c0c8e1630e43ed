package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Each task runs in its own process, so that memory and processor time are measured
// separately. Processes of this program read the task from standard input; scripts of
// peers take arguments. Both print the result to standard output.

// cost is the time and memory that a task took.
type cost struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakBytes  int64   `json:"peak_bytes"` // of resident memory
}

// best returns the shorter times of two runs, and the larger memory.
func (c cost) best(other cost) cost {
	return cost{
		Seconds:    min(c.Seconds, other.Seconds),
		CPUSeconds: min(c.CPUSeconds, other.CPUSeconds),
		PeakBytes:  max(c.PeakBytes, other.PeakBytes),
	}
}

// stopwatch measures this process.
type stopwatch struct {
	started time.Time
	cpu     time.Duration
}

func start() stopwatch { return stopwatch{time.Now(), cpuTime()} }

func (s stopwatch) stop() cost {
	return cost{
		Seconds:    time.Since(s.started).Seconds(),
		CPUSeconds: (cpuTime() - s.cpu).Seconds(),
		PeakBytes:  peakBytes(),
	}
}

func resources() syscall.Rusage {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails
	return u
}

func cpuTime() time.Duration {
	u := resources()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakBytes returns the peak of resident memory. The kernel's Maxrss includes memory of
// the parent process, so it is only used if /proc is not available.
func peakBytes() int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			var kib int64
			if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
				return kib << 10
			}
		}
	}
	u := resources()
	if runtime.GOOS == "darwin" {
		return u.Maxrss
	}
	return u.Maxrss << 10
}

// workCommand is the argument with which this program does one task.
const workCommand = "work"

// runWork does a task in another process of this program, and decodes its result.
func runWork(ctx context.Context, t task, into any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	input, err := json.Marshal(t)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, workCommand)
	c.Stdin = bytes.NewReader(input)
	c.Env = os.Environ()
	if t.Cores > 0 {
		c.Env = append(c.Env, fmt.Sprint("GOMAXPROCS=", t.Cores))
	}
	return lastLine(c, into)
}

// lastLine runs a command, and decodes the JSON in the last line of its output.
func lastLine(c *exec.Cmd, into any) error {
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		if text := bytes.TrimSpace(errs.Bytes()); len(text) > 0 {
			lines := bytes.Split(text, []byte("\n"))
			return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
		}
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return json.Unmarshal(lines[len(lines)-1], into)
}

// work does the task that it reads from stdin.
func work(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	var t task
	err := json.NewDecoder(bufio.NewReader(stdin)).Decode(&t)
	var out any
	if err == nil {
		out, err = t.do(ctx)
	}
	if err == nil {
		err = json.NewEncoder(stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// size is the number and total size of the Parquet files in a directory.
type size struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func sizeOf(dir string) (s size, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		s.Files++
		s.Bytes += info.Size()
		return nil
	})
	if err == nil && s.Files == 0 {
		err = errors.New("no Parquet file was written")
	}
	return s, err
}
