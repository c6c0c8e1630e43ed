package schemas

// Type is a column's type, as the schema language names it.
type Type string

// The types, with their types in Parquet and in BigQuery.
const (
	String    Type = "string"    // UTF-8 byte array; STRING
	Int64     Type = "int64"     // INT64; INT64
	Float64   Type = "float64"   // DOUBLE; FLOAT64
	Bool      Type = "bool"      // BOOLEAN; BOOL
	Timestamp Type = "timestamp" // INT64, microseconds since 1970-01-01, adjusted to UTC; TIMESTAMP
	Date      Type = "date"      // INT32, days since 1970-01-01; DATE
	JSON      Type = "json"      // UTF-8 byte array with canonical JSON; STRING, because BigQuery reads no JSON from Parquet
)

// Types returns all types.
func Types() []Type { return []Type{String, Int64, Float64, Bool, Timestamp, Date, JSON} }

// IsText reports whether values of the type are texts in Arrow and in files.
func (t Type) IsText() bool { return t == String || t == JSON }

// holds reports whether the type can represent the values of a narrower type. A
// float64 cannot represent the largest int64 values; those stay in extra_json.
func (t Type) holds(narrower Type) bool {
	switch t {
	case Float64:
		return narrower == Int64
	case String:
		return narrower == Int64 || narrower == Float64
	}
	return false
}
