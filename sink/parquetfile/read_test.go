package parquetfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/sink/internal/rowtest"
)

func TestReadOtherColumns(t *testing.T) {
	table := rowtest.EveryType()
	rows := rowtest.SomeRows(rand.New(rand.NewPCG(1, 2)), 10)
	for _, r := range rows {
		delete(r, "description") // a test case changes its type
	}
	for _, test := range []struct {
		name   string
		change func(columns []schemas.Column) []schemas.Column
	}{
		{"one column fewer", func(c []schemas.Column) []schemas.Column { return c[:len(c)-1] }},
		{"one column more", func(c []schemas.Column) []schemas.Column {
			return append(c, schemas.Column{Name: "x", Type: schemas.String, Value: schemas.Extra})
		}},
		{"another name", func(c []schemas.Column) []schemas.Column { c[4].Name = "text"; return c }},
		{"another type", func(c []schemas.Column) []schemas.Column { c[4].Type = schemas.Date; return c }},
		{"another order", func(c []schemas.Column) []schemas.Column { c[4], c[5] = c[5], c[4]; return c }},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := table
			other.Columns = test.change(slices.Clone(table.Columns))
			_, data := written(t, other, "snappy", rowtest.Stream(nil, rowtest.Batch(other.Columns, rows)))
			got, err := rowtest.Collect(read(data, table))
			if !errors.Is(err, ErrSchema) || len(got) > 0 {
				t.Errorf("%d rows are read, with the error %v; want ErrSchema", len(got), err)
			}
		})
	}
}

func TestReadStopsEarly(t *testing.T) {
	table := rowtest.EveryType()
	_, data := written(t, table, "snappy", many(table, 100_000, 10_000, nil))
	n := 0
	for _, err := range read(data, table) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d batches are read", n)
	}
	if got := rowtest.MustCollect(t, read(data, table)); len(got) != 100_000 {
		t.Errorf("%d rows are read afterwards", len(got))
	}
}

func TestReadIsCancelled(t *testing.T) {
	table := rowtest.EveryType()
	_, data := written(t, table, "snappy", many(table, 100_000, 10_000, nil))
	cause := errors.New("the operator pressed a key")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	batches := 0
	var last error
	for batch, err := range Read(ctx, bytes.NewReader(data), int64(len(data)), table) {
		if last = err; err == nil && batch != nil {
			batches++
			cancel(cause)
		}
	}
	if batches != 1 || !errors.Is(last, cause) {
		t.Errorf("after %d batches, the error is %v", batches, last)
	}
}

// A panic of the library becomes an error. A panic of the consumer propagates.
func TestReadPassesPanics(t *testing.T) {
	table := rowtest.EveryType()
	_, data := written(t, table, "snappy", many(table, 10, 10, nil))
	defer func() {
		if p := recover(); p != "consumer" {
			t.Errorf("recovered %v", p)
		}
	}()
	for range read(data, table) {
		panic("consumer")
	}
}

// checkDamaged reads a file that may be damaged, and checks that there is an error or the
// rows are those in want. It returns whether there is an error.
func checkDamaged(t *testing.T, what string, data []byte, table schemas.Table, want []rowtest.Row) (detected bool) {
	t.Helper()
	got, err := rowtest.Collect(read(data, table))
	if err == nil && !slices.EqualFunc(want, got, maps.Equal[rowtest.Row, rowtest.Row]) {
		t.Fatalf("%s: the damage is not detected, and the rows differ (-written +read):\n%s", what, cmp.Diff(want, got))
	}
	return err != nil
}

// aFile returns a small file with several pages and both encodings.
func aFile(t testing.TB, codec string) (schemas.Table, []rowtest.Row, []byte) {
	table := rowtest.EveryType()
	rng := rand.New(rand.NewPCG(1, 2))
	rows := rowtest.Only(table.Columns, rowtest.SomeRows(rng, 60))
	rowtest.Sort(rows)
	_, data := written(t, table, codec, rowtest.Stream(nil, rowtest.Cut(rng, table.Columns, rows)...))
	return table, rows, data
}

func TestReadDamaged(t *testing.T) {
	for _, codec := range []string{"snappy", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			table, rows, data := aFile(t, codec)
			if checkDamaged(t, "intact", data, table, rows) {
				t.Fatal("the intact file cannot be read")
			}
			for size := 0; size < len(data); size += 1 + len(data)/100 {
				if !checkDamaged(t, fmt.Sprintf("truncated to %d bytes", size), data[:size], table, rows) {
					t.Errorf("truncated to %d bytes, the file is read without an error", size)
				}
			}
			rng := rand.New(rand.NewPCG(1, 2))
			detected, flips := 0, 0
			isIndex := indices(t, data)
			for at := 0; at < len(data); at += 1 + rng.IntN(len(data)/500) {
				if isIndex[at] {
					continue
				}
				flips++
				damaged := bytes.Clone(data)
				damaged[at] ^= byte(1 + rng.IntN(255))
				if checkDamaged(t, fmt.Sprintf("byte %d of %d flipped", at, len(data)), damaged, table, rows) {
					detected++
				}
			}
			if detected < flips/4 {
				t.Errorf("only %d of %d flipped bytes are detected", detected, flips)
			}
			for range 200 { // a run of zeros, as a file system may leave after a crash
				damaged := bytes.Clone(data)
				from := rng.IntN(len(damaged))
				clear(damaged[from:min(from+1+rng.IntN(500), len(damaged))])
				checkDamaged(t, fmt.Sprint("zeros from ", from), damaged, table, rows)
			}
		})
	}
}

// indices marks the bytes of pages with indices into a dictionary. A damaged index can
// make the library allocate so much memory that the process dies. This is why the caller
// of Read must have checked the file's checksum.
func indices(t testing.TB, data []byte) []bool {
	is := make([]bool, len(data))
	group := footer(t, data).MetaData().RowGroup(0)
	for i := range group.NumColumns() {
		c, err := group.ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		if c.HasDictionaryPage() {
			for at := c.DataPageOffset(); at < c.DictionaryPageOffset()+c.TotalCompressedSize(); at++ {
				is[at] = true
			}
		}
	}
	return is
}
