package main

import (
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
)

// serve is the script command
//
//	serve VARIABLE FILE
//
// for unusual responses that the simulator does not have. Until the script ends, a
// server on loopback responds to every request with the text of FILE. VARIABLE gets its
// URL.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serve VARIABLE FILE")
	}
	page := ts.ReadFile(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(page))
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
