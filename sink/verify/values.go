package verify

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"

	"prospector/schemas"
)

// values are values of a column that are not NULL, and their digests.
type values struct {
	digests []schemas.Digest
	ints    []int64  // only of a column that is kept; the bits of floats
	texts   []string // only of a column that is kept; they alias the page
}

// scratch has room for the values of some rows. The columns share it.
type scratch struct {
	levels, indices []uint32
	values
}

// decode reads the next n values of the current page that are not NULL into scratch.
func (c *column) decode(n int) (err error) {
	v := &c.scratch.values
	v.digests, v.ints, v.texts = v.digests[:0], v.ints[:0], v.texts[:0]
	switch {
	case c.kind == schemas.Bool:
		return c.decodeBools(v, n)
	case !c.indexed:
		c.plain, err = c.decodePlain(v, c.plain, n)
		return err
	}
	indices := c.scratch.indices[:n]
	if err := c.indices.read(indices); err != nil {
		return err
	}
	dictionary := c.dictionary
	for _, i := range indices {
		if int(i) >= len(dictionary.digests) {
			return unreadable("a value has the index %d in a dictionary of %d values", i, len(dictionary.digests))
		}
		v.digests = append(v.digests, dictionary.digests[i])
		switch {
		case c.kept == nil:
		case c.kind.IsText():
			v.texts = append(v.texts, dictionary.texts[i])
		default:
			v.ints = append(v.ints, dictionary.ints[i])
		}
	}
	return nil
}

// decodePlain appends n values, and returns what follows them in data. The texts
// alias data, which must not change afterwards.
func (c *column) decodePlain(v *values, data []byte, n int) ([]byte, error) {
	if c.kind.IsText() {
		return c.decodeTexts(v, data, n)
	}
	width := widths[c.kind]
	if len(data) < n*width {
		return nil, unreadable("a page ends within its values")
	}
	bounded := c.bounds.any()
	for i := range n {
		x := readInt(data[i*width:], width)
		if bounded && c.bounds.exclude(x) {
			c.note(&c.misleading)
		}
		v.digests = append(v.digests, c.hash.Int64(x))
		if c.kept != nil {
			v.ints = append(v.ints, x)
		}
	}
	return data[n*width:], nil
}

// readInt reads an integer, or the bits of a float.
func readInt(data []byte, width int) int64 {
	if width == 4 {
		return int64(int32(binary.LittleEndian.Uint32(data)))
	}
	return int64(binary.LittleEndian.Uint64(data))
}

// decodeBools appends n values of the current page.
func (c *column) decodeBools(v *values, n int) error {
	bits := c.scratch.indices[:n]
	if err := c.bits.read(bits); err != nil {
		return err
	}
	bounded := c.bounds.any()
	for _, bit := range bits {
		x := int64(bit)
		if bounded && c.bounds.exclude(x) {
			c.note(&c.misleading)
		}
		v.digests = append(v.digests, c.hash.Int64(x))
		if c.kept != nil {
			v.ints = append(v.ints, x)
		}
	}
	return nil
}

func (c *column) decodeTexts(v *values, data []byte, n int) ([]byte, error) {
	bounded := c.bounds.any()
	for range n {
		if len(data) < 4 {
			return nil, unreadable("a page ends within its values")
		}
		length := int(binary.LittleEndian.Uint32(data))
		data = data[4:]
		if length > len(data) {
			return nil, unreadable("a value is longer than its page")
		}
		text := unsafe.String(unsafe.SliceData(data), length)
		data = data[length:]
		if bounded && c.bounds.excludeText(text) {
			c.note(&c.misleading)
		}
		if !utf8.ValidString(text) {
			c.note(&c.notUTF8)
		}
		v.digests = append(v.digests, c.hash.String(text))
		if c.kept != nil {
			v.texts = append(v.texts, text)
		}
	}
	return data, nil
}
