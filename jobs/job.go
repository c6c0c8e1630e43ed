// Package jobs defines what a declared job is: the source of events, the prospects, the
// schema of the table and the sinks. Its values are validated and independent of the
// configuration language. Package jobs/config makes them.
//
// The package also defines Diagnostic, the form in which every package reports a
// problem to the user.
package jobs

import (
	"slices"
	"strings"
	"time"

	"prospector/internal/attribute"
	"prospector/schemas"
	"prospector/sink/store"
)

// Configuration is everything that one working directory declares.
type Configuration struct {
	// Dir is the working directory. Relative paths in the other fields are resolved.
	Dir     string
	Backend Backend
	// MemoryLimit is the limit of a run's memory in bytes, as far as Go manages it.
	// 0 is DefaultMemoryLimit. A row of megabytes takes a few times its size on top.
	MemoryLimit int64
	Jobs        []Job     // ascending by address
	Sinks       []Sink    // all that are declared, used by a job or not; ascending by address
	Outputs     []Output  // ascending by name
	Checks      []Check   // ascending by name
	Moved       []Moved   // in the order in which they apply
	Removed     []Removed // ascending by address
	// Lock has the accepted schemas, by the present addresses of jobs. It is nil when
	// there is no lock file.
	Lock schemas.Lock
}

// Job returns the declared job with that address.
func (c *Configuration) Job(address string) (Job, bool) {
	i := slices.IndexFunc(c.Jobs, func(j Job) bool { return j.Address == address })
	if i < 0 {
		return Job{}, false
	}
	return c.Jobs[i], true
}

// Sink returns the declared sink with that address.
func (c *Configuration) Sink(address string) (Sink, bool) {
	i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Address == address })
	if i < 0 {
		return Sink{}, false
	}
	return c.Sinks[i], true
}

// DefaultMemoryLimit keeps the process below 512 MiB with ordinary rows.
const DefaultMemoryLimit = 384 << 20

// Backend is where the state is kept: an object in a place, next to which
// prospector keeps other objects whose keys begin with the state's.
type Backend struct {
	Block
	store.Location
	// Key is the state's object in the place.
	Key string
}

// Unusable returns an error about the location of the backend.
func (b Backend) Unusable(summary string, err error) Diagnostic {
	return unusable(b.Block, b.Location, summary, err)
}

// Moved gives a job in the state another address. A job that was moved several times
// has several of them, in the order of the list. A job with for_each has one for each
// instance.
type Moved struct {
	Block
	From, To string // addresses of jobs
}

// Removed is a job in the state that is no longer declared.
type Removed struct {
	Block
	From string // its address; see Covers
	// Destroy deletes what the job published. Otherwise the state only forgets it.
	Destroy bool
}

// Covers reports whether the block applies to a job in the state: the job with its
// address or, if the address has no key, any instance of that job.
func (r Removed) Covers(address string) bool {
	return address == r.From || strings.HasPrefix(address, r.From+"[")
}

// Block is the part of the configuration that a value came from.
type Block struct {
	// Address is how the user refers to it, such as source.knock.production.
	Address string
	Origin  Origin
	// Attributes are the origins of the block's attributes, by name.
	Attributes map[string]Origin
}

// Diagnose returns an error about an attribute of the block, or about the block itself
// if it does not have that attribute.
func (b Block) Diagnose(attribute, summary, detail string) Diagnostic {
	origin, ok := b.Attributes[attribute]
	if !ok {
		origin = b.Origin
	}
	d := Diagnostic{Severity: Error, Summary: summary, Detail: detail, Address: b.Address}
	if origin.Filename != "" {
		d.Origin = &origin
	}
	return d
}

