package cli

import (
	"flag"
	"slices"
	"strings"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/sink/ddl"
)

// sinkKind is the kind of sink that each dialect's engine reads best.
var sinkKind = map[string]string{"bigquery": "gcs", "duckdb": "local", "spark": "gcs"}

func sqlCommand(e *env) *command {
	var v variables
	var dialect, dataset, only string
	var filter bool
	return &command{
		synopsis: "Print the SQL by which readers see the lake",
		about: `Prints the statement that makes each job's table known to a query engine: an
external table for BigQuery, a view for DuckDB, a table in Spark's catalog. It
asks nobody.`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&dialect, "dialect", "", "Write for this `engine`: bigquery, duckdb or spark. Required.")
			fs.StringVar(&dataset, "dataset", "", "Make the BigQuery table in this data set: `project.dataset`.")
			fs.StringVar(&only, "job", "", "Only for the job with this `name` of its table, or with this address.")
			fs.BoolVar(&filter, "require-filter", false, "Let BigQuery refuse queries that name no partition key.")
			v.register(fs)
		},
		run: func(c *command, _ []string) int {
			kind, ok := sinkKind[dialect]
			if !ok {
				return c.usage("needs -dialect=bigquery, -dialect=duckdb or -dialect=spark, not %q", dialect)
			}
			if dialect != "bigquery" && (dataset != "" || filter) {
				return c.usage("-dataset and -require-filter are for -dialect=bigquery")
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
				text, err := statement(dialect, job, readable(job, kind), dataset, filter)
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

// readable is the job's sink of that kind, or else its first one.
func readable(job jobs.Job, kind string) jobs.Sink {
	i := slices.IndexFunc(job.Sinks, func(s jobs.Sink) bool { return s.Kind == kind })
	return job.Sinks[max(i, 0)]
}

func statement(dialect string, job jobs.Job, sink jobs.Sink, dataset string, filter bool) (string, error) {
	o := ddl.Options{Table: job.Schema, Name: job.TableName, URI: sink.URI(job.TableName), Dataset: dataset, RequireFilter: filter}
	switch dialect {
	case "duckdb":
		return ddl.DuckDB(o)
	case "spark":
		return ddl.Spark(o)
	}
	return ddl.BigQuery(o)
}
