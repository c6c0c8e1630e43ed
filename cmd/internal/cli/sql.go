package cli

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/sink/ddl"
	"prospector/sink/store"
)

func sqlCommand(e *env) *command {
	var v variables
	var dialect, dataset, only string
	var filter bool
	return &command{
		synopsis: "Print the SQL for querying the lake",
		about: `Prints the statement that makes each job's table known to a query engine: an
external table for BigQuery, a view for DuckDB, a table in Spark's catalog. It
contacts neither the engine nor any sink.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&dialect, "dialect", "", "Write for this `engine`: "+strings.Join(ddl.Dialects(), ", ")+". Required.")
			fs.StringVar(&dataset, "dataset", "", "Make the BigQuery table in this data set: `project.dataset`.")
			fs.StringVar(&only, "job", "", "Print only the table with this `name`, or of the job with this address.")
			fs.BoolVar(&filter, "require-filter", false, "Make BigQuery refuse queries that do not filter by a partition key.")
			v.register(fs)
		},
		run: func(c *command, _ []string) int {
			if dialect == "" {
				return c.usage("needs -dialect with one of %s", strings.Join(ddl.Dialects(), ", "))
			}
			if !slices.Contains(ddl.Dialects(), dialect) {
				return c.usage("needs -dialect with one of %s, not %q", strings.Join(ddl.Dialects(), ", "), dialect)
			}
			if dialect != "bigquery" && (dataset != "" || filter) {
				return c.usage("-dataset and -require-filter need -dialect=bigquery")
			}
			if dataset != "" {
				if err := ddl.CheckDataset(dataset); err != nil {
					return c.usage("-dataset=%s", err)
				}
			}
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			var statements []string
			for _, job := range config.Jobs {
				if only != "" && job.TableName != only && job.Address != only {
					continue
				}
				text, err := statement(e, dialect, job, ddl.Options{Dataset: dataset, RequireFilter: filter})
				if err != nil {
					return e.failed(jobs.Diagnostic{Severity: jobs.Error, Address: job.Address, Origin: &job.Origin,
						Summary: "No SQL for this job", Detail: err.Error()})
				}
				statements = append(statements, text)
			}
			if len(statements) == 0 {
				return c.usage("there is no job %q", only)
			}
			e.view.Printf("%s", view.Program(strings.Join(statements, "\n")))
			return 0
		},
	}
}

// statement returns the SQL of a job's table.
func statement(e *env, dialect string, job jobs.Job, o ddl.Options) (string, error) {
	sink, ok := readable(job, dialect)
	if !ok {
		return "", fmt.Errorf("%s cannot read the sinks of this job. Add a sink that it can read, such as:\n\n%s", dialect, exampleSink(e.Stores, dialect))
	}
	reads := sink.Kind.Dialects[dialect]
	o.Table, o.Name, o.Setup, o.Root = job.Schema, job.TableName, reads.Setup, sink.URI(job.TableName)
	if reads.Root != nil {
		o.Root = reads.Root(sink.Settings, job.TableName)
	}
	return ddl.Write(dialect, o)
}

// readable returns the sink of a job that the engine of a dialect should read: of
// those that it can read, the first one of a preferred kind or else the first one.
func readable(job jobs.Job, dialect string) (best jobs.Sink, ok bool) {
	for _, sink := range job.Sinks {
		reads, can := sink.Kind.Dialects[dialect]
		if can && reads.Preferred {
			return sink, true
		}
		if can && !ok {
			best, ok = sink, true
		}
	}
	return best, ok
}

// exampleSink returns sink blocks of the kinds that the engine of a dialect reads
// best.
func exampleSink(kinds store.Kinds, dialect string) string {
	var blocks []string
	for _, kind := range kinds {
		if kind.Dialects[dialect].Preferred {
			blocks = append(blocks, fmt.Sprintf("  sink %q \"lake\" {\n%s\n  }", kind.Name, indent(kind.Example, 4)))
		}
	}
	return strings.Join(blocks, "\n")
}
