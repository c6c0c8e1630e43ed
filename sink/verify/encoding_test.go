package verify

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

func TestHybrid(t *testing.T) {
	for _, test := range []struct {
		name  string
		width uint
		data  []byte
		n     int
		want  []uint32 // nil for ErrUnreadable
		rest  bool     // values are left afterwards
	}{
		{"the format's own example", 3, []byte{0x03, 0x88, 0xc6, 0xfa}, 8, []uint32{0, 1, 2, 3, 4, 5, 6, 7}, false},
		{"a repeated value", 9, []byte{6, 0x2c, 0x01}, 3, []uint32{300, 300, 300}, false},
		{"one run after another", 1, []byte{4, 1, 0x03, 0b101, 2, 0}, 11, []uint32{1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0}, false},
		{"a group that is not full", 1, []byte{0x03, 0xff}, 3, []uint32{1, 1, 1}, false},
		{"values of no bits", 0, []byte{0x03, 4}, 10, []uint32{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false},
		{"values of 32 bits", 32, append([]byte{0x03}, bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xfe}, 8)...), 2, []uint32{0xfeffffff, 0xfeffffff}, false},
		{"no data", 1, nil, 0, []uint32{}, false},

		{"one repetition too many", 1, []byte{8, 1}, 3, []uint32{1, 1, 1}, true},
		{"a group too many", 1, []byte{0x05, 0xff, 0xff}, 8, []uint32{1, 1, 1, 1, 1, 1, 1, 1}, true},
		{"a run too many", 1, []byte{2, 1, 2, 1}, 1, []uint32{1}, true},

		{"too few values", 1, []byte{4, 1}, 3, nil, false},
		{"no runs", 1, nil, 1, nil, false},
		{"an empty run", 1, []byte{0, 1}, 1, nil, false},
		{"a run of impossible length", 1, binary.AppendUvarint(nil, math.MaxUint64), 1, nil, false},
		{"a header that does not end", 1, []byte{0x80}, 1, nil, false},
		{"a truncated repeated value", 9, []byte{2, 1}, 1, nil, false},
		{"a repeated value that is too wide", 1, []byte{2, 2}, 1, nil, false},
		{"truncated packed values", 3, []byte{0x03, 0x88, 0xc6}, 8, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1, 3, 100} {
				h := hybrid{data: test.data, width: test.width}
				got := make([]uint32, test.n)
				var err error
				for part := range slices.Chunk(got, step) {
					if err = h.read(part); err != nil {
						break
					}
				}
				switch {
				case test.want == nil:
					if !errors.Is(err, ErrUnreadable) {
						t.Errorf("got %v, %v; want ErrUnreadable", got, err)
					}
				case err != nil || !slices.Equal(got, test.want):
					t.Errorf("%d at a time: got %v, %v; want %v", step, got, err, test.want)
				case h.ended() == test.rest:
					t.Errorf("ended: %t", h.ended())
				}
			}
		})
	}
}

// Query engines compare floats to skip them, so the sign of zero does not matter.
func TestFloatBounds(t *testing.T) {
	zero, nan := math.Copysign(0, -1), math.NaN()
	for _, test := range []struct {
		name            string
		low, high       float64
		valid           bool
		within, outside []float64
	}{
		{"between", -1, 2, true, []float64{-1, 0, 2}, []float64{-1.5, math.Nextafter(2, 3), math.Inf(1), math.Inf(-1)}},
		{"the zeros, widened", zero, 0, true, []float64{zero, 0}, []float64{math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64}},
		{"one zero", 0, 0, true, []float64{zero, 0}, []float64{math.SmallestNonzeroFloat64}},
		{"the zeros, narrowed", 0, zero, true, []float64{zero, 0}, []float64{-math.SmallestNonzeroFloat64}},
		{"NaN among the values", 0, 1, true, []float64{nan}, nil},
		{"NaN as the minimum", nan, 1, false, nil, nil},
		{"NaN as the maximum", 0, nan, false, nil, nil},
		{"swapped", 1, 0, false, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			bits := func(f float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)) }
			b, valid := boundsOf(&parquet.Statistics{MinValue: bits(test.low), MaxValue: bits(test.high)}, schemas.Float64)
			if valid != test.valid {
				t.Fatalf("valid = %t", valid)
			}
			for _, f := range test.within {
				if b.exclude(int64(math.Float64bits(f))) {
					t.Errorf("%v is excluded", f)
				}
			}
			for _, f := range test.outside {
				if !b.exclude(int64(math.Float64bits(f))) {
					t.Errorf("%v is not excluded", f)
				}
			}
		})
	}
}

