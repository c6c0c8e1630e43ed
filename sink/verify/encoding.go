package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/golang/snappy"           // klauspost's accepts an extension of the format
	"github.com/klauspost/compress/gzip" // the standard library's misses some damage
	"github.com/klauspost/compress/zstd"
	"github.com/xitongsys/parquet-go/parquet"

	"prospector/schemas"
)

// hybrid decodes Parquet's RLE/bit-packing hybrid: runs of one repeated value,
// or of values packed into width bits each.
type hybrid struct {
	data  []byte // runs to come
	width uint   // bits of a value: 0 to 32

	left   int    // values left in the run
	value  uint32 // of a repeated run
	packed []byte // of a packed run; nil in a repeated one
	bit    int    // where in packed the next value begins
}

func (h *hybrid) read(out []uint32) error {
	for len(out) > 0 {
		if h.left == 0 {
			if err := h.nextRun(); err != nil {
				return err
			}
		}
		n := min(h.left, len(out))
		if h.packed == nil {
			for i := range n {
				out[i] = h.value
			}
		} else {
			h.unpack(out[:n])
		}
		h.left -= n
		out = out[n:]
	}
	return nil
}

func (h *hybrid) nextRun() error {
	header, n := binary.Uvarint(h.data)
	count := header >> 1
	if n <= 0 || count == 0 || count > math.MaxInt32 {
		return unreadable("a page's runs end before its values do")
	}
	h.data = h.data[n:]
	if header&1 == 1 {
		size := int(count) * int(h.width) // a run is of groups of eight values
		if size > len(h.data) {
			return unreadable("a page ends within a run")
		}
		h.left, h.packed, h.bit = int(count)*8, h.data[:size:size], 0
		h.data = h.data[size:]
		return nil
	}
	size := int(h.width+7) / 8
	if size > len(h.data) {
		return unreadable("a page ends within a run")
	}
	var value [8]byte
	copy(value[:], h.data[:size])
	repeated := binary.LittleEndian.Uint64(value[:])
	if repeated>>h.width != 0 {
		return unreadable("a repeated value is wider than %d bits", h.width)
	}
	h.left, h.value, h.packed = int(count), uint32(repeated), nil
	h.data = h.data[size:]
	return nil
}

func (h *hybrid) unpack(out []uint32) {
	mask := uint64(1)<<h.width - 1
	for i := range out {
		at := h.bit >> 3
		var word uint64
		if at+8 <= len(h.packed) {
			word = binary.LittleEndian.Uint64(h.packed[at:])
		} else {
			var last [8]byte
			copy(last[:], h.packed[at:])
			word = binary.LittleEndian.Uint64(last[:])
		}
		out[i] = uint32(word >> (h.bit & 7) & mask)
		h.bit += int(h.width)
	}
}

// ended reports whether no value is left, except for the padding of a group of eight.
func (h *hybrid) ended() bool {
	return len(h.data) == 0 && (h.left == 0 || h.packed != nil && h.left < 8)
}

// bounds are the minimum and maximum in a column chunk's statistics. The zero value
// excludes nothing.
type bounds struct {
	low, high bool // which bounds exist
	float     bool
	// A missing bound is the lowest or the highest number of its type.
	lowInt, highInt     int64
	lowFloat, highFloat float64
	lowText, highText   string
}

// exclude reports whether an integer, or the float with these bits, is outside the
// bounds. As for query engines, 0 equals -0, and NaN is never outside.
func (b *bounds) exclude(x int64) bool {
	if b.float {
		f := math.Float64frombits(uint64(x))
		return f < b.lowFloat || f > b.highFloat
	}
	return x < b.lowInt || x > b.highInt
}

// excludeText reports whether a text is outside the bounds.
func (b *bounds) excludeText(text string) bool {
	return text < b.lowText || b.high && text > b.highText
}

// any reports whether there is a bound.
func (b *bounds) any() bool { return b.low || b.high }

