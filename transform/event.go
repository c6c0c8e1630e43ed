package transform

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/valyala/fastjson"

	"prospector/schemas"
)

// Event gives the event of a row as canonical JSON: keys sorted, no blanks, and
// every value as it came, but for times that a column alone tells; those are
// written as in 2022-01-13T19:27:37.866831+00:00. The columns are the batch's:
// schemas.Table.RowColumns.
//
// An error says that the row's extra_json is not one that this package makes.
func Event(columns []schemas.Column, batch arrow.Record, row int) ([]byte, error) {
	event, err := newRebuilder(columns).event(batch, row)
	if err != nil {
		return nil, err
	}
	return appendCanonical(nil, event)
}

// rebuilder makes events of rows, one at a time.
type rebuilder struct {
	columns []schemas.Column
	extraAt int
	parsers []fastjson.Parser // of columns' values, since a value lives as long as its parser rests
	arena   fastjson.Arena    // of objects; the texts that it makes are not JSON's
	text    []byte
}

func newRebuilder(columns []schemas.Column) *rebuilder {
	r := &rebuilder{columns: columns, parsers: make([]fastjson.Parser, len(columns))}
	for i, c := range columns {
		if c.Value == schemas.Extra {
			r.extraAt = i
		}
	}
	return r
}

var errExtra = errors.New("extra_json is not as prospector writes it")

// event gives the event of a row; it is gone when the next one is made.
func (r *rebuilder) event(batch arrow.Record, row int) (*fastjson.Value, error) {
	r.arena.Reset()
	event := r.arena.NewObject()
	if extra := batch.Column(r.extraAt).(*array.String); extra.IsValid(row) {
		var err error
		if event, err = r.parsers[r.extraAt].Parse(extra.Value(row)); err != nil || event.Type() != fastjson.TypeObject {
			return nil, errExtra
		}
	}
	from := event.Get(fromKey)
	event.Del(fromKey)
	for i, c := range r.columns {
		if len(c.From) == 0 || batch.Column(i).IsNull(row) {
			continue
		}
		path := c.From[0]
		if moved := from.GetStringBytes(c.Name); moved != nil {
			path = string(moved)
		}
		value, err := r.value(i, batch.Column(i), row)
		if err != nil {
			return nil, err
		}
		if err := r.set(event, path, value); err != nil {
			return nil, err
		}
	}
	return event, nil
}

// set puts a value at a path, unless extra_json has the original there.
func (r *rebuilder) set(event *fastjson.Value, path string, value *fastjson.Value) error {
	at := event
	for {
		key, rest, more := strings.Cut(path, ".")
		object, err := at.Object()
		if err != nil {
			return errExtra
		}
		inner := object.Get(key)
		switch {
		case !more && inner == nil:
			object.Set(key, value)
			return nil
		case !more:
			return nil
		case inner == nil:
			inner = r.arena.NewObject()
			object.Set(key, inner)
		}
		at, path = inner, rest
	}
}

// value gives what a column tells, as the JSON that it is exact for.
func (r *rebuilder) value(column int, values arrow.Array, row int) (*fastjson.Value, error) {
	b := r.text[:0]
	switch values := values.(type) {
	case *array.String:
		if r.columns[column].Type == schemas.JSON {
			b = append(b, values.Value(row)...)
		} else {
			b = appendString(b, []byte(values.Value(row)))
		}
	case *array.Int64:
		b = strconv.AppendInt(b, values.Value(row), 10)
	case *array.Float64:
		b = appendFloat(b, int64(math.Float64bits(values.Value(row))))
	case *array.Boolean:
		b = strconv.AppendBool(b, values.Value(row))
	case *array.Timestamp:
		b = append(appendTime(append(b, '"'), int64(values.Value(row))), '"')
	case *array.Date32:
		b = append(values.Value(row).ToTime().AppendFormat(append(b, '"'), time.DateOnly), '"')
	default:
		panic(fmt.Sprintf("column %s: no JSON for Arrow type %s", r.columns[column].Name, values.DataType()))
	}
	r.text = b
	v, err := r.parsers[column].ParseBytes(b)
	if err != nil {
		return nil, fmt.Errorf("the column %s is not as prospector writes it", r.columns[column].Name)
	}
	return v, nil
}
