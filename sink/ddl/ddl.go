// Package ddl writes the SQL that lets a query engine read a table of the lake: an
// external table in BigQuery, a view in DuckDB, a table in Spark's catalog.
//
// It only writes text. It does not connect to an engine, and does not check whether the
// table has files yet.
package ddl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/internal/terminal"
	"prospector/schemas"
)

// ErrLocation means that an engine cannot read a table at its location.
var ErrLocation = errors.New("the engine cannot read the table there")

// ErrDataset means that a text is not the name of a BigQuery data set.
var ErrDataset = errors.New("not a BigQuery data set")

// Options describe a table and its location.
type Options struct {
	Table schemas.Table
	// Name is the name of the job's table, which readers use.
	Name string
	// Root is the engine's name of the directory with the table's partitions, such as
	// gs://bucket/prefix/job or /lake/job.
	Root string
	// Setup explains what the engine needs in order to read Root, as lines of text.
	Setup []string
	// Dataset is the BigQuery data set, in a form that CheckDataset accepts. If it is
	// empty, the statement has a placeholder.
	Dataset string
	// RequireFilter makes BigQuery refuse queries that would read every
	// partition.
	RequireFilter bool
}

// dialects maps each dialect to the function that writes it.
var dialects = map[string]func(Options) (string, error){"bigquery": BigQuery, "duckdb": DuckDB, "spark": Spark}

// Dialects returns the names of the dialects in ascending order.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// Write returns the statements of one of the dialects.
func Write(dialect string, o Options) (string, error) {
	write, ok := dialects[dialect]
	if !ok {
		return "", fmt.Errorf("there is no SQL dialect %q", dialect)
	}
	return write(o)
}

// encoded is a comment that describes sink.EncodeValue.
const encoded = "-- %s holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.\n"

// BigQuery returns the statement that creates an external table over the lake,
// with every column and its type.
func BigQuery(o Options) (string, error) {
	root, err := o.root()
	if err != nil {
		return "", err
	}
	if _, path, _ := strings.Cut(root, "://"); strings.Contains(path, "*") || strings.Contains(path, "//") {
		return "", fmt.Errorf("%w: %q has an asterisk or an empty segment", ErrLocation, root)
	}
	if o.Dataset == "" {
		o.Dataset = "project.dataset"
	}
	if err := CheckDataset(o.Dataset); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(o.notes())
	fmt.Fprintf(&b, "CREATE OR REPLACE EXTERNAL TABLE %s (\n", backticks(o.Dataset+"."+o.Name))
	for i, c := range o.Table.Columns {
		// Descriptions are comments, since BigQuery does not document that columns of
		// external tables take options.
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

// DuckDB returns the statement that creates a view over the lake, with its columns
// in the order of the files and the partition keys last.
func DuckDB(o Options) (string, error) {
	root, err := o.root()
	if err != nil {
		return "", err
	}
	if strings.Contains(root, `\`) {
		return "", fmt.Errorf("%w: DuckDB reads the backslash in %q as a slash; move the lake", ErrLocation, root)
	}
	var b strings.Builder
	b.WriteString(o.notes())
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

// Spark returns the statements that create an external table over the lake and register
// the lake's partitions. They can be repeated. The second statement must be repeated
// after each change of the lake.
//
// The statements create a table rather than a view of the files. A view would infer its
// columns and partition keys from the current files, so an event type 2022 would make
// event_type an INT. It would also end with the session, and list the directories only
// once. A table declares its types. REPAIR TABLE … SYNC PARTITIONS, which requires Spark
// 3.2, adds new partitions, removes deleted ones, and lists the files again. Until then,
// a query that needs a deleted file fails. RECOVER PARTITIONS would only add partitions.
// The statements never drop the table, because an unrelated table may have the same name.
//
// The table's name is that of the job, with "_" instead of "-", because Spark accepts
// only letters, digits and underscores.
func Spark(o Options) (string, error) {
	root, err := o.root()
	if err != nil {
		return "", err
	}
	if strings.Contains(root, "${") {
		return "", fmt.Errorf("%w: Spark reads the ${ in %q as a variable; move the lake", ErrLocation, root)
	}
	var b strings.Builder
	b.WriteString(o.notes())
	name := backquotes(strings.ReplaceAll(o.Name, "-", "_"))
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", name)
	columns := o.Table.All()
	for i, c := range columns {
		// Descriptions are comments, since a metastore keeps column comments in its
		// own database, where the column may be too short or have another encoding.
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

// notes returns the comments that precede a statement: what the engine needs, and
// how partition keys of text are encoded.
func (o Options) notes() string {
	var b strings.Builder
	for _, line := range o.Setup {
		b.WriteString("-- " + line + "\n")
	}
	text := func(c schemas.Column) bool { return c.Type == schemas.String }
	if i := slices.IndexFunc(o.Table.PartitionBy, text); i >= 0 {
		fmt.Fprintf(&b, encoded, o.Table.PartitionBy[i].Name)
	}
	return b.String()
}

// root returns Root without a trailing slash. It rejects a path with characters that are
// not visible in a statement.
func (o Options) root() (string, error) {
	if terminal.Program(o.Root) != o.Root || strings.ContainsAny(o.Root, "\n\t") {
		return "", fmt.Errorf("%w: the path %q has a line break, a control character or an invisible one; move the lake", ErrLocation, o.Root)
	}
	return strings.TrimRight(o.Root, "/"), nil
}

// described appends a column's description to its line, as a comment.
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
