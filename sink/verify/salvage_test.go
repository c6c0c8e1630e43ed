package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
	"prospector/schemas/records"
)

// salvaged returns the digests of the rows in a damaged file. It checks that Salvage and
// Read agree on them.
func salvaged(t testing.TB, data []byte, table schemas.Table) []schemas.Digest {
	t.Helper()
	found, err := Salvage(context.Background(), bytes.NewReader(data), int64(len(data)), table, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	var digests []schemas.Digest
	var content schemas.Digest
	for batch, err := range records.Batches(table.Columns, found.Read(context.Background(), bytes.NewReader(data))) {
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range records.Digests(table.Columns, batch) {
			digests = append(digests, d)
			content = content.Add(d)
		}
	}
	if found.Rows != int64(len(digests)) || found.Content != content {
		t.Fatalf("Salvage returns %d rows, Read %d; their digests are %v and %v", found.Rows, len(digests), found.Content, content)
	}
	return digests
}

// layoutsOfFiles has options for one and several pages, in one and several row groups.
var layoutsOfFiles = []written{
	{}, {plain: true}, {group: 130}, {page: 500}, {page: 500, plain: true}, {page: 500, group: 130}, {page: 500, group: 130, plain: true},
}

// Every row is salvaged from a file that is damaged outside its pages.
func TestSalvageWithoutFooter(t *testing.T) {
	table := everyType()
	rows := events(table, 400, 3)
	want := summarise(table, rows)
	for _, codec := range []string{"none", "snappy", "gzip", "zstd"} {
		for _, how := range layoutsOfFiles {
			how.codec = codec
			t.Run(fmt.Sprintf("%s page=%d group=%d plain=%t", codec, how.page, how.group, how.plain), func(t *testing.T) {
				intact := write(t, table, rows, how)
				_, end, err := readFooter(context.Background(), bytes.NewReader(intact), int64(len(intact)))
				if err != nil {
					t.Fatal(err)
				}
				for name, damaged := range map[string][]byte{
					"no damage":         intact,
					"no start":          append([]byte("XXXX"), intact[4:]...),
					"no footer":         intact[:end],
					"half a footer":     intact[:(int(end)+len(intact))/2],
					"an empty footer":   append(bytes.Clone(intact[:end]), "\x00\x01\x00\x00\x00PAR1"...),
					"a footer of zeros": append(bytes.Clone(intact[:end]), make([]byte, len(intact)-int(end))...),
					"other rows": withFooter(t, intact, func(f *parquet.FileMetaData) {
						f.NumRows -= 10
						group := f.RowGroups[len(f.RowGroups)-1]
						group.NumRows -= 10
						for _, c := range group.Columns {
							c.MetaData.NumValues -= 10
						}
					}),
					"other offsets": withFooter(t, intact, func(f *parquet.FileMetaData) {
						f.RowGroups[0].Columns[2].MetaData.DataPageOffset++
					}),
					"another name": withFooter(t, intact, func(f *parquet.FileMetaData) { f.Schema[1].Name = "event_ie" }),
				} {
					digests := salvaged(t, damaged, table)
					var content schemas.Digest
					for _, d := range digests {
						content = content.Add(d)
					}
					if len(digests) != len(rows) || content != want.Content {
						t.Errorf("%s: %d of %d rows are salvaged, or their content differs", name, len(digests), len(rows))
					}
				}
			})
		}
	}
}

// Salvage finds the row groups before the end of a truncated file.
func TestSalvageTruncated(t *testing.T) {
	table := everyType()
	const n, group = 400, 100
	rows := events(table, n, 4)
	intact := write(t, table, rows, written{group: group, page: 500})
	all := salvaged(t, intact, table)
	footer, end, err := readFooter(context.Background(), bytes.NewReader(intact), int64(len(intact)))
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; int64(size) < end; size += 97 {
		groups := 0
		for groups+1 < n/group && chunkStart(footer.RowGroups[groups+1].Columns[0].MetaData) <= int64(size) {
			groups++
		}
		got := salvaged(t, intact[:size], table)
		if len(got) != groups*group {
			t.Fatalf("%d bytes: %d rows of %d row groups are salvaged", size, len(got), groups)
		}
		for i := range got {
			if got[i] != all[i] {
				t.Fatalf("%d bytes: row %d differs", size, i)
			}
		}
	}
}

// Damaged pages lose rows, but change none: every salvaged row was written, and their
// order is the same. The pages are compressed with gzip, whose checksum detects damaged
// pages that could be decoded by chance.
func TestSalvagePages(t *testing.T) {
	table := everyType()
	rows := events(table, 3000, 5)
	random := rand.New(rand.NewPCG(1, 2))
	times := 30
	if testing.Short() {
		times = 5
	}
	damages := map[string]func(data []byte){
		"one bit": func(data []byte) { data[random.IntN(len(data))] ^= 1 << random.IntN(8) },
		"five bits": func(data []byte) {
			for range 5 {
				data[random.IntN(len(data))] ^= 1 << random.IntN(8)
			}
		},
		"zeros":       func(data []byte) { at := random.IntN(len(data)); clear(data[at:min(at+512, len(data))]) },
		"other bytes": func(data []byte) { at := random.IntN(len(data)); copy(data[at:], data[:min(512, len(data)-at)]) },
	}
	for _, how := range layoutsOfFiles {
		how.codec = "gzip"
		how.group *= 10
		intact := write(t, table, rows, how)
		all := salvaged(t, intact, table)
		for name, damage := range damages {
			t.Run(fmt.Sprintf("%s page=%d group=%d plain=%t", name, how.page, how.group, how.plain), func(t *testing.T) {
				kept, some, every := 0, 0, 0
				for i := range times {
					data := bytes.Clone(intact)
					damage(data)
					got := salvaged(t, data, table)
					next := 0
					for _, d := range got {
						for next < len(all) && all[next] != d {
							next++
						}
						if next == len(all) {
							t.Fatalf("damage number %d: a salvaged row was not written, or not in this order", i)
						}
						next++
					}
					kept += len(got)
					switch {
					case len(got) == len(all):
						every++
					case len(got) > 0:
						some++
					}
				}
				t.Logf("%d of %d files have all rows, and %d have some: %d%% of the rows", every, times, some, 100*kept/(times*len(all)))
				if (how.group > 0 || how.page > 0 && how.plain) && some == 0 {
					t.Error("no damaged file has only some of its rows: the test is ineffective")
				}
			})
		}
	}
}

func TestSalvageErrors(t *testing.T) {
	table := everyType()
	data := write(t, table, events(table, 100, 6), written{})
	if _, err := Salvage(context.Background(), failing{}, int64(len(data)), table, 100); !errors.Is(err, errDisk) {
		t.Errorf("got %v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Salvage(ctx, bytes.NewReader(data), int64(len(data)), table, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	for _, data := range []string{"", "PAR1", "PAR1PAR1PAR1", strings.Repeat("\x15\x00\x15\x00\x15\x00", 1000)} {
		if rows := salvaged(t, []byte(data), table); len(rows) > 0 {
			t.Errorf("%.20q has %d rows", data, len(rows))
		}
	}
}

// No bytes make Salvage panic, or make Read return other rows than Salvage found.
func FuzzSalvage(f *testing.F) {
	table := everyType()
	for _, how := range []written{{codec: "none"}, {codec: "none", plain: true}, {codec: "snappy", page: 50}, {codec: "gzip"}, {codec: "zstd", group: 2}} {
		f.Add(write(f, table, events(table, 5, 1), how))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, find := range finders {
			var panicked runtime.Error
			if _, err := salvage(context.Background(), bytes.NewReader(data), int64(len(data)), table, find); errors.As(err, &panicked) {
				t.Error(err)
			}
		}
		salvaged(t, data, table)
	})
}