func TestUncompress(t *testing.T) {
	text := []byte(strings.Repeat("Grüße ", 100))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(text)
	w.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for codec, data := range map[parquet.CompressionCodec][]byte{
		parquet.CompressionCodec_UNCOMPRESSED: text,
		parquet.CompressionCodec_SNAPPY:       snappy.Encode(nil, text),
		parquet.CompressionCodec_GZIP:         zipped.Bytes(),
		parquet.CompressionCodec_ZSTD:         encoder.EncodeAll(text, nil),
	} {
		t.Run(codec.String(), func(t *testing.T) {
			if got, err := uncompress(codec, data, len(text)); err != nil || !bytes.Equal(got, text) {
				t.Errorf("got %q, %v", got, err)
			}
			for _, size := range []int{len(text) - 1, len(text) + 1, 0, -1, math.MaxInt32} {
				if got, err := uncompress(codec, data, size); err == nil {
					t.Errorf("got %d bytes of data with the size %d, want an error", len(got), size)
				}
			}
			if got, err := uncompress(codec, data[:len(data)-1], len(text)); err == nil {
				t.Errorf("got %d bytes of truncated data, want an error", len(got))
			}
			if got, err := uncompress(codec, append(bytes.Clone(data), 0), len(text)); err == nil {
				t.Errorf("got %d bytes of data with an extra byte, want an error", len(got))
			}
		})
	}
	if _, err := uncompress(parquet.CompressionCodec_LZ4, text, len(text)); err == nil {
		t.Error("LZ4 is accepted")
	}
}

// text returns a string in PLAIN encoding.
func text(s string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// A page with inconsistent parts is refused.
func TestPages(t *testing.T) {
	present := func(values ...byte) []byte { return slices.Concat([]byte{2, 0, 0, 0, 4, 1}, values) } // two, none NULL
	dictionary := slices.Concat(text("a"), text("b"))
	for _, test := range []struct {
		name       string
		kind       schemas.Type
		dictionary []byte // of two values
		encoding   parquet.Encoding
		levels     parquet.Encoding
		page       []byte // of two values
		ok         bool
	}{
		{name: "texts", kind: schemas.String, page: present(dictionary...), ok: true},
		{name: "times", kind: schemas.Timestamp, page: present(make([]byte, 16)...), ok: true},
		{name: "dates", kind: schemas.Date, page: present(make([]byte, 8)...), ok: true},
		{name: "numbers", kind: schemas.Int64, page: present(make([]byte, 16)...), ok: true},
		{name: "floats", kind: schemas.Float64, page: present(make([]byte, 16)...), ok: true},
		{name: "bools", kind: schemas.Bool, page: present(0b10), ok: true},
		{name: "bools with other bits as padding", kind: schemas.Bool, page: present(0b11111110), ok: true},
		{name: "a dictionary", kind: schemas.String, dictionary: dictionary, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10), ok: true},

		{name: "a text longer than the page", kind: schemas.String, page: present(slices.Concat(text("a"), []byte{2, 0, 0, 0, 'b'})...)},
		{name: "a text with a truncated length", kind: schemas.String, page: present(slices.Concat(text("a"), []byte{2, 0, 0})...)},
		{name: "truncated times", kind: schemas.Timestamp, page: present(make([]byte, 15)...)},
		{name: "truncated dates", kind: schemas.Date, page: present(make([]byte, 7)...)},
		{name: "truncated floats", kind: schemas.Float64, page: present(make([]byte, 15)...)},
		{name: "truncated bools", kind: schemas.Bool, page: present()},
		{name: "one byte of bools too many", kind: schemas.Bool, page: present(0b10, 0)},
		{name: "bools in runs", kind: schemas.Bool, encoding: parquet.Encoding_RLE, page: present(2, 0, 0, 0, 3, 0b10)},
		{name: "a dictionary of bools", kind: schemas.Bool, dictionary: []byte{0b10}, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10)},
		{name: "a truncated dictionary of floats", kind: schemas.Float64, dictionary: make([]byte, 15), encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10)},
		{name: "a value too many", kind: schemas.Date, page: present(make([]byte, 12)...)},
		{name: "a level too many", kind: schemas.Date, page: slices.Concat([]byte{2, 0, 0, 0, 6, 1}, make([]byte, 8))},
		{name: "a level too few", kind: schemas.Date, page: slices.Concat([]byte{2, 0, 0, 0, 2, 1}, make([]byte, 8))},
		{name: "truncated levels", kind: schemas.Date, page: []byte{3, 0, 0, 0, 4, 1}},
		{name: "no levels", kind: schemas.Date, page: []byte{0, 0}},
		{name: "levels of another encoding", kind: schemas.Date, levels: parquet.Encoding_BIT_PACKED, page: present(make([]byte, 8)...)},
		{name: "an index beyond the dictionary", kind: schemas.String, dictionary: dictionary, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(2, 3, 0b1000, 0)},
		{name: "an index too many", kind: schemas.String, dictionary: dictionary, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 6, 1)},
		{name: "indices too wide", kind: schemas.String, dictionary: dictionary, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(33, 4, 1)},
		{name: "no indices", kind: schemas.String, dictionary: dictionary, encoding: parquet.Encoding_RLE_DICTIONARY, page: present()},
		{name: "no dictionary", kind: schemas.String, encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10)},
		{name: "a dictionary with an extra byte", kind: schemas.String, dictionary: append(slices.Clone(dictionary), 0), encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10)},
		{name: "a truncated dictionary", kind: schemas.String, dictionary: dictionary[:6], encoding: parquet.Encoding_RLE_DICTIONARY, page: present(1, 3, 0b10)},
		{name: "another encoding", kind: schemas.Timestamp, encoding: parquet.Encoding_DELTA_BINARY_PACKED, page: present(make([]byte, 16)...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &column{kind: test.kind, hash: schemas.HashValuesOf("c"), openChunk: openChunk{left: 2},
				scratch: &scratch{levels: make([]uint32, 2), indices: make([]uint32, 2)}}
			c.keep()
			if test.levels == 0 {
				test.levels = parquet.Encoding_RLE
			}
			var err error
			if test.dictionary != nil {
				err = c.beginDictionary(&parquet.DictionaryPageHeader{NumValues: 2}, test.dictionary)
			}
			if err == nil {
				err = c.beginPage(&parquet.DataPageHeader{NumValues: 2, Encoding: test.encoding, DefinitionLevelEncoding: test.levels}, test.page)
			}
			if err == nil {
				err = c.read(t.Context(), make([]schemas.Digest, 2))
			}
			if test.ok && err != nil || !test.ok && !errors.Is(err, ErrUnreadable) {
				t.Errorf("got %v", err)
			}
			want := []string{"", ""}
			if test.ok && test.kind == schemas.String {
				want = []string{"a", "b"}
			}
			if test.ok && !slices.Equal(c.kept.texts, want) {
				t.Errorf("got %q", c.kept.texts)
			}
			if test.ok && test.kind == schemas.Bool && !slices.Equal(c.kept.ints, []int64{0, 1}) {
				t.Errorf("got %d", c.kept.ints)
			}
		})
	}
}

