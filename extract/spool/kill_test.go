package spool

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// childDir is the environment variable with the journal's directory, for the process that
// the test kills.
const childDir = "PROSPECTOR_SPOOL_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func killBody(prospect string, number int) string {
	return strings.Repeat(fmt.Sprintf("%s %d ", prospect, number), 500)
}

// appendUntilKilled resumes the journal of the killed process, and prints every page when it
// is acknowledged. It ends by itself if it is not killed.
func appendUntilKilled(dir string) error {
	j, err := Open(dir, "binding", time.Hour, clock(noon))
	if err != nil {
		return err
	}
	j.limit = 64 << 10
	var group sync.WaitGroup
	errs := make(chan error, 4)
	for w := range 4 {
		group.Go(func() {
			id := fmt.Sprint("prospect-", w)
			progress, _ := j.Progress(id)
			for n := progress.Pages + 1; n < 20_000; n++ {
				if err := j.Append(Page{Prospect: id, Number: n, Cursor: fmt.Sprint(n - 1), Next: fmt.Sprint(n), Body: []byte(killBody(id, n))}); err != nil {
					errs <- err
					return
				}
				fmt.Println(id, n) // one write
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// TestKilled: a process that is killed at any time loses no acknowledged page, and the next
// process continues after the last one.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	acknowledged := make(map[string]int)
	for round, kill := range []int{1, 40, 400, 7} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		child := exec.CommandContext(ctx, self)
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewScanner(out)
		for n := 1; lines.Scan(); n++ {
			var id string
			var number int
			if _, err := fmt.Sscan(lines.Text(), &id, &number); err != nil {
				t.Fatal(err)
			}
			acknowledged[id] = max(acknowledged[id], number)
			if n == kill {
				must(t, child.Process.Kill())
			}
		}
		if err := child.Wait(); err == nil || ctx.Err() != nil {
			t.Fatalf("round %d: the process was not killed: %v", round, err)
		}
		cancel()

		j := mustOpen(t, dir)
		for id, number := range acknowledged {
			pages := 0
			for page, err := range j.Pages(id, nil) {
				must(t, err)
				pages++
				if page.Number != pages || string(page.Body) != killBody(id, pages) {
					t.Fatalf("round %d: page %d of %s differs", round, pages, id)
				}
			}
			if pages < number {
				t.Errorf("round %d: %d pages of %s were acknowledged, and %d were recovered", round, number, id, pages)
			}
		}
		must(t, j.Close())
	}
}
