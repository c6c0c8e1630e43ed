package parquetfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/internal/rowtest"
)

// summaryOf computes the summary that Write must return for rows, from single values.
func summaryOf(table schemas.Table, rows []rowtest.Row) sink.Summary {
	s := sink.Summary{Rows: int64(len(rows)), Content: rowtest.Digest(table.Columns, rows)}
	for _, c := range table.Columns {
		column := sink.ColumnSummary{Name: c.Name}
		for _, r := range rows {
			if _, ok := r[c.Name]; !ok {
				column.Nulls++
			}
			column.Values = column.Values.Add(rowtest.DigestValue(c.Name, r[c.Name]))
		}
		s.Columns = append(s.Columns, column)
	}
	var times []int64
	for _, r := range rows {
		if v, ok := r["event_time"]; ok {
			times = append(times, v.(int64))
		}
	}
	if len(times) > 0 {
		s.MinTime, s.MaxTime = slices.Min(times), slices.Max(times)
	}
	return s
}

// written writes rows to a new file, and returns its description and its bytes.
func written(t testing.TB, table schemas.Table, codec string, rows records.Rows) (sink.File, []byte) {
	t.Helper()
	files, all := writtenIn(t, table, Options{Job: "prospect_events", Compression: codec, CreatedBy: "prospector version 1.2.3 (build abc)"}, rows)
	if len(files) != 1 {
		t.Fatalf("there are %d files", len(files))
	}
	return files[0], all[0]
}

// writtenIn writes rows to new files, and returns their descriptions and their bytes.
func writtenIn(t testing.TB, table schemas.Table, o Options, rows records.Rows) (files []sink.File, all [][]byte) {
	t.Helper()
	stem := filepath.Join(t.TempDir(), "part")
	files, err := Write(context.Background(), stem, table, o, rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path != fmt.Sprintf("%s-%05d.parquet", stem, i) || f.Size != int64(len(data)) || f.CRC32C != crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) {
			t.Errorf("file %d has %d bytes, but Write describes it as %+v", i, len(data), f)
		}
		all = append(all, data)
	}
	return files, all
}

func read(data []byte, table schemas.Table) records.Rows {
	return Read(context.Background(), bytes.NewReader(data), int64(len(data)), table)
}

// footer reads a file's metadata with Arrow's own reader.
func footer(t testing.TB, data []byte) *file.Reader {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWriteAndRead(t *testing.T) {
	for _, codec := range []string{"snappy", "zstd", "gzip", "none"} {
		for _, keys := range []string{"event_type event_date", "event_year"} {
			for _, n := range []int{0, 1, 2000} {
				t.Run(fmt.Sprintf("%s/%s/%d", codec, keys, n), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, 2))
					table := rowtest.Partitioned(t, strings.Fields(keys)...)
					rows := rowtest.Only(table.Columns, rowtest.SomeRows(rng, n))
					rowtest.Sort(rows)
					f, data := written(t, table, codec, rowtest.Stream(nil, rowtest.Cut(rng, table.Columns, rows)...))
					if diff := cmp.Diff(summaryOf(table, rows), f.Summary); diff != "" {
						t.Errorf("the summary differs (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(rows, rowtest.MustCollect(t, read(data, table)), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("the rows differ (-written +read):\n%s", diff)
					}

					metadata := footer(t, data).MetaData()
					want := map[string]string{
						"prospector.job":     "prospect_events",
						"prospector.schema":  table.Fingerprint(),
						"prospector.rows":    fmt.Sprint(n),
						"prospector.content": rowtest.Digest(table.Columns, rows).String(),
					}
					for key, value := range want {
						if got := metadata.KeyValueMetadata().FindValue(key); got == nil || *got != value {
							t.Errorf("the metadata has %s = %v, not %s", key, got, value)
						}
					}
					if got := metadata.KeyValueMetadata().Len(); got != len(want) {
						t.Errorf("the metadata has %d keys", got)
					}
				})
			}
		}
	}
}

// A column can have only NULLs, or none.
func TestWriteNulls(t *testing.T) {
	table := rowtest.EveryType()
	rows := []rowtest.Row{
		{"event_id": "1", "prospect_id": "p", "created_at": int64(-1), "description": ""},
		{"event_id": "2", "prospect_id": "p", "created_at": int64(0), "description": "x"},
	}
	f, data := written(t, table, "snappy", rowtest.Stream(nil, rowtest.Batch(table.Columns, rows)))
	if got := rowtest.MustCollect(t, read(data, table)); !cmp.Equal(rows, got) {
		t.Errorf("the rows read are %v, want %v", got, rows)
	}
	if f.Summary.MinTime != 0 || f.Summary.MaxTime != 0 {
		t.Errorf("if every time is NULL, the summary has the times %d to %d", f.Summary.MinTime, f.Summary.MaxTime)
	}
}

