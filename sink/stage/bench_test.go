package stage

import (
	"fmt"
	"testing"

	"prospector/schemas"
	"prospector/sink/internal/rowtest"
)

func BenchmarkStage(b *testing.B) {
	table := schemas.KnockEvents()
	for _, days := range []int32{5, 700} { // 30 and 4,200 partitions
		batches, size := rowtest.Events(table, days)
		for _, limit := range []int64{64 << 20, 1 << 40} {
			b.Run(fmt.Sprintf("days=%d/spill=%t", days, limit < size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(size)
				for b.Loop() {
					s := New(table, b.TempDir(), limit)
					for _, batch := range batches {
						if err := s.Add(batch); err != nil {
							b.Fatal(err)
						}
					}
					n := int64(0)
					for _, p := range s.Partitions() {
						for batch, err := range s.Rows(p.Partition.Path) {
							if err != nil {
								b.Fatal(err)
							}
							n += batch.NumRows()
						}
					}
					if n != rowtest.EventCount {
						b.Fatalf("%d rows", n)
					}
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(rowtest.EventCount*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
