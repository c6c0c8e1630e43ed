// Package records holds the rows of a table in memory, as Arrow record batches:
// their schema, values one by one, digests, and batches built from values. It
// does no I/O.
package records

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

// Schema is the Arrow schema of record batches with those columns, all nullable.
// Timestamps name the zone UTC, without which v15 writes them to Parquet as not
// adjusted to UTC (docs/lake-contract.md).
func Schema(columns []schemas.Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Nullable: true}
		switch c.Type {
		case schemas.String, schemas.JSON:
			fields[i].Type = arrow.BinaryTypes.String
		case schemas.Int64:
			fields[i].Type = arrow.PrimitiveTypes.Int64
		case schemas.Float64:
			fields[i].Type = arrow.PrimitiveTypes.Float64
		case schemas.Bool:
			fields[i].Type = arrow.FixedWidthTypes.Boolean
		case schemas.Timestamp:
			fields[i].Type = arrow.FixedWidthTypes.Timestamp_us
		case schemas.Date:
			fields[i].Type = arrow.FixedWidthTypes.Date32
		default:
			panic(fmt.Sprintf("column %s: type %q passed its check and has no Arrow type", c.Name, c.Type))
		}
	}
	return arrow.NewSchema(fields, nil)
}

// NewArray makes an Arrow array of a column's rows, whose memory it has. valid is the
// bitmap of those that are not NULL, and nulls how many are, or
// array.UnknownNullCount. A text is the bytes between two ends, of which there is
// one more than rows; of any other type a value is a word: an integer, microseconds,
// days, a float's bits, or 0 and 1.
func NewArray(of schemas.Type, dt arrow.DataType, rows, nulls int, valid []byte, words []int64, ends []int32, texts []byte) arrow.Array {
	buffers := []*memory.Buffer{memory.NewBufferBytes(valid)}
	add := func(b []byte) { buffers = append(buffers, memory.NewBufferBytes(b)) }
	switch of {
	case schemas.String, schemas.JSON:
		add(arrow.Int32Traits.CastToBytes(ends))
		add(texts)
	case schemas.Date:
		days := make([]int32, len(words))
		for i, v := range words {
			days[i] = int32(v)
		}
		add(arrow.Int32Traits.CastToBytes(days))
	case schemas.Bool:
		bits := make([]byte, len(valid))
		for i, v := range words {
			bits[i>>3] |= byte(v) << (i & 7)
		}
		add(bits)
	default: // 64 bits
		add(arrow.Int64Traits.CastToBytes(words))
	}
	data := array.NewData(dt, rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// SumValues adds to each row's sum the digest of its value in that column, and
// gives the sum over the column and its number of NULLs.
func SumValues(column string, values arrow.Array, rows []schemas.Digest) (sum schemas.Digest, nulls int64) {
	if nulls = int64(values.NullN()); int(nulls) == values.Len() { // as columns of other kinds of events are
		return sum, nulls
	}
	h := schemas.HashValuesOf(column)
	var digest func(i int) schemas.Digest
	switch values := values.(type) {
	case *array.String:
		digest = func(i int) schemas.Digest { return h.String(values.Value(i)) }
	case *array.Int64:
		digest = func(i int) schemas.Digest { return h.Int64(values.Value(i)) }
	case *array.Float64:
		digest = func(i int) schemas.Digest { return h.Float64(values.Value(i)) }
	case *array.Boolean:
		digest = func(i int) schemas.Digest { return h.Bool(values.Value(i)) }
	case *array.Timestamp:
		digest = func(i int) schemas.Digest { return h.Int64(int64(values.Value(i))) }
	case *array.Date32:
		digest = func(i int) schemas.Digest { return h.Int64(int64(values.Value(i))) }
	default:
		panic(fmt.Sprintf("column %s: no digest for Arrow type %s", column, values.DataType()))
	}
	for i := range rows {
		if nulls == 0 || values.IsValid(i) {
			d := digest(i)
			sum, rows[i] = sum.Add(d), rows[i].Add(d)
		}
	}
	return sum, nulls
}

// Digests are the digests of a batch's rows over those columns, which are
// the batch's first ones.
func Digests(columns []schemas.Column, batch arrow.Record) []schemas.Digest {
	rows := make([]schemas.Digest, batch.NumRows())
	for i, c := range columns {
		SumValues(c.Name, batch.Column(i), rows)
	}
	for i := range rows {
		rows[i] = rows[i].Seal()
	}
	return rows
}

// microsPerDay is what a Timestamp has of them.
const microsPerDay = 24 * 60 * 60 * 1e6

// IdentityDays are the UTC days, since 1970-01-01, of the moments that the
// identity of a batch's rows is made from: created_at, or event_time where there
// is none. A row keeps its day whatever else of it changes.
func IdentityDays(columns []schemas.Column, batch arrow.Record) []int32 {
	times := func(name string) *array.Timestamp {
		i := slices.IndexFunc(columns, func(c schemas.Column) bool { return c.Name == name })
		return batch.Column(i).(*array.Timestamp)
	}
	created, happened := times("created_at"), times("event_time")
	days := make([]int32, batch.NumRows())
	for i := range days {
		micros := int64(happened.Value(i))
		if created.IsValid(i) {
			micros = int64(created.Value(i))
		}
		day := micros / microsPerDay
		if micros%microsPerDay < 0 {
			day--
		}
		days[i] = int32(day)
	}
	return days
}