// many returns n rows in batches of b. Only ID, entity, time and the columns in more are
// not NULL.
func many(table schemas.Table, n, b int, more rowtest.Row) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for from := 0; from < n; from += b {
			rows := make([]rowtest.Row, min(b, n-from))
			for i := range rows {
				rows[i] = rowtest.Row{"event_id": fmt.Sprintf("%020d", from+i), "prospect_id": "p", "event_time": int64(from + i)}
				for k, v := range more {
					rows[i][k] = v
				}
			}
			if !yield(rowtest.Batch(table.Columns, rows), nil) {
				return
			}
		}
	}
}

func TestRowGroups(t *testing.T) {
	table := rowtest.EveryType()
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(' ' + rng.IntN(64))
	}
	long := func(yield func(arrow.Record, error) bool) { // 150 MiB of texts that differ
		for i := range 150 {
			noise[i]++
			r := rowtest.Row{"event_id": fmt.Sprintf("%020d", i), "prospect_id": "p", "event_time": int64(i), "message_body": string(noise)}
			if !yield(rowtest.Batch(table.Columns, []rowtest.Row{r}), nil) {
				return
			}
		}
	}
	// wide returns n rows in batches of b. rowGroupRows of them take 17 MiB.
	wide := func(n, b int) records.Rows {
		return func(yield func(arrow.Record, error) bool) {
			for from := 0; from < n; from += b {
				rows := make([]rowtest.Row, min(b, n-from))
				for i := range rows {
					rows[i] = rowtest.Row{"event_id": fmt.Sprintf("%0120d", from+i), "prospect_id": "p", "event_time": int64(from + i)}
				}
				if !yield(rowtest.Batch(table.Columns, rows), nil) {
					return
				}
			}
		}
	}
	alike := func(n int, id string) records.Rows { // a row takes 4 bytes and its ID
		const size = 1 << 14
		batch := rowtest.Batch(table.Columns, slices.Repeat([]rowtest.Row{{"event_id": id}}, size))
		return func(yield func(arrow.Record, error) bool) {
			for left := n; left > 0; left -= size {
				if !yield(batch.NewSlice(0, int64(min(left, size))), nil) {
					return
				}
			}
		}
	}
	for _, test := range []struct {
		name         string
		rows         records.Rows
		n, groups    int64
		most, atMost int64 // rows of a group, bytes of a group
	}{
		{"few rows", many(table, 1000, 100, nil), 1000, 1, rowGroupRows, rowGroupBytes},
		{"exactly full", wide(rowGroupRows, 1<<14), rowGroupRows, 1, rowGroupRows, rowGroupBytes},
		{"one row more than that", wide(rowGroupRows+1, 1<<14), rowGroupRows + 1, 2, rowGroupRows, rowGroupBytes},
		{"batches that do not fit evenly", wide(300_000, 10_007), 300_000, 3, rowGroupRows, rowGroupBytes},
		{"batches larger than a group", wide(300_000, 300_000), 300_000, 3, rowGroupRows, rowGroupBytes},
		{"long texts", long, 150, 3, 70, rowGroupBytes + 3<<20},
		{"tiny rows", alike(300_000, "12345678901234567890"), 300_000, 1, maxRowGroupRows, rowGroupEncoded},
		{"more tiny rows", alike(800_000, "12345678901234567890"), 800_000, 2, maxRowGroupRows, rowGroupEncoded + 1<<20},
		{"almost empty rows", alike(maxRowGroupRows+1, ""), maxRowGroupRows + 1, 2, maxRowGroupRows, rowGroupEncoded},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, data := written(t, table, "none", test.rows)
			metadata := footer(t, data).MetaData()
			if int64(len(metadata.RowGroups)) != test.groups || metadata.NumRows != test.n || f.Summary.Rows != test.n {
				t.Errorf("want %d rows, but the file has %d in %d row groups", test.n, metadata.NumRows, len(metadata.RowGroups))
			}
			for i := range len(metadata.RowGroups) {
				g := metadata.RowGroup(i)
				if g.NumRows() == 0 || g.NumRows() > test.most || g.TotalByteSize() > test.atMost {
					t.Errorf("row group %d has %d rows and %d bytes", i, g.NumRows(), g.TotalByteSize())
				}
				if last := i == len(metadata.RowGroups)-1; !last && g.TotalByteSize() < rowGroupEncoded && g.NumRows() < maxRowGroupRows {
					t.Errorf("row group %d of %d has only %d bytes", i, len(metadata.RowGroups), g.TotalByteSize())
				}
			}
			n, content := int64(0), schemas.Digest{}
			for batch, err := range read(data, table) {
				if err != nil {
					t.Fatal(err)
				}
				n += batch.NumRows()
				for _, d := range records.Digests(table.Columns, batch) {
					content = content.Add(d)
				}
			}
			if n != test.n || content != f.Summary.Content {
				t.Errorf("%d rows with the digest %s are read, but %d with %s were written", n, content, test.n, f.Summary.Content)
			}
		})
	}
}

