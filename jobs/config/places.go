package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"prospector/jobs"
)

// checkJobs reports tables whose places overlap or hold other files.
func (l *loader) checkJobs(backend jobs.Backend) {
	type place struct {
		j job
		t table
	}
	var seen []place
	for _, j := range l.jobs {
		for _, t := range j.tables {
			for _, o := range seen {
				if !within(t.uri, o.t.uri, "/") && !within(o.t.uri, t.uri, "/") {
					continue
				}
				l.diags = append(l.diags, j.Diagnose("sinks", "Two tables in one place", fmt.Sprintf(
					"%s in %s is %s, and %s in %s is %s (%s:%d). Each table needs a directory of its own, because readers treat every file below it as a part of the table. Change the location of one sink, or the table of one job.",
					j.Address, t.sink, t.uri, o.j.Address, o.t.sink, o.t.uri, o.j.Origin.Filename, o.j.Origin.Line)))
				break
			}
			seen = append(seen, place{j, t})
			l.checkTable(j, t, backend)
		}
	}
}

// checkTable reports files in a table's directory that are not the table's.
func (l *loader) checkTable(j job, t table, backend jobs.Backend) {
	foreign := func(what, change string) {
		l.diags = append(l.diags, j.Diagnose("sinks", "Foreign files in a table", fmt.Sprintf(
			"The directory of %s in %s would hold %s, but readers of the lake treat every file in it as a part of the table. Change the location of the %s.",
			j.Address, t.sink, what, change)))
	}
	if t.dir != "" {
		if within(l.dir, t.dir, string(filepath.Separator)) {
			foreign("the configuration", "sink")
		}
		if p := j.Prospects; p != nil && p.Object == nil && p.File != "-" && within(p.File, t.dir, string(filepath.Separator)) {
			foreign("the list of prospects", "sink")
		}
	}
	if p := j.Prospects; p != nil && p.Object != nil && within(p.File, t.uri, "/") {
		foreign("the list of prospects", "sink")
	}
	if backend.Kind != nil && within(backend.URI(backend.Key), t.uri, "/") {
		foreign("the state", "sink or of the backend")
	}
}

// within reports whether a path equals root or is below it.
func within(path, root, separator string) bool {
	return strings.HasPrefix(path+separator, strings.TrimSuffix(root, separator)+separator)
}
