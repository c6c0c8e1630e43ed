package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// Event returns the event of a row as canonical JSON: sorted keys, no blanks, and
// unchanged values. A time that is only in a column has a uniform format, as in
// 2022-01-13T19:27:37.866831+00:00. Strings that are not Unicode keep their bytes, so
// the result may not be valid UTF-8. The columns are those of the batch:
// schemas.Table.RowColumns.
//
// Event returns an error if this package did not write the row.
func Event(columns []schemas.Column, batch arrow.Record, row int) ([]byte, error) {
	event, err := newRebuilder(columns).event(batch, row)
	if err != nil {
		return nil, err
	}
	return event.appendTo(nil), nil
}

// rebuilder rebuilds events from rows, one at a time.
type rebuilder struct {
	columns []schemas.Column
	times   []*schemas.TimeFormat // of the columns
	extraAt int
	parsed  document
	text    []byte
}

func newRebuilder(columns []schemas.Column) *rebuilder {
	r := &rebuilder{columns: columns}
	for i, c := range columns {
		r.times = append(r.times, timeFormat(c))
		if c.Value == schemas.Extra {
			r.extraAt = i
		}
	}
	return r
}

var errExtra = errors.New("extra_json does not have prospector's format")

func (r *rebuilder) event(batch arrow.Record, row int) (rebuiltObject, error) {
	event, moved := make(rebuiltObject), rebuiltObject(nil)
	if extra := batch.Column(r.extraAt).(*array.String); extra.IsValid(row) {
		p, err := r.extra([]byte(extra.Value(row)))
		if err != nil || p.object == nil {
			return nil, errExtra
		}
		event = p.object
		moved = event[fromKey].object
		delete(event, fromKey)
	}
	for i, c := range r.columns {
		if len(c.From) == 0 || batch.Column(i).IsNull(row) {
			continue
		}
		path := c.From[0]
		if p, ok := moved[c.Name]; ok {
			if json.Unmarshal(p.text, &path) != nil {
				return nil, errExtra
			}
		}
		value, err := r.value(i, batch.Column(i), row)
		if err != nil {
			return nil, err
		}
		if !event.set(path, value) { // has no effect if extra_json has the original value
			return nil, errExtra
		}
	}
	return event, nil
}

// extra parses an extra_json.
func (r *rebuilder) extra(text []byte) (part, error) {
	if bytes.Contains(text, []byte(bytesKey+`":`)) {
		v, err := r.parsed.parse(text, math.MaxInt)
		if err != nil {
			return part{}, err
		}
		if text, err = appendJSON(nil, v, eventForm); err != nil {
			return part{}, err
		}
	}
	return r.part(text)
}

func (r *rebuilder) part(text []byte) (part, error) {
	v, err := r.parsed.parse(text, math.MaxInt)
	if err != nil {
		return part{}, err
	}
	return partOf(v)
}

// value returns the JSON for which the column's value in a row is exact.
func (r *rebuilder) value(column int, values arrow.Array, row int) (part, error) {
	c := records.ColumnOf(values)
	b := appendExact(r.text[:0], r.columns[column].Type, r.times[column], &c, row)
	r.text = b
	p, err := r.part(b)
	if err != nil {
		return part{}, fmt.Errorf("the column %s does not have prospector's format", r.columns[column].Name)
	}
	return p, nil
}
