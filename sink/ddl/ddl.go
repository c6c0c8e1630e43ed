// Package ddl writes the SQL by which readers see a table of the lake: an
// external table in BigQuery, a view in DuckDB, a table in Spark's catalog.
//
// It only writes text: it connects to nothing, and does not look whether the
// lake holds anything yet.
package ddl

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"prospector/internal/terminal"
	"prospector/schemas"
)

// ErrLocation says that the engine cannot read a table where this one is.
var ErrLocation = errors.New("the table is out of the engine's reach")

// ErrDataset says that a text does not name a BigQuery data set.
var ErrDataset = errors.New("not a BigQuery data set")

// Options say which table is meant and where it is.
type Options struct {
	Table schemas.Table
	// Name is the name that readers use: the job's.
	Name string
	// URI is where the table's partitions begin, as a store names it:
	// gs://bucket/prefix/job, or file:///lake/job with percent-encoding.
	URI string
	// Dataset is BigQuery's "project.dataset", as CheckDataset accepts it; a
	// placeholder stands for "".
	Dataset string
	// RequireFilter makes BigQuery refuse queries that would read every
	// partition.
	RequireFilter bool
}

// encoded tells readers of sink.EncodeValue.
const encoded = "-- %s holds letters, digits and _.- as they came; any other byte is _xHH_, in hexadecimal.\n"

// BigQuery gives the statement that creates an external table over the lake,
// with every column and its type, or ErrLocation when it is not in Google Cloud
// Storage.
func BigQuery(o Options) (string, error) {
	root, err := bucketPath(o.URI)
	if err != nil {
		return "", err
	}
	if o.Dataset == "" {
		o.Dataset = "project.dataset"
	}
	if err := CheckDataset(o.Dataset); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(o.note())
	fmt.Fprintf(&b, "CREATE OR REPLACE EXTERNAL TABLE %s (\n", backticks(o.Dataset+"."+o.Name))
	for i, c := range o.Table.Columns {
		// Descriptions are comments: that columns of external tables take options
		// is not documented.
		if c.Type == schemas.JSON {
			c.Description = "JSON, which PARSE_JSON reads. " + c.Description
		}
		b.WriteString("  " + bigQueryName(c.Name) + " " + bigQueryTypes[c.Type] + described(separator(i, len(o.Table.Columns)), c))
	}
	keys := make([]string, len(o.Table.PartitionBy))
	for i, c := range o.Table.PartitionBy {
		keys[i] = bigQueryName(c.Name) + " " + bigQueryTypes[c.Type]
	}
	fmt.Fprintf(&b, ")\nWITH PARTITION COLUMNS (%s)\nOPTIONS (\n", strings.Join(keys, ", "))
	if o.Table.Description != "" {
		fmt.Fprintf(&b, "  description = %s,\n", bigQueryString(o.Table.Description))
	}
	fmt.Fprintf(&b, `  format = 'PARQUET',
  uris = [%s],
  hive_partition_uri_prefix = %s,
  require_hive_partition_filter = %t
);
`, bigQueryString(root+"/*.parquet"), bigQueryString(root), o.RequireFilter)
	return b.String(), nil
}

