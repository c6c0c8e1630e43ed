package view

import (
	"maps"
	"slices"
	"strings"
	"time"

	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/state"
)

// statePrinter prints the state and the ledger.
type statePrinter struct{ *printer }

// State prints what prospector owns.
func (v statePrinter) State(s *state.State) {
	if len(s.Jobs) == 0 {
		v.Printf("The state is empty. Nothing is published.\n")
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

func (v statePrinter) sink(address string, s *state.Sink) {
	var rows, bytes int64
	width := 0
	for path, p := range s.Partitions {
		rows, bytes = rows+p.Rows, bytes+p.Size()
		width = max(width, len(path))
	}
	v.Printf("\n%s\n  %s\n  %s, %s, %s\n", address, s.URI, plural(len(s.Partitions), "partition"), plural(rows, "row"), size(bytes))
	if s.Pending != nil {
		v.Printf("  %s\n", v.paint("An apply was interrupted. The next apply completes it.", yellow))
	}
	for _, path := range slices.Sorted(maps.Keys(s.Partitions)) {
		p := s.Partitions[path]
		v.Printf("    %s%s  %12s  %10s%s\n", path, strings.Repeat(" ", width-len(path)), plural(p.Rows, "row"), size(p.Size()), inFiles(p))
	}
	if q := s.Quarantine; q != nil {
		v.Printf("  quarantine: %s in %s\n", plural(q.Events, "event"), q.Object.Key)
	}
}

// inFiles returns the number of files of a partition if it is not 1, and says if the
// partition is incomplete.
func inFiles(p state.Partition) (text string) {
	if len(p.Files) != 1 {
		text = "  in " + plural(len(p.Files), "file")
	}
	if p.Incomplete {
		text += "  incomplete"
	}
	return text
}

// Resource prints a job or a partition in the state, and reports whether the state has
// it.
func (v statePrinter) Resource(s *state.State, a jobs.Address) (found bool) {
	for _, address := range s.Addresses() {
		of, err := jobs.ParseAddress(address)
		if err != nil || !a.Job().Contains(of) {
			continue
		}
		job := s.Jobs[address]
		if !a.IsPartition() {
			v.Printf("%s\n  table     = %q\n  schema    = %q\n", v.paint("# "+address, bold), job.TableName, job.SchemaFingerprint)
			if job.Prospects != nil {
				v.Printf("  prospects = %d\n", job.Prospects.Count)
			}
			for _, sink := range slices.Sorted(maps.Keys(job.Sinks)) {
				v.sink(sink, job.Sinks[sink])
			}
			found = true
			continue
		}
		for _, sink := range slices.Sorted(maps.Keys(job.Sinks)) {
			p, ok := job.Sinks[sink].Partitions[a.Partition]
			if !ok {
				continue
			}
			if !found {
				v.Printf("%s\n", v.paint("# "+a.String(), bold))
			}
			found = true
			for _, f := range p.Files {
				v.Printf("\n%s\n  uri        = %q\n  rows       = %d\n  bytes      = %d\n  content    = %q\n  crc32c     = \"%08x\"\n  generation = %q\n",
					sink, tableRoot(job.Sinks[sink].URI, job.TableName)+f.Key, f.Rows, f.Size, f.Content.String(), f.CRC32C, f.Generation)
			}
		}
	}
	return found
}

// tableRoot returns the URI that keys are relative to.
func tableRoot(uri, table string) string { return strings.TrimSuffix(uri, table) }

// Runs prints runs in the order of the list.
func (v statePrinter) Runs(records []ledger.Record) {
	if len(records) == 0 {
		v.Printf("No run has been recorded yet.\n")
	}
	for _, r := range records {
		v.Printf("%s  %-12s %-10s %s  %s\n", v.paint(r.Started.Local().Format("2006-01-02 15:04:05 MST"), bold), r.Operation,
			r.Outcome, r.Ended.Sub(r.Started).Round(10*time.Millisecond), r.Who)
		if r.Error != "" {
			v.Printf("    %s\n", r.Error)
		}
		for _, j := range r.Jobs {
			v.Printf("    %s: %d added, %d changed, %d destroyed; %s read; %s of %s complete\n", j.Address,
				j.Summary.Add, j.Summary.Change, j.Summary.Destroy, plural(j.Books.Events, "event"),
				count(j.Coverage.Complete), plural(j.Coverage.Prospects, "prospect"))
		}
	}
}
