package parquetfile

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/internal/rowtest"
	"prospector/sink/stage"
)

// sorted returns the sorted rows of a table with one partition, and their size in bytes.
func sorted(b *testing.B) (schemas.Table, []arrow.Record, int64) {
	table, err := schemas.KnockEvents().PartitionedBy("event_year")
	if err != nil {
		b.Fatal(err)
	}
	batches, size := rowtest.Events(table, 300)
	s := stage.New(table, b.TempDir(), 1<<40)
	for _, batch := range batches {
		if err := s.Add(batch); err != nil {
			b.Fatal(err)
		}
	}
	var out []arrow.Record
	for _, p := range s.Partitions() {
		for batch, err := range s.Rows(p.Partition.Path) {
			if err != nil {
				b.Fatal(err)
			}
			out = append(out, batch)
		}
	}
	return table, out, size
}

func BenchmarkWrite(b *testing.B) {
	table, batches, size := sorted(b)
	for _, codec := range []string{"snappy", "zstd", "gzip", "none"} {
		b.Run(codec, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			var files []sink.File
			for b.Loop() {
				var err error
				if files, err = Write(context.Background(), filepath.Join(b.TempDir(), "f"), table, Options{Compression: codec}, rowtest.Stream(nil, batches...)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rowtest.EventCount*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(files[0].Size)/rowtest.EventCount, "file-B/event")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	table, batches, size := sorted(b)
	_, data := written(b, table, "snappy", rowtest.Stream(nil, batches...))
	b.ReportAllocs()
	b.SetBytes(size)
	for b.Loop() {
		for _, err := range read(data, table) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(rowtest.EventCount*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