// DuckDB gives the statement that creates a view over the lake, its columns in
// the order of the files and the partition keys last.
func DuckDB(o Options) (string, error) {
	var b strings.Builder
	var root string
	switch scheme, _, _ := strings.Cut(o.URI, "://"); scheme {
	case "gs":
		var err error
		if root, err = bucketPath(o.URI); err != nil {
			return "", err
		}
		b.WriteString("-- DuckDB reads gs:// with its httpfs extension and an HMAC key of the bucket:\n" +
			"--   INSTALL httpfs; LOAD httpfs;\n" +
			"--   CREATE SECRET (TYPE gcs, KEY_ID '…', SECRET '…');\n")
	case "file":
		var err error
		if root, err = localPath(o.URI); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("%w: DuckDB reads file:// and gs://, not %q", ErrLocation, o.URI)
	}
	if strings.Contains(root, `\`) {
		return "", fmt.Errorf("%w: DuckDB takes the backslash in %q for a slash; move the lake", ErrLocation, root)
	}
	b.WriteString(o.note())
	fmt.Fprintf(&b, "CREATE OR REPLACE VIEW %s AS\nSELECT\n", doubleQuotes(o.Name))
	columns := o.Table.All()
	for i, c := range columns {
		b.WriteString("  " + doubleQuotes(c.Name) + separator(i, len(columns)))
	}
	types := make([]string, len(o.Table.PartitionBy))
	for i, c := range o.Table.PartitionBy {
		types[i] = duckDBString(c.Name) + ": " + duckDBTypes[c.Type]
	}
	fmt.Fprintf(&b, `FROM read_parquet(
  %s,
  hive_partitioning = true,
  hive_types = {%s},
  union_by_name = false
);
`, duckDBString(unglob.Replace(root)+"/**/*.parquet"), strings.Join(types, ", "))
	return b.String(), nil
}

// Spark gives the statements that create an external table over the lake, and
// make it have the partitions that the lake has. They can be repeated; the second
// one is to be run again whenever the lake has changed.
//
// A table, and not a view of the files: a view's columns and partition keys would
// be inferred from what is there on the day (an event type 2022 makes event_type
// an INT), it is gone with the session, and it looks at the directories only
// once. A table's types are declared, and REPAIR TABLE … SYNC PARTITIONS, of
// Spark 3.2 and later, adds new partitions, forgets those that are gone, and
// rereads the lists of files; until then, a query that comes to a file that is
// gone fails. RECOVER PARTITIONS would only add. The table is never dropped here,
// for somebody's own table may have its name.
//
// The table's name is the job's with "_" for "-", as Spark takes nothing but
// letters, digits and underscores.
func Spark(o Options) (string, error) {
	var b strings.Builder
	var root string
	switch scheme, _, _ := strings.Cut(o.URI, "://"); scheme {
	case "gs":
		var err error
		if root, err = bucketPath(o.URI); err != nil {
			return "", err
		}
		b.WriteString("-- Spark reads gs:// with the Cloud Storage connector for Hadoop on its class path.\n")
	case "file":
		path, err := localPath(o.URI)
		if err != nil {
			return "", err
		}
		root = "file://" + path // not percent-encoded: Hadoop does not decode it
	default:
		return "", fmt.Errorf("%w: Spark reads file:// and gs://, not %q", ErrLocation, o.URI)
	}
	if strings.Contains(root, "${") {
		return "", fmt.Errorf("%w: Spark takes the ${ in %q for a variable; move the lake", ErrLocation, root)
	}
	b.WriteString(o.note())
	name := backquotes(strings.ReplaceAll(o.Name, "-", "_"))
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", name)
	columns := o.Table.All()
	for i, c := range columns {
		// Descriptions are comments: a metastore keeps column comments in a column
		// of its own database, which may be too short or know other letters.
		b.WriteString("  " + backquotes(c.Name) + " " + sparkTypes[c.Type] + described(separator(i, len(columns)), c))
	}
	keys := make([]string, len(o.Table.PartitionBy))
	for i, c := range o.Table.PartitionBy {
		keys[i] = backquotes(c.Name)
	}
	fmt.Fprintf(&b, `)
USING PARQUET
PARTITIONED BY (%s)
LOCATION %s;

-- After every change of the lake:
MSCK REPAIR TABLE %s SYNC PARTITIONS;
`, strings.Join(keys, ", "), sparkString(root), name)
	return b.String(), nil
}

// note says how text partition keys read.
func (o Options) note() string {
	for _, c := range o.Table.PartitionBy {
		if c.Type == schemas.String {
			return fmt.Sprintf(encoded, c.Name)
		}
	}
	return ""
}

// bucketPath gives the URI of a place in Google Cloud Storage without a slash
// at its end.
func bucketPath(uri string) (string, error) {
	rest, ok := strings.CutPrefix(uri, "gs://")
	if !ok {
		return "", fmt.Errorf("%w: BigQuery reads only gs://, not %q; give the job a sink there as well:\n\n"+
			"  sink \"gcs\" \"lake\" {\n    bucket = \"my-bucket\"\n  }", ErrLocation, uri)
	}
	rest = strings.TrimRight(rest, "/")
	if rest == "" || strings.Contains(rest, "*") || strings.Contains(rest, "//") {
		return "", fmt.Errorf("%w: %q does not name a bucket, or has an asterisk or an empty segment", ErrLocation, uri)
	}
	return "gs://" + rest, checkPrintable(rest)
}

// localPath gives the absolute path that a file:// URI names.
func localPath(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Host != "" || !path.IsAbs(u.Path) {
		return "", fmt.Errorf("%w: %q is not the file:// URI of an absolute path", ErrLocation, uri)
	}
	return strings.TrimRight(u.Path, "/"), checkPrintable(u.Path)
}

// checkPrintable refuses a path whose characters a statement would not show.
func checkPrintable(path string) error {
	if terminal.Program(path) != path || strings.ContainsAny(path, "\n\t") {
		return fmt.Errorf("%w: the path %q has a line break, a control character or an invisible one; move the lake", ErrLocation, path)
	}
	return nil
}

// described puts a column's description, as a comment, at the end of its line.
func described(line string, c schemas.Column) string {
	if c.Description == "" {
		return line
	}
	return strings.TrimRight(line, "\n") + " -- " + terminal.Program(strings.Join(strings.Fields(c.Description), " ")) + "\n"
}

func separator(i, n int) string {
	if i < n-1 {
		return ",\n"
	}
	return "\n"
}
