package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const smallLake = `
variable "rate" { default = 0 }
source "simulator" "s" {
  prospects           = 100
  events              = 2000
  requests_per_second = var.rate
}
sink "local" "lake" { path = "lake" }
job "prospect_events" {
  source       = source.simulator.s
  sinks        = [sink.local.lake]
  partition_by = ["event_month"]
}
output "table" { value = "lake" }
`

// command prepares the program with a directory and arguments.
func command(t *testing.T, dir string, args ...string) (c *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, stderr = exec.Command(exe, args...), new(bytes.Buffer)
	c.Args[0], c.Dir, c.Stderr = "prospector", dir, stderr
	return c, stderr
}

// exitCode runs the command to its end.
func exitCode(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

// If its output is lost, a command exits with 1 and reports that. An apply still publishes and
// saves its state.
func TestOutputIsLost(t *testing.T) {
	const device = "/dev/full"
	if _, err := os.Stat(device); err != nil {
		t.Skip("this system has no ", device)
	}
	dir := t.TempDir()
	write(t, dir, smallLake)
	if err := os.WriteFile(filepath.Join(dir, "ugly.hclvars"), []byte("a=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, args string) {
		full, err := os.OpenFile(device, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		c, stderr := command(t, dir, strings.Fields(args)...)
		c.Stdin, c.Stdout = strings.NewReader("yes\n"), full
		if code := exitCode(t, c); code != 1 || !strings.Contains(stderr.String(), "The output is incomplete") {
			t.Errorf("%s exited with %d:\n%s", args, code, stderr)
		}
	}
	t.Run("an unseen plan is not approved", func(t *testing.T) {
		run(t, "apply")
		if _, err := os.Stat(filepath.Join(dir, "lake", "prospect_events")); err == nil {
			t.Error("a lake was published")
		}
	})
	run(t, "plan -detailed-exitcode")
	run(t, "apply -auto-approve")
	c, stderr := command(t, dir, "plan", "-detailed-exitcode", "-out=night.plan")
	if code := exitCode(t, c); code != 0 {
		t.Fatalf("after an apply whose output was lost, plan exits with %d:\n%s", code, stderr)
	}
	for _, args := range []string{
		"apply -auto-approve -json", "plan -json", "plan", "validate", "validate -json", "verify", "verify -json",
		"show", "show -json", "show night.plan", "show -json night.plan", "show -runs", "show -runs -json",
		"output", "output -json", "output table", "output -raw table",
		"sql -dialect=duckdb", "schema show", "schema show -hcl", "schema show -json", "schema diff", "schema diff -json",
		"schema infer", "state list", "state pull", "state show job.prospect_events", "state rm -dry-run job.prospect_events",
		"init", "fmt -check", "version", "version -json", "-version", "help json", "help plan", "plan -help", "-help", "state -help",
		"erase -auto-approve -prospect=1", "destroy -auto-approve",
	} {
		t.Run(args, func(t *testing.T) { run(t, args) })
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "lake", "prospect_events", "*")); err != nil || len(entries) > 0 {
		t.Errorf("after a destroy whose output was lost, the lake has %v (%v)", entries, err)
	}
}

// If the reader of its output ends early, as head does, a command that changes nothing
// ends by SIGPIPE, and an apply finishes.
func TestReaderEnds(t *testing.T) {
	run := func(dir string, args ...string) (*exec.Cmd, string) {
		c, stderr := command(t, dir, args...)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c.Stdout = write
		read.Close()
		exitCode(t, c)
		write.Close()
		return c, stderr.String()
	}
	dir := t.TempDir()
	write(t, dir, smallLake)
	if c, stderr := run(dir, "apply", "-auto-approve"); c.ProcessState.ExitCode() != 1 || !strings.Contains(stderr, "The output is incomplete") {
		t.Errorf("apply ended with %s:\n%s", c.ProcessState, stderr)
	}
	c, stderr := command(t, dir, "plan", "-detailed-exitcode")
	if code := exitCode(t, c); code != 0 {
		t.Errorf("after an apply whose output was not read, plan exits with %d:\n%s", code, stderr)
	}
	for _, args := range [][]string{{"state", "list"}, {"show", "-json"}, {"plan"}} {
		c, stderr := run(dir, args...)
		if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE || stderr != "" {
			t.Errorf("%q ended with %s:\n%s", args, c.ProcessState, stderr)
		}
	}
}

// A terminal that closes interrupts a run gracefully, however many hangups it sends. A
// run that was started to ignore hangups continues.
func TestHangup(t *testing.T) {
	tests := []struct {
		name, shell string
		rate        string
		stops       bool
	}{
		{"interrupts", `exec prospector "$@"`, "30", true},
		{"nohup", `trap "" HUP; exec prospector "$@"`, "60", false},
	}
	// A process that handles a signal starts others that do not ignore it, even if
	// it was itself started by nohup.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, smallLake)
			var stderr bytes.Buffer
			// TestMain adds the program to PATH.
			c := exec.Command("/bin/sh", "-c", test.shell, "sh", "apply", "-auto-approve", "-var", "rate="+test.rate)
			c.Dir, c.Stderr = dir, &stderr
			stdout, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1)
			if _, err := io.ReadFull(stdout, first); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			for range 3 {
				_ = c.Process.Signal(syscall.SIGHUP)
				time.Sleep(50 * time.Millisecond)
			}
			printed, err := io.ReadAll(stdout)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			_, notPublished := os.Stat(filepath.Join(dir, "prospector.state.json"))
			if test.stops {
				if c.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "Interrupted") || notPublished == nil {
					t.Errorf("ended with %s:\n%s%s", c.ProcessState, printed, &stderr)
				}
			} else if c.ProcessState.ExitCode() != 0 || notPublished != nil {
				t.Errorf("ended with %s:\n%s%s", c.ProcessState, printed, &stderr)
			}
		})
	}
}
