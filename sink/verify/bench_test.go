package verify

import (
	"bytes"
	"context"
	"testing"

	"prospector/schemas"
)

// BenchmarkCheck checks a file with one million rows of the table of events.
func BenchmarkCheck(b *testing.B) {
	table := schemas.KnockEvents()
	const n = 1_000_000
	rows := events(table, n, 1)
	want := summarise(table, rows)
	codecs := []string{"snappy", "zstd"}
	files := make([][]byte, len(codecs))
	for i, codec := range codecs {
		files[i] = write(b, table, rows, written{codec: codec, group: 250_000, metadata: metadataOf(table, want)})
	}
	rows = nil // otherwise the benchmark measures the garbage collector
	for i, codec := range codecs {
		data := files[i]
		b.Run(codec, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := Check(context.Background(), bytes.NewReader(data), int64(len(data)), table, partition, want); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
