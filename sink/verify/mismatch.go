package verify

import (
	"fmt"
	"strings"

	"prospector/schemas"
	"prospector/sink"
)

// Mismatch is the error for a file that can be read and is not what it should
// be.
type Mismatch struct{ Findings []Finding }

// Finding is one thing in which a file is not what it should be. It tells no
// value of any row.
type Finding struct {
	Column          string // "" when it is about the whole file
	Where           string // the row group and row, where they are known
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
	return "a second reader does not find in the Parquet file what belongs there: " + strings.Join(texts, "; ")
}

// compare lists where a file differs from what its writer says. The columns of
// found are the table's.
func compare(table schemas.Table, want, found sink.Summary) []Finding {
	differs := compareRows(want.Rows, want.Content, found)
	if len(want.Columns) != len(found.Columns) {
		return append(differs, Finding{Expected: count(int64(len(want.Columns)), "column"), Found: count(int64(len(found.Columns)), "column")})
	}
	for i, w := range want.Columns {
		f := found.Columns[i]
		if w.Name != f.Name {
			differs = append(differs, Finding{Column: w.Name, Expected: "it as column " + fmt.Sprint(i+1), Found: f.Name + " there"})
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

// compareRows lists where a file's rows, as a whole, are not those that were
// written.
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

// checkMetadata holds what the footer says of the rows against the rows. A file
// that has any of the four keys has all of them. The job's name is for the caller
// to judge.
func checkMetadata(pairs []keyValue, table schemas.Table, found sink.Summary) (map[string]string, []Finding) {
	metadata := map[string]string{}
	var wrong []Finding
	for _, p := range pairs {
		if _, twice := metadata[p.Key]; twice {
			wrong = append(wrong, Finding{Expected: "each key of the footer's metadata once", Found: fmt.Sprintf("%q twice", p.Key)})
		}
		metadata[p.Key] = p.GetValue()
	}
	ours := 0
	for _, key := range []string{sink.MetadataJob, sink.MetadataSchema, sink.MetadataRows, sink.MetadataContent} {
		if _, ok := metadata[key]; ok {
			ours++
		}
	}
	if ours == 0 {
		return metadata, wrong
	}
	for _, is := range []struct{ key, truth string }{
		{sink.MetadataJob, metadata[sink.MetadataJob]},
		{sink.MetadataSchema, table.Fingerprint()},
		{sink.MetadataRows, fmt.Sprint(found.Rows)},
		{sink.MetadataContent, found.Content.String()},
	} {
		told, ok := metadata[is.key]
		switch {
		case !ok:
			wrong = append(wrong, Finding{Expected: is.key + " in the footer's metadata", Found: "none"})
		case told != is.truth:
			wrong = append(wrong, Finding{Expected: is.key + " in the footer's metadata to be " + is.truth, Found: fmt.Sprintf("%q", told)})
		}
	}
	return metadata, wrong
}

// count writes a number of things in words.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
