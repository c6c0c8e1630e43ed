package parquetfile

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/sink/internal/rowtest"
	"prospector/sink/stage"
)

// A stage returns rows with the size of a row group in order, although the runs of its
// spill have only their keys. In the file, such a row is the last one of its row group and
// of its batch, and its text is not in a dictionary.
func TestHugeRows(t *testing.T) {
	table := rowtest.EveryType()
	text := strings.Repeat("hello, is it still free? ", rowGroupEncoded/25+1)
	huge := func(of rowtest.Row) bool { s, _ := of["message_body"].(string); return len(s) > 256<<10 }
	var rows []rowtest.Row
	for i := range 60 { // with the same time, so that entity and ID determine the order
		r := rowtest.Row{"event_id": fmt.Sprintf("%020x", i*7919%60), "prospect_id": fmt.Sprint(i % 7), "event_time": int64(1), "event_date": int32(0), "event_type": "T"}
		if r["message_body"] = "hi"; i%15 == 3 {
			r["message_body"] = text + fmt.Sprint(i)
		}
		rows = append(rows, r)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	s := stage.New(table, t.TempDir(), 0)
	defer s.Close()
	for _, r := range rows {
		if err := s.Add(rowtest.Batch(table.RowColumns(), []rowtest.Row{r})); err != nil {
			t.Fatal(err)
		}
	}
	want := rowtest.Only(table.Columns, rows)
	rowtest.Sort(want)
	var staged []rowtest.Row
	for _, p := range s.Partitions() {
		if p.LargestRow < rowGroupEncoded || p.LargestRow > rowGroupEncoded+1000 {
			t.Errorf("the largest row takes %d bytes", p.LargestRow)
		}
		_, data := written(t, table, "snappy", s.Rows(p.Partition.Path))
		for batch, err := range read(data, table) {
			if err != nil {
				t.Fatal(err)
			}
			got := rowtest.RowsOf(batch)
			for i, r := range got {
				if huge(r) && i < len(got)-1 {
					t.Errorf("row %d of a batch of %d is huge, but not the last", i, len(got))
				}
			}
			staged = append(staged, got...)
		}
		checkHugeGroups(t, table, data, 4)
	}
	if !cmp.Equal(want, staged) {
		t.Error("the rows or their order differ")
	}
}

func checkHugeGroups(t *testing.T, table schemas.Table, data []byte, huge int) {
	t.Helper()
	metadata := footer(t, data).MetaData()
	if n := len(metadata.RowGroups); n < huge || n > huge+1 {
		t.Errorf("%d huge rows are in %d row groups", huge, n)
	}
	for i, g := range metadata.RowGroups {
		if g.TotalByteSize > rowGroupEncoded+1<<20 {
			t.Errorf("row group %d has %d bytes", i, g.TotalByteSize)
		}
		for at, c := range table.Columns {
			m := g.Columns[at].MetaData
			if c.Name == "message_body" && m.DictionaryPageOffset != nil && m.DataPageOffset-*m.DictionaryPageOffset > 1000 {
				t.Errorf("row group %d has a dictionary of %d bytes", i, m.DataPageOffset-*m.DictionaryPageOffset)
			}
		}
	}
}
