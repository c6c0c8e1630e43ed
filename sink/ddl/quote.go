package ddl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"prospector/internal/terminal"
	"prospector/schemas"
)

// The types of the columns in each dialect. JSON is text, as in the files.
var bigQueryTypes = map[schemas.Type]string{
	schemas.String: "STRING", schemas.Int64: "INT64", schemas.Float64: "FLOAT64", schemas.Bool: "BOOL",
	schemas.Timestamp: "TIMESTAMP", schemas.Date: "DATE", schemas.JSON: "STRING",
}

// A DuckDB view declares only the types of partition keys. The files have the others.
var duckDBTypes = map[schemas.Type]string{
	schemas.String: "VARCHAR", schemas.Int64: "BIGINT", schemas.Float64: "DOUBLE", schemas.Bool: "BOOLEAN",
	schemas.Timestamp: "TIMESTAMP WITH TIME ZONE", schemas.Date: "DATE", schemas.JSON: "VARCHAR",
}

var sparkTypes = map[schemas.Type]string{
	schemas.String: "STRING", schemas.Int64: "BIGINT", schemas.Float64: "DOUBLE", schemas.Bool: "BOOLEAN",
	schemas.Timestamp: "TIMESTAMP", schemas.Date: "DATE", schemas.JSON: "STRING",
}

// bigQueryReserved lists the words that GoogleSQL accepts as names only in backticks.
var bigQueryReserved = strings.Fields(`
	ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT
	DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL
	GRAPH_TABLE GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE
	LIMIT LOOKUP MATCH_RECOGNIZE MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO
	QUALIFY RANGE RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED
	UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN`)

// bigQueryName quotes the name of a column if necessary. The name has only letters,
// digits and underscores.
func bigQueryName(name string) string {
	if slices.Contains(bigQueryReserved, strings.ToUpper(name)) {
		return backticks(name)
	}
	return name
}

// datasetName matches the name of a data set, with or without its project. A project may
// belong to a domain, as in example.com:project. The name of a data set has at most 1,024
// letters, digits and underscores
// (https://cloud.google.com/bigquery/docs/datasets#dataset-naming). The ID of a project
// has 6 to 30 lower-case letters, digits and hyphens
// (https://cloud.google.com/resource-manager/docs/creating-managing-projects). The
// pattern checks only its characters.
var datasetName = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]*:)?([a-z][a-z0-9-]*\.)?[A-Za-z0-9_]+$`)

// CheckDataset returns nil if the text names a BigQuery data set: dataset,
// project.dataset or domain:project.dataset. Otherwise it returns ErrDataset.
func CheckDataset(name string) error {
	if dataset := name[strings.LastIndexByte(name, '.')+1:]; len(dataset) > 1024 || !datasetName.MatchString(name) {
		return fmt.Errorf("%q is %w: write project.dataset; a project has only lower-case letters, digits and hyphens, and a data set has only letters, digits and underscores", name, ErrDataset)
	}
	return nil
}

// In GoogleSQL, strings and names in backticks have the same escapes. Those of other
// characters are the same as in Go.
var googleEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "`", "\\`", "\n", `\n`, "\r", `\r`, "\t", `\t`)

func googleEscape(s string) string {
	return terminal.Program(googleEscapes.Replace(strings.ToValidUTF8(s, "\ufffd")))
}

func backticks(name string) string { return "`" + googleEscape(name) + "`" }

func bigQueryString(s string) string { return "'" + googleEscape(s) + "'" }

// In DuckDB, the only escape is the quote itself, doubled.
func doubleQuotes(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func duckDBString(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// unglob escapes the characters of a path that have a meaning in a pattern. DuckDB
// matches a character in brackets literally.
var unglob = strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]")

// In Spark, the only escape in a quoted name is the backquote itself, doubled.
func backquotes(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

var sparkEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`)

func sparkString(s string) string { return "'" + sparkEscapes.Replace(s) + "'" }