// A file ends when it reaches the target size, and the rows continue in the next one.
// Each file has its own summary.
func TestTargetSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table := rowtest.EveryType()
	rows := rowtest.Only(table.Columns, rowtest.SomeRows(rng, 3000))
	rowtest.Sort(rows)
	single, _ := written(t, table, "snappy", rowtest.Stream(nil, rowtest.Cut(rng, table.Columns, rows)...))
	for _, test := range []struct {
		name   string
		target int64
		rows   []rowtest.Row
		files  int // at least
	}{
		{"one file per row", 1, rows[:20], 20},
		{"many files", 16 << 10, rows, 10},
		{"a few files", single.Size / 3, rows, 3},
		{"a target larger than the file", single.Size * 2, rows, 1},
		{"no limit", 0, rows, 1},
		{"no rows", 1, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Job: "j", Compression: "snappy", TargetSize: test.target}
			files, all := writtenIn(t, table, o, rowtest.Stream(nil, rowtest.Cut(rng, table.Columns, test.rows)...))
			var got []rowtest.Row
			content := schemas.Digest{}
			for i, f := range files {
				these := rowtest.MustCollect(t, read(all[i], table))
				if diff := cmp.Diff(summaryOf(table, these), f.Summary); diff != "" {
					t.Errorf("the summary of file %d differs (-want +got):\n%s", i, diff)
				}
				if i < len(files)-1 && f.Size < test.target {
					t.Errorf("file %d of %d has only %d bytes of %d", i, len(files), f.Size, test.target)
				}
				if i > 0 && f.Summary.Rows == 0 {
					t.Errorf("file %d has no rows", i)
				}
				metadata := footer(t, all[i]).MetaData()
				before := int64(0) // the size before the last row group
				for g := range len(metadata.RowGroups) - 1 {
					before += metadata.RowGroup(g).TotalCompressedSize()
				}
				if before >= test.target && test.target > 0 {
					t.Errorf("file %d had %d bytes before its last row group", i, before)
				}
				got, content = append(got, these...), content.Add(f.Summary.Content)
			}
			if diff := cmp.Diff(test.rows, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the rows differ (-written +read):\n%s", diff)
			}
			if want := rowtest.Digest(table.Columns, test.rows); content != want {
				t.Errorf("the sum of the files' digests is %s, want %s", content, want)
			}
			if len(files) < test.files || test.files == 1 && len(files) > 1 {
				t.Errorf("there are %d files, not %d", len(files), test.files)
			}
		})
	}
}

