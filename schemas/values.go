package schemas

// Values are the values of one column of consecutive rows.
type Values struct {
	Rows  int
	Nulls int    // the number of NULLs, or UnknownNulls
	Valid []byte // a bitmap of the rows whose value is not NULL
	// Words has a value per row, unless the column's type is text: an integer,
	// microseconds, days, the bits of a float, or 0 and 1.
	Words []int64
	// Ends has, for a text type, the end of each row's text in Texts, after a
	// leading 0.
	Ends  []int32
	Texts []byte
}

// UnknownNulls is the Nulls of Values that were not counted.
const UnknownNulls = -1
