package view

import (
	"maps"
	"slices"
	"strings"

	"prospector/jobs/state"
)

// State prints what prospector owns.
func (v *View) State(s *state.State) {
	if len(s.Jobs) == 0 {
		v.Printf("The state is empty: nothing was published yet.\n")
		return
	}
	for i, address := range s.Addresses() {
		if i > 0 {
			v.Printf("\n")
		}
		v.Printf("%s\n", v.paint("# "+address, bold))
		job := s.Jobs[address]
		for _, sink := range slices.Sorted(maps.Keys(job.Sinks)) {
			v.sink(sink, job.Sinks[sink])
		}
	}
}

func (v *View) sink(address string, s *state.Sink) {
	var rows, bytes int64
	width := 0
	for path, p := range s.Partitions {
		rows, bytes = rows+p.Rows, bytes+p.Object.Size
		width = max(width, len(path))
	}
	v.Printf("\n%s\n  %s\n  %s, %s, %s\n", address, s.URI, plural(len(s.Partitions), "partition"), plural(rows, "row"), size(bytes))
	if s.Pending != nil {
		v.Printf("  %s\n", v.paint("An apply was interrupted; the next one completes it.", yellow))
	}
	for _, path := range slices.Sorted(maps.Keys(s.Partitions)) {
		p := s.Partitions[path]
		v.Printf("    %s%s  %12s  %10s\n", path, strings.Repeat(" ", width-len(path)), plural(p.Rows, "row"), size(p.Object.Size))
	}
	if q := s.Quarantine; q != nil {
		v.Printf("  quarantine: %s in %s\n", plural(q.Events, "event"), q.Object.Key)
	}
}
