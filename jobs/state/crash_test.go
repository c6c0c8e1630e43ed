package state_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store/local"
)

// holderPath is the environment variable with the path of the state that a child
// process locks and writes repeatedly.
const holderPath = "PROSPECTOR_TEST_STATE_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(holderPath); path != "" {
		if err := writeUntilKilled(context.Background(), path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // a child that works is killed before it gets here
	}
	os.Exit(m.Run())
}

// writeUntilKilled takes the lock and prints "locked". Then it writes the state
// repeatedly and prints each serial, until it is killed or its standard input
// ends.
func writeUntilKilled(ctx context.Context, path string) error {
	files, err := local.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	l := state.NewLocal(files, path)
	if _, err := l.Lock(ctx, state.NewLockInfo("apply", time.Now())); err != nil {
		return err
	}
	s, err := l.Read(ctx)
	if err != nil {
		return err
	}
	fmt.Println("locked")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	for {
		partitions := s.Job("job.a").Sink("sink.b").Partitions
		partitions[fmt.Sprintf("p=%d", rand.IntN(1000))] = partition(s.Serial, 1)
		if err := l.Write(ctx, s); err != nil {
			return err
		}
		fmt.Println(s.Serial)
	}
}

// holder is a child process that runs writeUntilKilled.
type holder struct {
	*exec.Cmd
	lines  *bufio.Reader
	stderr *bytes.Buffer
}

func startHolder(t *testing.T, path string) holder {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := holder{Cmd: exec.Command(program), stderr: new(bytes.Buffer)}
	h.Env = append(os.Environ(), holderPath+"="+path)
	h.Stderr = h.stderr
	if _, err := h.StdinPipe(); err != nil { // it ends with this process
		t.Fatal(err)
	}
	stdout, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.lines = bufio.NewReader(stdout)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := h.lines.ReadString('\n')
	if err != nil || line != "locked\n" {
		_ = h.Process.Kill()
		_ = h.Wait()
		t.Fatalf("the holder printed %q to standard output and %q to standard error: %v", line, h.stderr, err)
	}
	return h
}

// kill kills the child, and returns the last serial that it has printed, or 0.
func (h holder) kill(t *testing.T) (serial int64) {
	t.Helper()
	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	printed, err := io.ReadAll(h.lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = h.Wait() // it was killed
	if h.stderr.Len() > 0 {
		t.Fatalf("the holder printed %q", h.stderr)
	}
	lines := strings.Split(string(printed), "\n")
	if len(lines) < 2 { // the last line has no newline: it is empty or truncated
		return 0
	}
	if serial, err = strconv.ParseInt(lines[len(lines)-2], 10, 64); err != nil {
		t.Fatal(err)
	}
	return serial
}

func TestLockOfAnotherProcess(t *testing.T) {
	path := statePath(t)
	h := startHolder(t, path)
	l := backend(t, path)
	err := lock(t, l, state.NewLockInfo("plan", noon))
	var locked *state.LockedError
	if !errors.As(err, &locked) || !strings.Contains(locked.Holder.Who, fmt.Sprintf("process %d", h.Process.Pid)) {
		t.Errorf("Lock returned %v, which does not name process %d", err, h.Process.Pid)
	}
	h.kill(t)
	if err := lock(t, l, state.NewLockInfo("plan", noon)); err != nil {
		t.Errorf("after the holder has died: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
}

// When a writer is killed, the file has the last state that it wrote, even if
// it could not print the serial. The backup is that state or the previous one.
func TestKilledWriters(t *testing.T) {
	path := statePath(t)
	var before int64 // the serial at the start of the round
	for round := range 10 {
		h := startHolder(t, path)
		if _, err := h.lines.Peek(1); err != nil { // each round writes at least once
			t.Error(err)
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		printed := max(h.kill(t), before)

		l := backend(t, path)
		s := read(t, l)
		if s.Serial != printed && s.Serial != printed+1 {
			t.Errorf("round %d: the file has serial %d, and the last printed one is %d", round, s.Serial, printed)
		}
		if text := contents(t, path+".backup"); text != "" {
			backup, err := state.Decode([]byte(text))
			if err != nil {
				t.Fatalf("round %d: the backup cannot be read: %v", round, err)
			}
			if backup.Lineage != s.Lineage || backup.Serial != s.Serial && backup.Serial != s.Serial-1 {
				t.Errorf("round %d: the backup has serial %d, the file %d", round, backup.Serial, s.Serial)
			}
		}
		before = s.Serial
	}
	if before < 10 {
		t.Errorf("after 10 rounds the serial is %d: the test is ineffective", before)
	}
}
