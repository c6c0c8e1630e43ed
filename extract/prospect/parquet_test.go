package prospect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// parquetBytes returns a Parquet file. The rows are JSON, and are written several times.
func parquetBytes(t testing.TB, rows string, times int, fields ...arrow.Field) []byte {
	t.Helper()
	schema := arrow.NewSchema(fields, nil)
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	var b bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &b, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		if err := w.Write(record); err != nil { // a row group
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func column(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

func TestLoadParquet(t *testing.T) {
	text, big, small := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32
	tests := []struct {
		name       string
		column     string
		rows       string
		times      int
		fields     []arrow.Field
		ids        []string
		duplicates int
	}{
		{"strings", "id", `[{"n":1,"id":"007"},{"n":2,"id":"7"},{"n":3,"id":" 7"}]`, 1, []arrow.Field{column("n", big), column("id", text)}, []string{"007", "7"}, 1},
		{"int64", "id", `[{"id":47569637},{"id":-1}]`, 1, []arrow.Field{column("id", big)}, []string{"47569637", "-1"}, 0},
		{"int32", "id", `[{"id":5}]`, 1, []arrow.Field{column("id", small)}, []string{"5"}, 0},
		{"required", "id", `[{"id":"5"}]`, 1, []arrow.Field{{Name: "id", Type: text}}, []string{"5"}, 0},
		{"the only column", "", `[{"x":"5"}]`, 1, []arrow.Field{column("x", text)}, []string{"5"}, 0},
		{"an unusual name", "Prospect Id", `[{"Prospect Id":"5","prospect_id":"6"}]`, 1, []arrow.Field{column("Prospect Id", text), column("prospect_id", text)}, []string{"5"}, 0},
		{"next to nested columns", "id", `[{"s":{"id":"1"},"l":[1,2],"id":"5"},{"s":{"id":"2"},"l":[],"id":"6"}]`, 1,
			[]arrow.Field{column("s", arrow.StructOf(column("id", text))), column("l", arrow.ListOf(big)), column("id", text)}, []string{"5", "6"}, 0},
		{"row groups", "id", `[{"id":"1"},{"id":"2"}]`, 3, []arrow.Field{column("id", text)}, []string{"1", "2"}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "p.parquet", string(parquetBytes(t, tt.rows, tt.times, tt.fields...)))
			got, err := Load(path, Options{Column: tt.column}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.IDs, tt.ids) || got.Duplicates != tt.duplicates {
				t.Errorf("got %q and %d duplicates, want %q and %d", got.IDs, got.Duplicates, tt.ids, tt.duplicates)
			}
		})
	}
}

func TestLoadParquetOfManyBatches(t *testing.T) {
	var rows strings.Builder
	const each = 50_000
	for i := range each {
		fmt.Fprintf(&rows, "{\"id\":\"%d\"}\n", i)
	}
	path := file(t, "p.parquet", string(parquetBytes(t, "["+strings.ReplaceAll(strings.TrimSpace(rows.String()), "\n", ",")+"]", 4, column("id", arrow.BinaryTypes.String))))
	got, err := Load(path, Options{Column: "id"}, nil)
	if err != nil || len(got.IDs) != each || got.Duplicates != 3*each {
		t.Errorf("got %d IDs, %d duplicates and error %v", len(got.IDs), got.Duplicates, err)
	}
}

func TestLoadParquetRefuses(t *testing.T) {
	text := arrow.BinaryTypes.String
	tests := []struct {
		name   string
		column string
		rows   string
		fields []arrow.Field
		kind   error
		text   string
	}{
		{"no rows", "id", `[]`, []arrow.Field{column("id", text)}, ErrEmpty, ""},
		{"no such column", "ids", `[{"id":"1"}]`, []arrow.Field{column("id", text)}, ErrColumn, `did you mean "id"?; it has "id"`},
		{"column not named", "", `[{"id":"1"}]`, []arrow.Field{column("id", text), column("x", text)}, ErrColumn, `it has "id", "x"`},
		{"names that collide", "id", `[{"id":"1","Id":"2"}]`, []arrow.Field{column("id", text), column("Id", text)}, ErrColumn, "cannot be distinguished"},
		{"null", "id", `[{"id":"1"},{"id":null}]`, []arrow.Field{column("id", text)}, ErrID, "row 2: unusable prospect ID: it is NULL"},
		{"empty", "id", `[{"id":"1"},{"id":""}]`, []arrow.Field{column("id", text)}, ErrID, "row 2: unusable prospect ID: it is empty"},
		{"double", "id", `[{"id":1}]`, []arrow.Field{column("id", arrow.PrimitiveTypes.Float64)}, ErrColumn, `"id" is DOUBLE`},
		{"date", "id", `[{"id":1}]`, []arrow.Field{column("id", arrow.FixedWidthTypes.Date32)}, ErrColumn, `"id" is INT32 (DATE)`},
		{"unsigned", "id", `[{"id":1}]`, []arrow.Field{column("id", arrow.PrimitiveTypes.Uint64)}, ErrColumn, `"id" is INT64 (UINT_64)`},
		{"binary", "id", `[{"id":"MQ=="}]`, []arrow.Field{column("id", arrow.BinaryTypes.Binary)}, ErrColumn, `"id" is BYTE_ARRAY`},
		{"list", "id", `[{"id":["1"]}]`, []arrow.Field{column("id", arrow.ListOf(text))}, ErrColumn, `no columns`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "p.parquet", string(parquetBytes(t, tt.rows, 1, tt.fields...)))
			_, err := Load(path, Options{Column: tt.column}, nil)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %v with %q", err, tt.kind, tt.text)
			}
		})
	}
}

// TestDamagedParquet: a truncated file results in an error, never in a shorter list.
func TestDamagedParquet(t *testing.T) {
	content := parquetBytes(t, `[{"id":"1"},{"id":"2"},{"id":"3"}]`, 2, column("id", arrow.BinaryTypes.String))
	path := filepath.Join(t.TempDir(), "p.parquet")
	for length := range len(content) {
		if err := os.WriteFile(path, content[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := Load(path, Options{Column: "id"}, nil); !errors.Is(err, ErrFormat) {
			t.Fatalf("the first %d of %d bytes: %q, %v", length, len(content), list.IDs, err)
		}
		if err := os.WriteFile(path, content[len(content)-length:], 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := Load(path, Options{Column: "id"}, nil); err == nil && len(list.IDs)+list.Duplicates < 6 {
			t.Fatalf("the last %d of %d bytes: %q", length, len(content), list.IDs)
		}
	}
}