// A damaged length does not make the reader allocate that much memory.
func TestDamagedLengths(t *testing.T) {
	allocated := func(f func() error) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := f()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("got %v, want ErrUnreadable", err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("%d bytes were allocated", n)
		}
	}
	// A footer whose first field is a schema of ninety million columns.
	footer := binary.AppendUvarint([]byte{0x29, 0xfc}, 90_000_000)
	file := slices.Concat([]byte(magic), footer, binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), []byte(magic))
	allocated(func() error {
		_, err := read(file, schemas.KnockEvents())
		return err
	})
	for _, codec := range []parquet.CompressionCodec{
		parquet.CompressionCodec_UNCOMPRESSED, parquet.CompressionCodec_SNAPPY, parquet.CompressionCodec_GZIP, parquet.CompressionCodec_ZSTD,
	} {
		c := &column{openChunk: openChunk{chunk: &parquet.ColumnMetaData{TotalCompressedSize: 100, Codec: codec}}}
		for _, sizes := range [][2]int32{{math.MaxInt32, 100}, {100, math.MaxInt32}, {-1, 100}, {100, -1}} {
			c.pages = bufio.NewReader(bytes.NewReader(make([]byte, 100)))
			allocated(func() error {
				_, err := c.readBody(&parquet.PageHeader{CompressedPageSize: sizes[0], UncompressedPageSize: sizes[1]})
				return err
			})
		}
	}
	// Data whose header announces a gigabyte or more.
	for codec, data := range map[parquet.CompressionCodec][]byte{
		parquet.CompressionCodec_SNAPPY: append(binary.AppendUvarint(nil, 1<<30), make([]byte, 100)...),
		parquet.CompressionCodec_ZSTD:   append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x10}, make([]byte, 100)...),
	} {
		allocated(func() error {
			_, err := uncompress(codec, data, 100)
			if err == nil {
				return nil
			}
			return unreadable("%v", err)
		})
	}
}
