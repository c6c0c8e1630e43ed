package erase_test

import (
	"testing"

	"prospector/jobs/erase"
	"prospector/sink/store"
)

// An erase warns of what may keep data, even if that is only a note elsewhere.
func TestWarnRetained(t *testing.T) {
	warnings := erase.WarnRetained([]store.Advice{
		{Retains: true, Summary: "versions"}, {Note: true, Summary: "class"}, {Retains: true, Note: true, Summary: "unchecked"},
	})
	if len(warnings) != 2 || warnings[0].Summary != "versions" || warnings[1].Summary != "unchecked" {
		t.Errorf("the warnings are %+v", warnings)
	}
}