// Every file follows docs/lake-contract.md.
func TestFileSettings(t *testing.T) {
	codecs := map[string]compress.Compression{
		"snappy": compress.Codecs.Snappy, "zstd": compress.Codecs.Zstd, "gzip": compress.Codecs.Gzip, "none": compress.Codecs.Uncompressed,
	}
	const secret = "tour me, Ada Lovelace"
	for codec, want := range codecs {
		t.Run(codec, func(t *testing.T) {
			table := rowtest.EveryType()
			rows := rowtest.SomeRows(rand.New(rand.NewPCG(1, 2)), 3000)
			for i, r := range rows {
				for _, c := range table.Columns {
					if c.PII || c.Policy != "" || c.Type == schemas.JSON {
						r[c.Name] = secret
					}
				}
				r["description"] = "the same"
				if i%3 == 0 { // too large for a dictionary
					r["description"] = fmt.Sprint(i, strings.Repeat("long ", 400))
				}
				r["source_title"] = fmt.Sprint("title ", i) // never repeats
			}
			_, data := written(t, table, codec, rowtest.Stream(nil, rowtest.Batch(table.Columns, rows)))
			r := footer(t, data)
			schema := r.MetaData().Schema
			if schema.NumColumns() != len(table.Columns) {
				t.Fatalf("the file has %d columns", schema.NumColumns())
			}
			if got := r.MetaData().GetCreatedBy(); got != "prospector version 1.2.3 (build abc)" {
				t.Errorf("the writer is %q", got)
			}
			if root := r.MetaData().FileMetaData.Schema[0]; root.IsSetRepetitionType() {
				t.Errorf("the root is %s", root.GetRepetitionType())
			}
			counted := false
			for _, g := range r.MetaData().RowGroups {
				for i, c := range g.Columns {
					if s := c.MetaData.Statistics; s != nil {
						counted = counted || s.IsSetNullCount()
						if s.IsSetDistinctCount() {
							t.Errorf("%s has %d distinct values", table.Columns[i].Name, s.GetDistinctCount())
						}
					}
				}
			}
			if !counted {
				t.Error("no column has statistics")
			}
			fellBack := false
			for i, c := range table.Columns {
				column := schema.Column(i)
				if column.Name() != c.Name || column.SchemaNode().RepetitionType() != parquet.Repetitions.Optional {
					t.Errorf("column %d is %s, %s", i, column.Name(), column.SchemaNode().RepetitionType())
				}
				logical := map[schemas.Type]string{
					schemas.String:    "String",
					schemas.Int64:     "Int(bitWidth=64, isSigned=true)",
					schemas.Float64:   "None",
					schemas.Bool:      "None",
					schemas.Date:      "Date",
					schemas.JSON:      "String",
					schemas.Timestamp: "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, force_set_converted_type=false)",
				}[c.Type]
				if got := column.LogicalType().String(); got != logical {
					t.Errorf("%s is a %s, not a %s", c.Name, got, logical)
				}

				chunk, err := r.MetaData().RowGroup(0).ColumnChunk(i)
				if err != nil {
					t.Fatal(err)
				}
				if chunk.Compression() != want {
					t.Errorf("%s is compressed by %s", c.Name, chunk.Compression())
				}
				for _, e := range chunk.Encodings() {
					if e != parquet.Encodings.Plain && e != parquet.Encodings.RLE && e != parquet.Encodings.RLEDict && e != parquet.Encodings.PlainDict {
						t.Errorf("%s is encoded by %s", c.Name, e)
					}
				}
				repeats := c.Name != "event_id" && c.Name != "source_title" && slices.Contains([]schemas.Type{schemas.String, schemas.Int64, schemas.Date, schemas.JSON}, c.Type)
				if dictionary := chunk.HasDictionaryPage(); dictionary != repeats {
					t.Errorf("%s has a dictionary: %t", c.Name, dictionary)
				}
				private := c.PII || c.Policy != "" || c.Type == schemas.JSON
				if has, err := chunk.StatsSet(); err != nil || has == private {
					t.Errorf("%s has statistics: %t (%v)", c.Name, has, err)
				}

				// If the metadata lists only dictionary pages, readers skip a row
				// group by its dictionary.
				listed, found := make(map[parquet.Encoding]bool), make(map[parquet.Encoding]bool)
				for _, s := range chunk.EncodingStats() {
					if s.PageType == 0 { // of data
						listed[s.Encoding] = true
					}
				}
				pages, err := r.RowGroup(0).GetColumnPageReader(i)
				if err != nil {
					t.Fatal(err)
				}
				for pages.Next() {
					switch page := pages.Page().(type) {
					case *file.DictionaryPage:
					case *file.DataPageV1:
						found[parquet.Encoding(page.Encoding())] = true
						fellBack = fellBack || c.Name == "description" && parquet.Encoding(page.Encoding()) == parquet.Encodings.Plain
					default:
						t.Errorf("%s has a page of type %T", c.Name, page)
					}
				}
				if err := pages.Err(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(found, listed); diff != "" {
					t.Errorf("the metadata of %s lists other encodings (-pages +metadata):\n%s", c.Name, diff)
				}
			}
			if !fellBack {
				t.Error("no dictionary became too large: the test is ineffective")
			}
			size := int(data[len(data)-8]) | int(data[len(data)-7])<<8 | int(data[len(data)-6])<<16
			if foot := data[len(data)-8-size:]; bytes.Contains(foot, []byte("Lovelace")) || bytes.Contains(foot, []byte("long long")) != true {
				t.Error("the footer has personal text, or lacks the statistics of other columns")
			}
		})
	}
}

// Files with the same rows have the same bytes, even if a dictionary becomes too large.
func TestWriteIsRepeatable(t *testing.T) {
	table := rowtest.EveryType()
	rows := rowtest.SomeRows(rand.New(rand.NewPCG(1, 2)), 1000)
	for i, r := range rows {
		r["description"] = "the same"
		if i > 600 {
			r["description"] = fmt.Sprint(i, strings.Repeat("long ", 1000))
		}
	}
	_, want := written(t, table, "snappy", rowtest.Stream(nil, rowtest.Batch(table.Columns, rows)))
	for range 20 {
		if _, got := written(t, table, "snappy", rowtest.Stream(nil, rowtest.Batch(table.Columns, rows))); !bytes.Equal(want, got) {
			t.Fatal("two files of the same rows differ")
		}
	}
}

func TestWriteErrors(t *testing.T) {
	table := rowtest.EveryType()
	rng := rand.New(rand.NewPCG(1, 2))
	batch := rowtest.Batch(table.Columns, rowtest.SomeRows(rng, 100))
	cause := errors.New("the operator pressed a key")
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	for _, test := range []struct {
		name    string
		ctx     context.Context
		codec   string
		prepare func(path string) error
		rows    records.Rows
		target  int64
		want    error
		text    string
	}{
		{name: "the stream breaks at once", rows: rowtest.Stream(rowtest.ErrStream), want: rowtest.ErrStream, text: "staging a Parquet file at "},
		{name: "the stream breaks in the middle", rows: rowtest.Stream(rowtest.ErrStream, batch, batch), want: rowtest.ErrStream},
		{name: "the stream breaks after some files", rows: rowtest.Stream(rowtest.ErrStream, batch, batch), target: 4 << 10, want: rowtest.ErrStream},
		{name: "cancelled", ctx: cancelled, rows: rowtest.Stream(nil, batch), want: cause},
		{name: "other columns", rows: rowtest.Stream(nil, rowtest.Batch(table.RowColumns(), rowtest.SomeRows(rng, 1))), text: "do not have the schema of the table"},
		{name: "unknown compression", codec: "lzo", rows: rowtest.Stream(nil, batch), text: `unknown compression "lzo"`},
		{name: "no such directory", rows: rowtest.Stream(nil, batch), want: os.ErrNotExist, text: "staging a Parquet file",
			prepare: func(path string) error { return os.Remove(filepath.Dir(path)) }},
		{name: "the path is a directory", rows: rowtest.Stream(nil, batch), want: syscall.EISDIR,
			prepare: func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "part-00000.parquet")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if test.prepare != nil {
				if err := test.prepare(path); err != nil {
					t.Fatal(err)
				}
			}
			before := rowtest.FilesIn(t, filepath.Dir(path))
			if test.ctx == nil {
				test.ctx = context.Background()
			}
			if test.codec == "" {
				test.codec = "snappy"
			}
			files, err := Write(test.ctx, strings.TrimSuffix(path, "-00000.parquet"), table, Options{Compression: test.codec, TargetSize: test.target}, test.rows)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), strings.TrimSuffix(path, "-00000.parquet")) {
				t.Errorf("the error is %v, want %v with %q and the path", err, test.want, test.text)
			}
			if files != nil {
				t.Errorf("the error comes with the files %+v", files)
			}
			if after := rowtest.FilesIn(t, filepath.Dir(path)); !slices.Equal(before, after) {
				t.Errorf("the directory had the files %q, and now has %q", before, after)
			}
		})
	}
}

// The disk is full at the only flush, or at the first of many.
func TestWriteToFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	table := rowtest.EveryType()
	for _, n := range []int{0, 10, 300_000} {
		path := filepath.Join(t.TempDir(), "part-00000.parquet")
		if err := os.Symlink("/dev/full", path); err != nil {
			t.Fatal(err)
		}
		_, err := Write(context.Background(), strings.TrimSuffix(path, "-00000.parquet"), table, Options{Compression: "none"}, many(table, n, 10_000, nil))
		if !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "no space left") != 1 {
			t.Errorf("%d rows: the error is %v", n, err)
		}
		if left := rowtest.FilesIn(t, filepath.Dir(path)); len(left) > 0 {
			t.Errorf("%d rows: %q are left", n, left)
		}
	}
}
