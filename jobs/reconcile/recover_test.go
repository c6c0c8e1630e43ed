package reconcile

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"testing"

	"prospector/jobs/state"
	"prospector/sink/store"
)

// The rows of a damaged file are recovered, all of them if one byte has changed. Rows
// that are also in an intact file are staged once.
func TestRecover(t *testing.T) {
	for name, memory := range memories {
		t.Run(name, func(t *testing.T) {
			l := newLake(t)
			var events []event
			for i := range 40 {
				events = append(events, event{id: fmt.Sprint("e", i), prospect: "p", day: 19000, text: "a text"})
			}
			l.publish(l.runAll(night{events: events}).Outcomes)
			partition := events[0].path(l.table)
			published := l.found.Partitions[partition]
			file := published.Files[0]
			copied := file // a second, intact file of the partition with the same rows
			copied.Key = path.Join(path.Dir(file.Key), "part-copy.parquet")

			r, err := l.files.Open(t.Context(), file.Key)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			put := func(key string, text []byte) {
				if _, err := l.files.Put(t.Context(), key, store.Content{Reader: bytes.NewReader(text), Size: int64(len(text)), CRC32C: store.Checksum(text)}, store.Condition{}); err != nil {
					t.Fatal(err)
				}
			}
			put(copied.Key, text)
			damaged := bytes.Clone(text)
			damaged[len(damaged)/2] ^= 1
			put(file.Key, damaged)

			delete(l.found.Partitions, partition)
			l.found.Damaged = map[string]string{file.Key: "generation"}
			for _, test := range []struct {
				name  string
				files []state.File
			}{{"a damaged file", []state.File{file}}, {"with an intact one", []state.File{file, copied}}} {
				published.Files = test.files
				l.found.Broken = map[string]state.Partition{partition: published}
				rows, files, err := Damaged{Table: l.described(), Published: l.published(t.TempDir()), Memory: memory, Dir: t.TempDir()}.Recover(t.Context())
				if err != nil {
					t.Fatal(test.name, err)
				}
				if n := rows.Facts().Rows; n != int64(len(events)) {
					t.Errorf("%s: %d rows are staged, want %d", test.name, n, len(events))
				}
				if len(files) != 1 || files[0] != (Recovered{Sink: sinkName, Key: file.Key, Rows: int64(len(events)), Proven: true}) {
					t.Errorf("%s: recovered are %+v", test.name, files)
				}
				if err := rows.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
