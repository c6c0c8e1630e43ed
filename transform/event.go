package transform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

// Event returns the event of a row as canonical JSON: sorted keys, no blanks, and
// unchanged values. Only times that just a column has are written in one form, as in
// 2022-01-13T19:27:37.866831+00:00. Strings that are not Unicode keep their bytes, so
// the result may not be valid UTF-8. The columns are those of the batch:
// schemas.Table.RowColumns.
//
// An error says that this package did not write the extra_json of the row.
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

var errExtra = errors.New("extra_json is not as prospector writes it")

func (r *rebuilder) event(batch arrow.Record, row int) (draft, error) {
	event, moved := make(draft), draft(nil)
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

// value returns the JSON for which the value of a column is exact.
func (r *rebuilder) value(column int, values arrow.Array, row int) (part, error) {
	b := r.text[:0]
	switch values := values.(type) {
	case *array.String:
		if r.columns[column].Type == schemas.JSON {
			b = append(b, values.Value(row)...)
		} else {
			b = jsontext.AppendQuoted(b, []byte(values.Value(row)))
		}
	case *array.Int64:
		b = strconv.AppendInt(b, values.Value(row), 10)
	case *array.Float64:
		b = appendFloat(b, int64(math.Float64bits(values.Value(row))))
	case *array.Boolean:
		b = strconv.AppendBool(b, values.Value(row))
	case *array.Timestamp:
		b = r.appendTime(b, column, int64(values.Value(row)))
	case *array.Date32:
		if r.times[column] != nil {
			b = r.appendTime(b, column, int64(values.Value(row))*microsADay)
			break
		}
		b = append(values.Value(row).ToTime().AppendFormat(append(b, '"'), time.DateOnly), '"')
	default:
		panic(fmt.Sprintf("column %s: no JSON for Arrow type %s", r.columns[column].Name, values.DataType()))
	}
	r.text = b
	p, err := r.part(b)
	if err != nil {
		return part{}, fmt.Errorf("the column %s is not as prospector writes it", r.columns[column].Name)
	}
	return p, nil
}

// appendTime appends a time in the form for which its column is exact.
func (r *rebuilder) appendTime(dst []byte, column int, micros int64) []byte {
	switch f := r.times[column]; {
	case f == nil:
		return append(appendTime(append(dst, '"'), micros), '"')
	case f.Micros > 0:
		return f.AppendNumber(dst, micros)
	default:
		return append(f.AppendText(append(dst, '"'), micros), '"')
	}
}
