package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program: testscript runs it under the
// name prospector, and TestKill starts it to kill it.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"prospector": main}) }

// The command line, a file a behaviour: testdata/script/*.txt.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
