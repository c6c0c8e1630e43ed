package sink

import "prospector/schemas"

// The keys of a file's key-value metadata. The values do not depend on the clock or the
// run.
const (
	MetadataJob     = "prospector.job"
	MetadataSchema  = "prospector.schema"  // schemas.Table.Fingerprint
	MetadataRows    = "prospector.rows"    // decimal
	MetadataContent = "prospector.content" // schemas.Digest of the rows
)

// File describes a Parquet file that was written.
type File struct {
	Path    string
	Size    int64  // bytes
	CRC32C  uint32 // of all bytes
	Summary Summary
	// FirstDay and LastDay are the first and the last of the rows'
	// records.IdentityDays.
	FirstDay, LastDay int32
}

// Summary describes the rows of a file: what the writer wrote, and what a second
// reader must find.
type Summary struct {
	Rows int64
	// Content is the order-independent digest of the rows: schemas.Digest.
	Content schemas.Digest
	// Columns are in the order of the columns in the file.
	Columns []ColumnSummary
	// MinTime and MaxTime are the earliest and the latest time of a row, in
	// microseconds since 1970-01-01 UTC. Both are 0 if every time is NULL.
	MinTime, MaxTime int64
}

// ColumnSummary describes one column of a file.
type ColumnSummary struct {
	Name  string
	Nulls int64
	// Values is the sum of the digests of the column's values.
	Values schemas.Digest
}
