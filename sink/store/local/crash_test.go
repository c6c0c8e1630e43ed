package local_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"prospector/sink/store"
	"prospector/sink/store/local"
)

// crashRoot is the environment variable with the store to which this program writes as a
// child process.
const crashRoot = "PROSPECTOR_TEST_CRASH_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(crashRoot); root != "" {
		if err := writeUntilKilled(context.Background(), root); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // the expected end is a kill
	}
	os.Exit(m.Run())
}

// writeUntilKilled replaces, creates and deletes objects until it is killed or its
// standard input ends. Each object contains its own checksum.
func writeUntilKilled(ctx context.Context, root string) error {
	s, err := local.Open(root)
	if err != nil {
		return err
	}
	orphaned := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		orphaned <- err
	}()
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				key := fmt.Sprintf("t/p=%d/a", rand.IntN(8))
				switch rand.IntN(4) {
				case 0:
					s.Delete(ctx, key, store.Condition{}) // the object may not exist
				case 1:
					s.Put(ctx, key, store.ContentOf(selfChecked(), ""), store.IfAbsent())
				default:
					if _, err := s.Put(ctx, key, store.ContentOf(selfChecked(), ""), store.Condition{}); err != nil {
						failed <- err
					}
				}
			}
		}()
	}
	fmt.Println("writing")
	select {
	case err := <-failed:
		return err
	case err := <-orphaned:
		return err
	}
}

// selfChecked returns a checksum, a line feed, and up to 400 kB with that checksum.
func selfChecked() []byte {
	body := bytes.Repeat([]byte{byte(rand.Int())}, 1+rand.IntN(400_000))
	return fmt.Appendf(nil, "%08x\n%s", store.Checksum(body), body)
}

func TestKilledWriters(t *testing.T) {
	root := t.TempDir()
	for round := range 15 {
		killWriter(t, root, time.Duration(rand.IntN(60))*time.Millisecond)

		s := open(t, root)
		n := 0
		for e, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(e.Key, "t/p=") {
				t.Errorf("round %d: List shows %q", round, e.Key)
				continue
			}
			n++
			r, err := s.Open(t.Context(), e.Key)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			checksum, body, _ := bytes.Cut(data, []byte("\n"))
			if string(checksum) != fmt.Sprintf("%08x", store.Checksum(body)) {
				t.Errorf("round %d: %s is incomplete: %d bytes that begin with %.20q", round, e.Key, len(data), data)
			}
		}
		if round == 14 && n == 0 {
			t.Error("no object is left to check: the test is ineffective")
		}
	}
}

// killWriter starts this test's program as a writer, and kills it some time after it
// began to write.
func killWriter(t *testing.T, root string, after time.Duration) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), crashRoot+"="+root)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	if _, err := child.StdinPipe(); err != nil { // it ends when this process does
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	time.Sleep(after)
	child.Process.Kill()
	child.Wait()
	if err != nil || line != "writing\n" || stderr.Len() > 0 {
		t.Fatalf("the writer printed %q and %q: %v", line, stderr.String(), err)
	}
}
