package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-prospects", "7", "-events", "10", "-ids"}
	if code := run(t.Context(), append(args, "-"), &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("code %d: %s", code, &stderr)
	}
	if !regexp.MustCompile(`^prospect_id\n(\d{8}\n){7}$`).Match(stdout.Bytes()) {
		t.Errorf("the IDs are %s", &stdout)
	}
	path := filepath.Join(t.TempDir(), "prospects.csv")
	if code := run(t.Context(), append(args, path), io.Discard, &stderr); code != 0 {
		t.Fatalf("code %d: %s", code, &stderr)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, stdout.Bytes()) {
		t.Errorf("the file has %s (%v), want %s", got, err, &stdout)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		code int
		text string // in standard error
	}{
		"help":              {"-help", 0, "Usage: knocksim"},
		"unknown flag":      {"-nonsense", 2, "-nonsense"},
		"argument":          {"serve", 2, `"serve"`},
		"bad option":        {"-prospects 0", 2, "prospects is 0"},
		"other address":     {"-addr 0.0.0.0:0", 1, "not a loopback address"},
		"no such directory": {"-ids " + filepath.Join(t.TempDir(), "no", "ids.csv"), 1, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.text) || stdout.Len() > 0 {
				t.Errorf("code %d, want %d; printed %s%s", code, c.code, &stdout, &stderr)
			}
		})
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"-prospects", "3", "-events", "9"}, in, io.Discard)
		in.Close()
	}()
	greeting := make([]byte, 4096)
	n, err := out.Read(greeting)
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/prospect/\d{8}/events\?first=2`).Find(greeting[:n])
	response, err := http.Get(string(url))
	if err != nil {
		t.Fatalf("%v, greeting %s", err, greeting[:n])
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d without a key", response.StatusCode)
	}
	cancel()
	stats := make(chan []byte, 1)
	go func() { all, _ := io.ReadAll(out); stats <- all }()
	if got := <-code; got != 0 {
		t.Errorf("code %d", got)
	}
	if got := <-stats; !bytes.Contains(got, []byte("1 requests, 0 pages")) || !bytes.Contains(got, []byte("status 401: 1")) {
		t.Errorf("the statistics are %s", got)
	}
}
