package verify

import (
	"fmt"
	"strings"

	"prospector/schemas"
	"prospector/sink"
)

// Mismatch is the error for a readable file that differs from what is expected.
type Mismatch struct{ Findings []Finding }

// Finding is one difference between a file and what is expected. It contains no value
// of any row.
type Finding struct {
	Column          string // "" if the finding concerns the file
	Where           string // the row group and row, or "" if they are unknown
	Expected, Found string
}

func (f Finding) String() string {
	s := "expected " + f.Expected + ", found " + f.Found
	if f.Where != "" {
		s += ", in " + f.Where
	}
	if f.Column != "" {
		s = f.Column + ": " + s
	}
	return s
}

func (m *Mismatch) Error() string {
	texts := make([]string, len(m.Findings))
	for i, f := range m.Findings {
		texts[i] = f.String()
	}
	return "the Parquet file is not as expected: " + strings.Join(texts, "; ")
}

// compare lists the differences between the summary of the writer and that of the
// second reader. The columns of found are the table's.
func compare(table schemas.Table, want, found sink.Summary) []Finding {
	differs := compareRows(want.Rows, want.Content, found)
	if len(want.Columns) != len(found.Columns) {
		return append(differs, Finding{Expected: count(int64(len(want.Columns)), "column"), Found: count(int64(len(found.Columns)), "column")})
	}
	for i, w := range want.Columns {
		f := found.Columns[i]
		if w.Name != f.Name {
			differs = append(differs, Finding{Column: w.Name, Expected: fmt.Sprintf("this name for column %d", i+1), Found: f.Name})
			continue
		}
		if w.Nulls != f.Nulls {
			differs = append(differs, Finding{Column: w.Name, Expected: count(w.Nulls, "NULL"), Found: count(f.Nulls, "NULL")})
		}
		if w.Values != f.Values {
			differs = append(differs, Finding{Column: w.Name, Expected: "the values that were written, with the digest " + w.Values.String(), Found: "other values, with " + f.Values.String()})
		}
	}
	for _, bound := range []struct {
		name        string
		want, found int64
	}{{"earliest", want.MinTime, found.MinTime}, {"latest", want.MaxTime, found.MaxTime}} {
		if bound.want != bound.found {
			direction := "an earlier one"
			if bound.found > bound.want {
				direction = "a later one"
			}
			differs = append(differs, Finding{Column: table.Roles().Time, Expected: "the " + bound.name + " time that was written", Found: direction})
		}
	}
	return differs
}

// compareRows compares the number of rows and their digest.
func compareRows(rows int64, content schemas.Digest, found sink.Summary) []Finding {
	var differs []Finding
	if rows != found.Rows {
		differs = append(differs, Finding{Expected: count(rows, "row"), Found: count(found.Rows, "row")})
	}
	if content != found.Content {
		differs = append(differs, Finding{Expected: "the rows that were written, with the digest " + content.String(), Found: "other rows, with " + found.Content.String()})
	}
	return differs
}

// checkMetadata compares the footer's metadata with the rows. A file that has one of
// prospector's keys must have all of them. It does not check the job's name.
func checkMetadata(pairs []keyValue, table schemas.Table, found sink.Summary) (map[string]string, []Finding) {
	metadata := map[string]string{}
	var wrong []Finding
	for _, p := range pairs {
		if _, twice := metadata[p.Key]; twice {
			wrong = append(wrong, Finding{Expected: "each key of the footer's metadata once", Found: fmt.Sprintf("%q twice", p.Key)})
		}
		metadata[p.Key] = p.GetValue()
	}
	known := 0
	for _, key := range []string{sink.MetadataJob, sink.MetadataSchema, sink.MetadataRows, sink.MetadataContent} {
		if _, ok := metadata[key]; ok {
			known++
		}
	}
	if known == 0 {
		return metadata, wrong
	}
	for _, is := range []struct{ key, want string }{
		{sink.MetadataJob, metadata[sink.MetadataJob]},
		{sink.MetadataSchema, table.Fingerprint()},
		{sink.MetadataRows, fmt.Sprint(found.Rows)},
		{sink.MetadataContent, found.Content.String()},
	} {
		value, ok := metadata[is.key]
		switch {
		case !ok:
			wrong = append(wrong, Finding{Expected: is.key + " in the footer's metadata", Found: "none"})
		case value != is.want:
			wrong = append(wrong, Finding{Expected: is.key + " in the footer's metadata to be " + is.want, Found: fmt.Sprintf("%q", value)})
		}
	}
	return metadata, wrong
}

// count returns a number with its noun, such as "2 rows".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
