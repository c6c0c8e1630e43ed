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
		delete(r, "description") // which below is of another type
	}
	for _, test := range []struct {
		name   string
		change func(columns []schemas.Column) []schemas.Column
	}{
		{"one less", func(c []schemas.Column) []schemas.Column { return c[:len(c)-1] }},
		{"one more", func(c []schemas.Column) []schemas.Column {
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
				t.Errorf("%d rows are read, and the error is %v", len(got), err)
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
		t.Errorf("%d batches", n)
	}
	if got := rowtest.MustCollect(t, read(data, table)); len(got) != 100_000 {
		t.Errorf("%d rows are read thereafter", len(got))
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

// The library's panics are errors; those of the consumer are its own.
func TestReadPassesPanics(t *testing.T) {
	table := rowtest.EveryType()
	_, data := written(t, table, "snappy", many(table, 10, 10, nil))
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("recovered %v", p)
		}
	}()
	for range read(data, table) {
		panic("mine")
	}
}

// checkDamaged reads what may be damaged: there is an error, or nothing is
// missing and nothing else is there.
func checkDamaged(t *testing.T, what string, data []byte, table schemas.Table, want []rowtest.Row) (noticed bool) {
	t.Helper()
	got, err := rowtest.Collect(read(data, table))
	if err == nil && !slices.EqualFunc(want, got, maps.Equal[rowtest.Row, rowtest.Row]) {
		t.Fatalf("%s: the damage is not detected, and the rows differ (-written +read):\n%s", what, cmp.Diff(want, got))
	}
	return err != nil
}

// aFile is small, with several pages and both kinds of encoding.
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
				t.Fatal("the intact file is not read")
			}
			for size := 0; size < len(data); size += 1 + len(data)/100 {
				if !checkDamaged(t, fmt.Sprintf("cut to %d bytes", size), data[:size], table, rows) {
					t.Errorf("cut to %d bytes, it is read", size)
				}
			}
			rng := rand.New(rand.NewPCG(1, 2))
			noticed, flips := 0, 0
			isIndex := indices(t, data)
			for at := 0; at < len(data); at += 1 + rng.IntN(len(data)/500) {
				if isIndex[at] {
					continue
				}
				flips++
				damaged := bytes.Clone(data)
				damaged[at] ^= byte(1 + rng.IntN(255))
				if checkDamaged(t, fmt.Sprintf("byte %d of %d flipped", at, len(data)), damaged, table, rows) {
					noticed++
				}
			}
			if noticed < flips/4 {
				t.Errorf("only %d of %d damages are noticed", noticed, flips)
			}
			for range 200 { // a run of zeros, as a file system leaves them
				damaged := bytes.Clone(data)
				from := rng.IntN(len(damaged))
				clear(damaged[from:min(from+1+rng.IntN(500), len(damaged))])
				checkDamaged(t, fmt.Sprint("zeros from ", from), damaged, table, rows)
			}
		})
	}
}

// indices marks the bytes of pages of indices into a dictionary: a damaged index
// makes the library allocate as much as it says, which no recover survives. That
// is why Read asks for files whose checksum was compared.
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
