// Package records holds the rows of a table in memory, as Arrow record batches:
// their schema, values one by one, digests, and batches built from values. It
// does no I/O.
package records

import (
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"prospector/schemas"
)

// Schema returns the Arrow schema of record batches with those columns, all nullable.
func Schema(columns []schemas.Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Nullable: true, Type: arrowType(c.Type)}
	}
	return arrow.NewSchema(fields, nil)
}

// arrowType returns the Arrow type of a column's values. Timestamps have the zone UTC,
// because version 15 of Arrow writes timestamps without a zone to Parquet as not
// adjusted to UTC (docs/lake-contract.md).
func arrowType(of schemas.Type) arrow.DataType {
	switch of {
	case schemas.String, schemas.JSON:
		return arrow.BinaryTypes.String
	case schemas.Int64:
		return arrow.PrimitiveTypes.Int64
	case schemas.Float64:
		return arrow.PrimitiveTypes.Float64
	case schemas.Bool:
		return arrow.FixedWidthTypes.Boolean
	case schemas.Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case schemas.Date:
		return arrow.FixedWidthTypes.Date32
	}
	panic(fmt.Sprintf("the type %q has no Arrow type", of))
}

// bitWidth returns the size of a value in Arrow, in bits: 1, 32 or 64. The values of
// texts have no fixed size.
func bitWidth(of arrow.DataType) int { return of.(arrow.FixedWidthDataType).BitWidth() }

// NewArray returns an Arrow array of a column's values. The array uses their memory
// without a copy if they are texts or have 64 bits.
func NewArray(of schemas.Type, v schemas.Values) arrow.Array {
	buffers := []*memory.Buffer{memory.NewBufferBytes(v.Valid)}
	add := func(b []byte) { buffers = append(buffers, memory.NewBufferBytes(b)) }
	to := arrowType(of)
	switch {
	case of.IsText():
		add(arrow.Int32Traits.CastToBytes(v.Ends))
		add(v.Texts)
	case bitWidth(to) == 64:
		add(arrow.Int64Traits.CastToBytes(v.Words))
	case bitWidth(to) == 32:
		words := make([]int32, len(v.Words))
		for i, word := range v.Words {
			words[i] = int32(word)
		}
		add(arrow.Int32Traits.CastToBytes(words))
	default:
		bits := make([]byte, len(v.Valid))
		for i, bit := range v.Words {
			bits[i>>3] |= byte(bit) << (i & 7)
		}
		add(bits)
	}
	nulls := v.Nulls
	if nulls == schemas.UnknownNulls {
		nulls = array.UnknownNullCount
	}
	data := array.NewData(to, v.Rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// Batches returns a stream of record batches with the values of columns.
func Batches(columns []schemas.Column, values iter.Seq2[[]schemas.Values, error]) Rows {
	return func(yield func(arrow.Record, error) bool) {
		schema := Schema(columns)
		for batch, err := range values {
			if err != nil {
				yield(nil, err)
				return
			}
			arrays := make([]arrow.Array, len(columns))
			for i, c := range columns {
				arrays[i] = NewArray(c.Type, batch[i])
			}
			if !yield(array.NewRecord(schema, arrays, int64(batch[0].Rows)), nil) {
				return
			}
		}
	}
}

// SumValues adds to each row's sum the digest of its value in that column, and
// returns the sum over the column and its number of NULLs.
func SumValues(column string, values arrow.Array, rows []schemas.Digest) (sum schemas.Digest, nulls int64) {
	if nulls = int64(values.NullN()); int(nulls) == values.Len() { // such as a column of other types of rows
		return sum, nulls
	}
	h := schemas.HashValuesOf(column)
	c := ColumnOf(values)
	digest := func(i int) schemas.Digest { return h.Int64(c.Word(i)) }
	if texts, ok := values.(*array.String); ok {
		digest = func(i int) schemas.Digest { return h.String(texts.Value(i)) }
	}
	for i := range rows {
		if nulls == 0 || values.IsValid(i) {
			d := digest(i)
			sum, rows[i] = sum.Add(d), rows[i].Add(d)
		}
	}
	return sum, nulls
}

// Digests returns the digests of a batch's rows over columns, which must be the first
// columns of the batch.
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

// microsPerDay is the length of a day in microseconds.
const microsPerDay = 24 * 60 * 60 * 1e6

// IdentityDays returns the UTC day of each row's identity, in days since 1970-01-01. It
// is the day when the source recorded the row, or the day of the row's time if the
// former is NULL. A row keeps this day when its other values change.
func IdentityDays(table schemas.Table, batch arrow.Record) []int32 {
	roles := table.Roles()
	times := func(name string) *array.Timestamp {
		return batch.Column(schemas.IndexOf(table.Columns, name)).(*array.Timestamp)
	}
	happened := times(roles.Time)
	recorded := happened
	if roles.Created != "" {
		recorded = times(roles.Created)
	}
	days := make([]int32, batch.NumRows())
	for i := range days {
		micros := int64(happened.Value(i))
		if recorded.IsValid(i) {
			micros = int64(recorded.Value(i))
		}
		day := micros / microsPerDay
		if micros%microsPerDay < 0 {
			day--
		}
		days[i] = int32(day)
	}
	return days
}
