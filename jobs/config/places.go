package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"prospector/jobs"
)

// checkJobs reports what is wrong with the jobs as a whole.
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
					"%s in %s is %s, and %s in %s is %s (%s:%d). A table needs a place of its own, since its readers take every file below it for theirs: change the path or the prefix of one sink, or the table of one job.",
					j.Address, t.sink, t.uri, o.j.Address, o.t.sink, o.t.uri, o.j.Origin.Filename, o.j.Origin.Line)))
				break
			}
			seen = append(seen, place{j, t})
			l.checkTable(j, t, backend)
		}
	}
}

// checkTable keeps what is not a table's own out of its directory.
func (l *loader) checkTable(j job, t table, backend jobs.Backend) {
	foreign := func(what, change string) {
		l.diags = append(l.diags, j.Diagnose("sinks", "Foreign files in a table", fmt.Sprintf(
			"The directory of %s in %s would hold %s, and readers of the lake take every file in it for the table's. Change the %s.",
			j.Address, t.sink, what, change)))
	}
	if t.bucket != "" {
		// The state is a number of objects, all of them below the prefix.
		where := jobs.Sink{Kind: "gcs", Bucket: backend.Bucket, Prefix: backend.Prefix}
		if backend.Kind == "gcs" && within(where.URI(""), t.uri, "/") {
			foreign("the state", "prefix of the sink or that of the backend")
		}
		return
	}
	others := map[string]string{"the configuration": l.dir}
	if backend.Kind == "local" {
		others["the state"] = backend.Path
	}
	if j.Prospects != nil && j.Prospects.File != "-" {
		others["the list of prospects"] = j.Prospects.File
	}
	for _, what := range sortedKeys(others) {
		if within(others[what], t.path, string(filepath.Separator)) {
			foreign(what, "path of the sink")
		}
	}
}

// within reports whether a path is another or lies below it.
func within(path, root, separator string) bool {
	return strings.HasPrefix(path+separator, strings.TrimSuffix(root, separator)+separator)
}
