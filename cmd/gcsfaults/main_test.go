package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		code int
		text string // in standard error
	}{
		"no command":      {"", 2, "Usage: gcsfaults COMMAND"},
		"help":            {"-help", 0, "Usage: gcsfaults COMMAND"},
		"help of serve":   {"serve -help", 0, "STORAGE_EMULATOR_HOST"},
		"unknown command": {"nonsense", 2, `no command "nonsense"`},
		"unknown flag":    {"serve -nonsense", 2, "-nonsense"},
		"argument":        {"serve now", 2, `"now"`},
		"help of trials":  {"trials -help", 0, "nights"},
		"unknown trial":   {"trials -only nonsense", 1, "no such trials"},
		"no number":       {"trials -only nights/x", 1, "no such trials"},
		"other address":   {"serve -addr 0.0.0.0:0", 1, "not a loopback address"},
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
		code <- run(ctx, []string{"serve", "-rate", "1"}, in, io.Discard)
		in.Close()
	}()
	greeting := make([]byte, 4096)
	n, err := out.Read(greeting)
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).Find(greeting[:n])
	response, err := http.Get(string(url) + "/storage/v1/b/" + bucket + "/o")
	if err == nil {
		response.Body.Close()
	}
	cancel()
	counts := make(chan []byte, 1)
	go func() { all, _ := io.ReadAll(out); counts <- all }()
	if got := <-code; got != 0 {
		t.Errorf("code %d", got)
	}
	if got := <-counts; !regexp.MustCompile(`(?m)^ +[1-9]\d* +[1-9]\d* +list$`).Match(got) {
		t.Errorf("it printed %s", got)
	}
}
