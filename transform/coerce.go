package transform

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"prospector/schemas"
)

// outcome is what becomes of a value at a path of a column.
type outcome uint8

const (
	// mismatch: it is not of the column's type. The column is NULL, extra_json
	// has the value, and it is told of.
	mismatch outcome = iota
	// none: there is nothing to tell. The column is NULL and extra_json has the
	// null or empty text, which is not the same as an absent field.
	none
	// repaired: some text of it is not Unicode. The column has U+FFFD in that
	// place, extra_json has the bytes, and it is counted like a mismatch.
	repaired
	// kept: the column has it, and extra_json has it as well, since it was
	// written in another way than the one by which it is rebuilt.
	kept
	// exact: the column alone tells all of it.
	exact
)

// cell is what a column has of a value.
type cell struct {
	str   []byte
	int   int64 // an integer, microseconds, days, a float's bits, or 0 and 1
	naive bool  // a time without an offset
}

// coerce gives what a column of that type has of a value: text in str, anything
// else in int as Arrow has it (a float's bits, 0 or 1 for a bool). Nothing is
// guessed or rounded: a value that the type cannot tell is a mismatch.
//
// Texts that were not in the value are appended to scratch. The error says that
// the value cannot be rebuilt by any reader: a key stands twice.
func (c *cell) coerce(to schemas.Type, v value, scratch *[]byte) (_ outcome, err error) {
	kind := v.kind()
	switch {
	case kind == noKind:
		return none, nil
	case kind == aString && to == schemas.String:
		c.str = v.string()
		return c.repair(v), nil
	case kind == aString && to != schemas.JSON:
		if text := v.string(); len(text) > 0 {
			return c.coerceText(to, text), nil
		}
		return none, nil
	}
	switch to {
	case schemas.JSON:
		start := len(*scratch)
		*scratch, err = appendCanonical(*scratch, v)
		c.str = (*scratch)[start:]
		return c.repair(v), err
	case schemas.String:
		if kind == anObject || kind == anArray {
			return mismatch, nil
		}
		c.str = v.raw()
		return kept, nil
	case schemas.Bool:
		if kind == aBool {
			c.setBool(string(v.raw()) == "true")
			return exact, nil
		}
	case schemas.Int64, schemas.Float64:
		if kind == aNumber {
			return c.coerceNumber(to, v.raw()), nil
		}
	}
	return mismatch, nil
}

// repair replaces what is not Unicode in the text of a value.
func (c *cell) repair(v value) outcome {
	if !v.in.broken || utf8.Valid(c.str) {
		return exact
	}
	c.str = bytes.ToValidUTF8(c.str, replacement)
	return repaired
}

func (c *cell) setBool(v bool) {
	c.int = 0
	if v {
		c.int = 1
	}
}

// coerceText is coerce of a text that is not empty, to anything but text.
func (c *cell) coerceText(to schemas.Type, text []byte) outcome {
	switch to {
	case schemas.Timestamp:
		micros, told, naive, ok := parseTime(text)
		c.int, c.naive = micros, naive
		switch {
		case !ok:
			return mismatch
		case !told:
			return kept
		}
		return exact
	case schemas.Date:
		day, ok := parseDate(text)
		if !ok {
			return mismatch
		}
		c.int = int64(day)
		return exact
	case schemas.Bool:
		if string(text) != "true" && string(text) != "false" {
			return mismatch
		}
		c.setBool(string(text) == "true")
		return kept
	}
	return min(c.coerceNumber(to, text), kept) // a text of digits is no number
}

// coerceNumber is coerce of what may be the text of a number, to Int64 or Float64.
func (c *cell) coerceNumber(to schemas.Type, text []byte) outcome {
	d, ok := parseDecimal(text)
	if !ok {
		return mismatch
	}
	var canonical [32]byte
	told := canonical[:0]
	if to == schemas.Int64 {
		if c.int, ok = d.int64(); !ok {
			return mismatch
		}
		told = strconv.AppendInt(told, c.int, 10)
	} else {
		if c.int, ok = d.float64(text); !ok {
			return mismatch
		}
		told = appendFloat(told, c.int)
	}
	if string(told) != string(text) {
		return kept
	}
	return exact
}

// parseDate reads YYYY-MM-DD of the years 1 to 9999, as days since 1970-01-01.
func parseDate(s []byte) (day int32, ok bool) {
	if len(s) != len(time.DateOnly) {
		return 0, false
	}
	midnight := make([]byte, 0, len(time.RFC3339))
	micros, _, _, ok := parseTime(append(append(midnight, s...), "T00:00:00Z"...))
	return dayOf(micros), ok
}
