// Package jobs defines the configuration as values: jobs with their source,
// prospects, table schema and sinks. The values are validated and independent
// of the configuration language. Package jobs/config creates them.
//
// The package also defines Diagnostic, the form in which every package reports a
// problem to the user.
package jobs

import (
	"errors"
	"slices"
	"strings"
	"time"

	"prospector/internal/attribute"
	"prospector/schemas"
	"prospector/sink/store"
)

// Configuration is the configuration of one working directory.
type Configuration struct {
	// Dir is the working directory. The paths in the other fields are absolute.
	Dir     string
	Backend Backend
	// MemoryLimit is the limit in bytes of the memory that Go manages in a run.
	// 0 selects DefaultMemoryLimit. A row of several megabytes takes a few
	// times its size in addition.
	MemoryLimit int64
	Jobs        []Job     // ascending by address
	Sinks       []Sink    // including those that no job uses; ascending by address
	Outputs     []Output  // ascending by name
	Checks      []Check   // ascending by name
	Moved       []Moved   // in the order in which they apply
	Removed     []Removed // ascending by address
	// Lock has the accepted schemas, by the current addresses of jobs. It is
	// nil if there is no lock file.
	Lock schemas.Lock
}

// Job returns the declared job with the address.
func (c *Configuration) Job(address string) (Job, bool) {
	i := slices.IndexFunc(c.Jobs, func(j Job) bool { return j.Address == address })
	if i < 0 {
		return Job{}, false
	}
	return c.Jobs[i], true
}

// Sink returns the declared sink with the address.
func (c *Configuration) Sink(address string) (Sink, bool) {
	i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Address == address })
	if i < 0 {
		return Sink{}, false
	}
	return c.Sinks[i], true
}

// DefaultMemoryLimit keeps the process below 512 MiB with rows of ordinary
// size.
const DefaultMemoryLimit = 384 << 20

// Backend is the location of the state: an object in a store. prospector keeps
// other objects next to it, whose keys begin with the key of the state.
type Backend struct {
	Block
	store.Location
	// Key is the key of the state in the store.
	Key string
}

// Unusable returns an error about the location of the backend.
func (b Backend) Unusable(summary string, err error) Diagnostic {
	return unusable(b.Block, b.Location, summary, err)
}

// Moved changes the address of a job in the state. A job that moved several
// times has several values, in order. A job with for_each has one for each
// instance.
type Moved struct {
	Block
	From, To string // addresses of jobs
}

// Removed is a job in the state that is no longer declared.
type Removed struct {
	Block
	From string // its address; see Covers
	// Destroy deletes the published files of the job. Otherwise the job is only
	// removed from the state.
	Destroy bool
}

// Covers reports whether the block applies to a job in the state: the job with its
// address or, if the address has no key, any instance of that job.
func (r Removed) Covers(address string) bool {
	return address == r.From || strings.HasPrefix(address, r.From+"[")
}

// Block is the block of the configuration that declares a value.
type Block struct {
	// Address identifies the block, such as source.knock.production.
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
	// Prospects is the list of prospects whose events are exported. It is nil
	// for a simulated source, which has its own list.
	Prospects *Prospects
	Sinks     []Sink // at least one, no two with the same URI
	// Schema is the schema of the table, with the partition keys of the job.
	Schema schemas.Table
	// SchemaBlock is the block that declares the schema. It is zero for the
	// built-in schema.
	SchemaBlock Block
	Compression Compression
	// TargetFileSize is the size in bytes after which a partition continues in
	// another file. 0 means no limit.
	TargetFileSize int64
	// DeleteMissing deletes published rows that the source did not return, if
	// their prospect was read completely. Otherwise the rows are kept.
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
	Concurrency       int           // prospects that are read at the same time
	RequestsPerSecond float64       // 0: no limit
	Timeout           time.Duration // of one request
	MaxAttempts       int           // for one page
	// Settings are the attributes that only this kind of source has.
	Settings attribute.Settings
}

// Prospects is a list of prospect IDs in a file or an object.
type Prospects struct {
	Block
	File string // absolute path, URI of Object, or "-" for standard input
	// Object has the list if File is a URI. Otherwise it is nil.
	Object *Object
	Column string // the name of the column with the IDs, or ""
	// Delimiter, Header and Encoding describe the file. Zero values are
	// detected.
	Delimiter string // one character
	Header    *bool
	Encoding  string // one of Encodings, or ""
}

// Object is one object in a store.
type Object struct {
	store.Location
	Key string
}

// Encodings returns the supported encodings of a list of prospects.
func Encodings() []string {
	return []string{"utf-8", "utf-16", "utf-16be", "windows-1252", "latin1", "macintosh"}
}

// Sink is a location of tables. A table consists of the objects whose keys
// begin with the table's name and a slash.
type Sink struct {
	Block
	store.Location
}

// Unusable returns an error about the location of the sink.
func (s Sink) Unusable(summary string, err error) Diagnostic {
	return unusable(s.Block, s.Location, summary, err)
}

// unusable points at the attribute that the error is about, or else at the first one.
func unusable(b Block, at store.Location, summary string, err error) Diagnostic {
	name := at.Settings.Attributes()[0].Name
	if p, ok := errors.AsType[*attribute.Problem](err); ok {
		name = p.Attribute
	}
	return b.Diagnose(name, summary, err.Error()+".")
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
	Job  string // address of the job whose result is checked
	// Severity is Error if a failed check blocks the apply, and Warning if it
	// is only reported.
	Severity   Severity
	Assertions []Assertion // at least one
}

// Assertion is one condition of a check.
type Assertion struct {
	Origin Origin
	// Source is the text of its expressions, without comments, white space and
	// secrets. Different conditions have different sources.
	Source string
	// Evaluate evaluates the condition for a result. message is the user's
	// error message for a failed condition. problems are errors in the
	// expressions; they also fail the check.
	Evaluate func(Result) (holds bool, message string, problems Diagnostics)
}

// Result is the staged result of a job, which checks evaluate.
type Result struct {
	// Rows counts the rows that the source returned, without duplicates.
	// TableRows counts the rows that the table will have after the apply.
	Rows, TableRows                     int64
	RowsAdded, RowsChanged, RowsRemoved int64
	Quarantined                         int64
	Prospects, ProspectsFailed          int64
	// Nulls counts the NULL values in Rows, by column.
	Nulls map[string]int64
	// Newest is the latest event_time in Rows, or zero if no row has one.
	Newest time.Time
	// Now is the time at which the result was staged.
	Now time.Time
}
