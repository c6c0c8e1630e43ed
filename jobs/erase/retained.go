package erase

import (
	"prospector/jobs"
	"prospector/sink/store"
)

// WarnRetained returns a warning for each setting of a place that may keep the bytes of
// deleted objects. An erase cannot remove them, and a Proof does not search them.
func WarnRetained(advice []store.Advice) (warnings jobs.Diagnostics) {
	for _, a := range advice {
		if a.Retains {
			warnings = append(warnings, jobs.Diagnostic{Severity: jobs.Warning, Summary: a.Summary, Detail: a.Detail})
		}
	}
	return warnings
}
