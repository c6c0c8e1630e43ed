package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"prospector/sink/store"
)

// BenchmarkPut writes files like a publication: files of the same size, 30 in each
// partition. ns/op is the time for one file. The bare write shows the cost of the same
// bytes without durability.
func BenchmarkPut(b *testing.B) {
	small, large := make([]byte, 50_000), make([]byte, 256<<20)
	key := func(i int64) string { return fmt.Sprintf("t/event_type=A/event_date=%d/%d.parquet", i/30, i) }

	for name, data := range map[string][]byte{"50kB": small, "256MiB": large} {
		content := store.ContentOf(data, "")
		put := func(b *testing.B, s store.Store, i int64) {
			if _, err := s.Put(b.Context(), key(i), content, store.Condition{}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/one after another", func(b *testing.B) {
			s := open(b, b.TempDir())
			b.SetBytes(content.Size)
			b.ReportAllocs()
			i := int64(0)
			for b.Loop() {
				put(b, s, i)
				i++
			}
		})
		b.Run(name+"/8 writers", func(b *testing.B) {
			s := open(b, b.TempDir())
			b.SetBytes(content.Size)
			b.ReportAllocs()
			b.SetParallelism(4) // on two processors
			var i atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					put(b, s, i.Add(1))
				}
			})
		})
		b.Run(name+"/bare write", func(b *testing.B) {
			root := b.TempDir()
			b.SetBytes(content.Size)
			b.ReportAllocs()
			i := int64(0)
			for b.Loop() {
				path := filepath.Join(root, key(i))
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o666); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