// boundsOf reads the statistics, and reports whether they are valid. A writer may
// leave out either bound, and a missing bound excludes nothing. Some readers use the
// older pair of fields, so a bound that is in both must be the same.
func boundsOf(s *parquet.Statistics, kind schemas.Type) (b bounds, ok bool) {
	if s == nil {
		return bounds{}, true
	}
	b = bounds{
		float:  kind == schemas.Float64,
		lowInt: math.MinInt64, highInt: math.MaxInt64, lowFloat: math.Inf(-1), highFloat: math.Inf(1),
	}
	low, ok := oneBound(s.MinValue, s.Min)
	high, same := oneBound(s.MaxValue, s.Max)
	if !ok || !same {
		return bounds{}, false
	}
	if low != nil {
		b.low = true
		if b.lowText, b.lowInt, ok = readBound(low, kind); !ok {
			return bounds{}, false
		}
		b.lowFloat = math.Float64frombits(uint64(b.lowInt))
	}
	if high != nil {
		b.high = true
		if b.highText, b.highInt, ok = readBound(high, kind); !ok {
			return bounds{}, false
		}
		b.highFloat = math.Float64frombits(uint64(b.highInt))
	}
	return b, !b.inverted()
}

// inverted reports whether the lower bound is above the upper one.
func (b *bounds) inverted() bool {
	return b.lowInt > b.highInt && !b.float || b.lowFloat > b.highFloat || b.high && b.lowText > b.highText
}

// oneBound returns the bound in two fields, or nil if neither is set, and reports
// whether they agree.
func oneBound(current, older []byte) (bound []byte, agree bool) {
	if current == nil {
		return older, true
	}
	return current, older == nil || bytes.Equal(current, older)
}

// readBound decodes a bound, and reports whether it is valid for that type. The format
// forbids NaN.
func readBound(data []byte, kind schemas.Type) (text string, number int64, ok bool) {
	switch width := widths[kind]; {
	case kind.IsText():
		return string(data), 0, true
	case kind == schemas.Bool:
		if len(data) != 1 || data[0] > 1 {
			return "", 0, false
		}
		return "", int64(data[0]), true
	case len(data) != width:
		return "", 0, false
	default:
		number = readInt(data, width)
		return "", number, kind != schemas.Float64 || !math.IsNaN(math.Float64frombits(uint64(number)))
	}
}

// zstdDecoder is safe for concurrent use, and never exceeds the capacity of its
// destination.
var zstdDecoder = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}()

var errLength = errors.New("its length differs from the length in its header")

// uncompress returns size bytes: either data itself or new memory. It never allocates
// more than size bytes, whatever the data is.
func uncompress(codec parquet.CompressionCodec, data []byte, size int) ([]byte, error) {
	// No codec turns one byte into more than 2¹⁵ bytes.
	if size < 0 || size>>15 > len(data) {
		return nil, errLength
	}
	out := data
	var err error
	switch codec {
	case parquet.CompressionCodec_UNCOMPRESSED:
	case parquet.CompressionCodec_SNAPPY:
		if n, err := snappy.DecodedLen(data); err != nil || n != size {
			return nil, errLength
		}
		out, err = snappy.Decode(nil, data)
	case parquet.CompressionCodec_ZSTD:
		out, err = zstdDecoder.DecodeAll(data, make([]byte, 0, size))
	case parquet.CompressionCodec_GZIP:
		out, err = gunzip(data, size)
	default:
		return nil, errors.New("no file of the lake uses this codec")
	}
	if err != nil {
		return nil, err
	}
	if len(out) != size {
		return nil, errLength
	}
	return out, nil
}

func gunzip(data []byte, size int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	// The checksum is read, and compared, at the end.
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, errors.Join(errLength, err)
	}
	return out, nil
}

func oneOf[T comparable](x T, of ...T) bool { return slices.Contains(of, x) }
