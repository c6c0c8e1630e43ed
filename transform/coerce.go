package transform

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"prospector/internal/jsontext"
	"prospector/schemas"
	"prospector/schemas/records"
)

// outcome is the result of coercing a value at a path of a column.
type outcome uint8

const (
	// mismatch: the value does not have the type of the column. The column is NULL,
	// extra_json has the value, and the survey reports it.
	mismatch outcome = iota
	// none: the value is null or an empty text. The column is NULL, and extra_json has
	// the value, because it is different from an absent field.
	none
	// repaired: the text is not Unicode. The column has U+FFFD in place of the invalid
	// bytes, extra_json has the bytes, and the survey counts the value like a mismatch.
	repaired
	// kept: the column has the value, and extra_json has its original form, which cannot
	// be rebuilt from the column.
	kept
	// exact: the value can be rebuilt from the column alone.
	exact
)

// cell is the value of a column.
type cell struct {
	str   []byte
	int   int64 // an integer, microseconds, days, a float's bits, or 0 and 1
	naive bool  // a time without an offset
}

// coerce converts a value to the type of a column: text in str, anything else in int in
// Arrow's representation (the bits of a float, 0 or 1 for a bool). It guesses and rounds
// nothing. A value that the type cannot represent is a mismatch.
//
// A text that is not a part of the event is appended to scratch. coerce returns an error if
// the value has the same key twice, because readers would disagree on it.
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

// repair replaces the bytes in the text of a value that are not Unicode.
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

// coerceText is coerce for a text that is not empty, and any type except String and JSON.
func (c *cell) coerceText(to schemas.Type, text []byte) outcome {
	switch to {
	case schemas.Timestamp:
		micros, isExact, naive, ok := parseTime(text)
		c.int, c.naive = micros, naive
		switch {
		case !ok:
			return mismatch
		case !isExact:
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
	return min(c.coerceNumber(to, text), kept) // a text of digits is not a number
}

// coerceNumber is coerce for a text that may be a number, and the type Int64 or Float64.
func (c *cell) coerceNumber(to schemas.Type, text []byte) outcome {
	d, ok := parseDecimal(text)
	if !ok {
		return mismatch
	}
	var canonical [32]byte
	exactText := canonical[:0]
	if to == schemas.Int64 {
		if c.int, ok = d.int64(); !ok {
			return mismatch
		}
		exactText = strconv.AppendInt(exactText, c.int, 10)
	} else {
		if c.int, ok = d.float64(text); !ok {
			return mismatch
		}
		exactText = appendFloat(exactText, c.int)
	}
	if string(exactText) != string(text) {
		return kept
	}
	return exact
}

// parseDate parses YYYY-MM-DD in the years 1 to 9999 as days since 1970-01-01.
func parseDate(s []byte) (day int32, ok bool) {
	if len(s) != len(time.DateOnly) {
		return 0, false
	}
	midnight := make([]byte, 0, len(time.RFC3339))
	micros, _, _, ok := parseTime(append(append(midnight, s...), "T00:00:00Z"...))
	return dayOf(micros), ok
}

// appendExact appends the JSON for which a column's value in a row is exact. The value must
// not be NULL. appendExact is the inverse of coerce, and of coerceTime if f is not nil.
func appendExact(dst []byte, of schemas.Type, f *schemas.TimeFormat, values *records.Column, row int) []byte {
	switch of {
	case schemas.JSON:
		return append(dst, values.Text(row)...)
	case schemas.String:
		return jsontext.AppendQuoted(dst, values.Text(row))
	case schemas.Int64:
		return strconv.AppendInt(dst, values.Word(row), 10)
	case schemas.Float64:
		return appendFloat(dst, values.Word(row))
	case schemas.Bool:
		return strconv.AppendBool(dst, values.Word(row) != 0)
	case schemas.Timestamp:
		return appendExactTime(dst, f, values.Word(row))
	case schemas.Date:
		micros := values.Word(row) * microsPerDay
		if f != nil {
			return appendExactTime(dst, f, micros)
		}
		return append(time.UnixMicro(micros).UTC().AppendFormat(append(dst, '"'), time.DateOnly), '"')
	}
	panic(fmt.Sprintf("type %q passed its check and has no JSON", of))
}