// Job exports the events of some prospects into one table in one or more sinks.
type Job struct {
	Block
	// TableName is the directory of the table below each sink's root.
	TableName string
	// Source is where events come from.
	Source Source
	// Prospects is the list of prospects whose events are exported. It is nil for a
	// simulated source, which has a list of its own.
	Prospects *Prospects
	Sinks     []Sink // at least one, no two with the same URI
	// Schema is the schema of the table, with the partition keys of the job.
	Schema schemas.Table
	// SchemaBlock is the block that declares the schema. It is zero for the
	// built-in schema.
	SchemaBlock Block
	Compression Compression
	// TargetFileSize is the size in bytes at which the next file of a partition begins.
	// 0 is no limit.
	TargetFileSize int64
	// DeleteMissing deletes published rows that the source did not return for a
	// prospect that was read completely. Otherwise they stay.
	DeleteMissing bool
	// PreventDestroy refuses every plan that would delete a published partition.
	PreventDestroy bool
	// DeleteForeign deletes files in the table that prospector does not own, instead of
	// reporting them.
	DeleteForeign bool
	// ExportErased exports listed prospects that were erased, instead of skipping
	// them.
	ExportErased bool
}

// Compression is a Parquet codec.
type Compression string

// The codecs that every reader of the lake supports.
const (
	Snappy       Compression = "snappy"
	ZSTD         Compression = "zstd"
	GZip         Compression = "gzip"
	Uncompressed Compression = "none"
)

// DefaultTargetFileSize is the TargetFileSize of a job that does not set it, in bytes.
const DefaultTargetFileSize = 256 << 20

// Source is where events come from, and how to request them.
type Source struct {
	Block
	Kind              string // such as "knock"
	PageSize          int
	Concurrency       int           // prospects that are read at once
	RequestsPerSecond float64       // 0: no limit
	Timeout           time.Duration // of one request
	MaxAttempts       int           // for one page
	// Settings are the attributes that only this kind of source has.
	Settings attribute.Settings
}

// Prospects is a list of prospect IDs in a file.
type Prospects struct {
	Block
	File   string // absolute path, or "-" for standard input
	Column string // of a file with columns; "" if it is not named
	// The format of the file. Zero values are detected.
	Delimiter string // one character
	Header    *bool
	Encoding  string // one of Encodings, or ""
}

// Encodings returns the encodings that a list of prospects can have.
func Encodings() []string {
	return []string{"utf-8", "utf-16", "utf-16be", "windows-1252", "latin1", "macintosh"}
}

// Sink is a place for tables. A job's table is the objects whose keys begin with
// the table's name and a slash.
type Sink struct {
	Block
	store.Location
}

// Unusable returns an error about the location of the sink.
func (s Sink) Unusable(summary string, err error) Diagnostic {
	return unusable(s.Block, s.Location, summary, err)
}

func unusable(b Block, at store.Location, summary string, err error) Diagnostic {
	return b.Diagnose(at.Settings.Attributes()[0].Name, summary, err.Error()+".")
}

// Output is a named value that the configuration declares.
type Output struct {
	Name      string
	Value     any // string, float64, bool, nil, []any or map[string]any
	Sensitive bool
}

// Check is a condition that the staged result of a run must meet before it is
// published.
type Check struct {
	Block
	Name string
	Job  string // address of the job whose result is judged
	// Severity is Error for a check that blocks the apply when it fails, and
	// Warning for one that is only reported.
	Severity   Severity
	Assertions []Assertion // at least one
}

// Assertion is one condition of a check.
type Assertion struct {
	Origin Origin
	// Source is the text of its expressions, without comments, white space and
	// secrets. Different conditions have different sources.
	Source string
	// Evaluate evaluates the condition for a result. message is the user's text for a
	// condition that does not hold. problems are errors in the expressions; with one,
	// the check has failed.
	Evaluate func(Result) (holds bool, message string, problems Diagnostics)
}

// Result is what a run has staged for a job. Checks are evaluated on it.
type Result struct {
	// Rows counts the rows that the source returned, without duplicates. TableRows
	// counts the rows of the table after the apply.
	Rows, TableRows                     int64
	RowsAdded, RowsChanged, RowsRemoved int64
	Quarantined                         int64
	Prospects, ProspectsFailed          int64
	// Nulls counts the rows among Rows without a value, by column.
	Nulls map[string]int64
	// Newest is the latest event_time among Rows, or zero when no row has one.
	Newest time.Time
	// Now is when the result was staged.
	Now time.Time
}
