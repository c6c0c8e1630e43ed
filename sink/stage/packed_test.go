package stage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas/records"
	"prospector/sink/internal/rowtest"
)

// packed returns rows of any size unchanged and sorted, even rows far larger than a
// block, and counts their memory.
func TestPacked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table := rowtest.EveryType()
	rows := rowtest.SomeRows(rng, 1000)
	for _, i := range []int{3, 500, 999} {
		rows[i]["message_body"] = strings.Repeat("x", maxBlock+i)
	}
	var p packed
	o := orderOf(table)
	for _, batch := range rowtest.Cut(rng, table.RowColumns(), rows) {
		columns := records.ColumnsOf(table.Columns, batch)
		for row := range int(batch.NumRows()) {
			p.add(o.micros(columns, row), columns, row)
		}
	}
	size := int64(cap(p.rows)) * 16
	for _, b := range p.blocks {
		size += int64(cap(b))
	}
	if p.size != size {
		t.Errorf("the size is %d, want %d", p.size, size)
	}
	l := &layout{table.Columns, o}
	p.sort(l)
	want := rowtest.Only(table.Columns, rows)
	rowtest.Sort(want)
	got := rowtest.MustCollect(t, merge(table, p.extent(1000), func() []stream { return []stream{&packedStream{layout: l, fetch: p.each()}} }))
	if !cmp.Equal(want, got) {
		t.Errorf("the rows differ (-want +got):\n%s", cmp.Diff(want, got))
	}
}
