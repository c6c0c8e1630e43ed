package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"prospector/jobs"
)

// TestMain lets the test binary also act as the program. testscript runs it under the
// name prospector, and TestKill starts and kills it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"prospector": func() {
		if build := os.Getenv(buildVariable); build != "" {
			jobs.Build = func() string { return build }
		}
		main()
	}})
}

// buildVariable replaces the build in Parquet files, which a test binary does not know.
const buildVariable = "PROSPECTOR_TEST_BUILD"

// The command line, one behaviour per file in testdata/script. $SCHEMAS is the
// directory of the documented formats of -json, $NIGHTLY that of jobs/nightly.
func TestScripts(t *testing.T) {
	schemas, err := filepath.Abs("../internal/view/formats")
	if err != nil {
		t.Fatal(err)
	}
	nightly, err := filepath.Abs("../../jobs/nightly")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SCHEMAS", schemas)
			e.Setenv("NIGHTLY", nightly)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":       await,
			"expect-exit": expectExit,
			"jsonschema":  checkSchema,
			"serve":       serve,
		},
	})
}

// await is the script command
//
//	await BYTES PATTERN
//
// for programs in the background. It waits until a file that matches the pattern has at
// least that many bytes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await BYTES PATTERN")
	}
	least, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		names, err := filepath.Glob(ts.MkAbs(args[1]))
		ts.Check(err)
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Size() >= least {
				return
			}
		}
	}
	ts.Fatalf("no file %s has %d bytes", args[1], least)
}

// expectExit is the script command
//
//	[!] expect-exit CODE PROGRAM [ARGUMENT...]
//
// for programs with more exit codes than success and failure. As after exec, stdout and
// stderr have the output of the program.
func expectExit(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: expect-exit CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode() // -1 if a signal has ended it
	} else {
		ts.Check(err)
	}
	switch {
	case got != want && !neg:
		ts.Fatalf("%s exited with %d, not %d", args[1], got, want)
	case got == want && neg:
		ts.Fatalf("%s exited with %d", args[1], got)
	}
}
