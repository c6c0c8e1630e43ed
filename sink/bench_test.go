package sink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

const benchRows = 1_000_000

// eventBatches makes a million rows as the flattener does: batches of prospects,
// each with its events over some days, most of them messages.
func eventBatches(table schemas.Table, days int32) (batches []arrow.Record, size int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("hello I am looking for two bedrooms with a view from March on is it still free thanks Ada")
	rows := make([]row, 0, 8<<10)
	for i := range benchRows {
		d := 19000 + rng.Int32N(days)
		micros := (int64(d)*secondsADay + rng.Int64N(secondsADay)) * 1e6
		r := row{
			"event_id": fmt.Sprintf("%020x", rng.Uint64()), "prospect_id": fmt.Sprint(47_000_000 + i/20), "event_date": d,
			"event_time": micros, "created_at": micros + 1, "source_title": "Property Website",
			"agent_username": fmt.Sprintf("e5e42ae3-a3fa-48ae-a5c5-92ca704d%04x", rng.IntN(200)),
		}
		if kind := rng.IntN(6); kind == 0 {
			r["event_type"], r["description"] = "APPOINTMENT_CREATED", "A tour appointment was scheduled via knock"
			r["appointment_start_time"], r["appointment_end_time"] = micros+3600e6, micros+5400e6
			r["appointment_status"], r["appointment_tour_type"] = "confirmed", "IN_PERSON"
		} else {
			r["event_type"], r["description"] = fmt.Sprint("KIND_", kind, "_MESSAGE"), "A message was sent"
			r["message_direction"], r["message_from"], r["message_to"] = "inbound", fmt.Sprintf("+1555%07d", i), "+15550000000"
			body := make([]string, 5+rng.IntN(40))
			for j := range body {
				body[j] = words[rng.IntN(len(words))]
			}
			r["message_body"] = strings.Join(body, " ")
		}
		if rows = append(rows, r); len(rows) == cap(rows) || i == benchRows-1 {
			b := batchOf(table.RowColumns(), rows)
			batches, size, rows = append(batches, b), size+batchSize(b), rows[:0]
		}
	}
	return batches, size
}

func BenchmarkStage(b *testing.B) {
	table := schemas.KnockEvents()
	for _, days := range []int32{5, 700} { // 30 and 4,200 partitions
		batches, size := eventBatches(table, days)
		for _, limit := range []int64{64 << 20, 1 << 40} {
			b.Run(fmt.Sprintf("days=%d/spill=%t", days, limit < size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(size)
				for b.Loop() {
					s := NewStage(table, b.TempDir(), limit)
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
					if n != benchRows {
						b.Fatalf("%d rows", n)
					}
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// sorted gives the rows of a stage of one partition.
func sorted(b *testing.B) (schemas.Table, []arrow.Record, int64) {
	table, err := schemas.KnockEvents().PartitionedBy("event_year")
	if err != nil {
		b.Fatal(err)
	}
	batches, size := eventBatches(table, 300)
	s := NewStage(table, b.TempDir(), 1<<40)
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
			var files []File
			for b.Loop() {
				var err error
				if files, err = Write(context.Background(), filepath.Join(b.TempDir(), "f"), table, WriteOptions{Compression: codec}, streamOf(nil, batches...)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(files[0].Size)/benchRows, "file-B/event")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	table, batches, size := sorted(b)
	_, data := written(b, table, "snappy", streamOf(nil, batches...))
	b.ReportAllocs()
	b.SetBytes(size)
	for b.Loop() {
		for _, err := range read(data, table) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
