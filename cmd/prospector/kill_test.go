package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink/parquetfile"
)

const killedConfig = `
source "simulator" "s" {
  seed        = 4
  prospects   = 150
  events      = 6000
  concurrency = 4
  as_of       = %q
}
sink "local" "lake" { path = "lake" }
job "prospect_events" {
  source       = source.simulator.s
  sinks        = [sink.local.lake]
  partition_by = %s
}
`

// After any number of applies were killed at any time, the next complete apply leaves the
// same lake as a run that was never killed. This holds for the first night, and for one
// that rewrites partitions.
func TestKill(t *testing.T) {
	const kills = 20
	keys := `["event_type", "event_date"]`
	first, second := fmt.Sprintf(killedConfig, "2022-01-16T00:00:00Z", keys), fmt.Sprintf(killedConfig, "2022-02-01T00:00:00Z", keys)

	calm := t.TempDir()
	took := applyIn(t, calm, first)
	firstNight := content(t, calm)
	took = max(took, applyIn(t, calm, second))
	secondNight := content(t, calm)

	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	killed := 0
	for round := range kills / 2 {
		dir, config, want := t.TempDir(), first, firstNight
		if round%2 == 1 { // a night that rewrites partitions
			took = min(took, applyIn(t, dir, first))
			config, want = second, secondNight
		}
		write(t, dir, config)
		for range 2 {
			killed += killAfter(t, dir, time.Duration(rng.Int64N(int64(took))))
		}
		took = min(took, applyIn(t, dir, config)) // the machine may be faster now
		if !maps.Equal(content(t, dir), want) {
			t.Errorf("round %d: after the kills, the lake differs", round)
		}
	}
	if killed < kills/4 {
		t.Errorf("only %d of %d applies were killed before they ended, so the test proves nothing", killed, kills)
	}
	t.Logf("%d of %d applies were killed before they ended", killed, kills)
}

func write(t *testing.T, dir, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func program(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "apply", "-auto-approve")
	c.Args[0], c.Dir = "prospector", dir
	return c
}

// applyIn runs an apply to its end, and returns how long it took.
func applyIn(t *testing.T, dir, config string) time.Duration {
	t.Helper()
	write(t, dir, config)
	started := time.Now()
	if out, err := program(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
	return time.Since(started)
}

// killAfter starts an apply and kills it. It returns 1 if the apply had not ended.
func killAfter(t *testing.T, dir string, after time.Duration) int {
	t.Helper()
	c := program(t, dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := c.Process.Kill(); err != nil {
		return 0
	}
	if c.Wait(); c.ProcessState.Success() {
		return 0
	}
	return 1
}

// content returns the digest of the rows of every file of the table prospect_events.
func content(t *testing.T, dir string) map[string]schemas.Digest {
	t.Helper()
	return contentOf(t, dir, "prospect_events")
}

func contentOf(t *testing.T, dir, job string) map[string]schemas.Digest {
	t.Helper()
	out := make(map[string]schemas.Digest)
	table, root := schemas.KnockEvents(), filepath.Join(dir, "lake", job)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !strings.HasSuffix(path, ".parquet") {
			return fmt.Errorf("a stray file is in the lake: %s", path)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		var sum schemas.Digest
		for batch, err := range parquetfile.Read(context.Background(), f, info.Size(), table) {
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			for _, d := range records.Digests(table.Columns, batch) {
				sum = sum.Add(d)
			}
		}
		out[strings.TrimPrefix(path, root)] = sum
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
