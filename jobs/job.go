// Package jobs says what a declared job is: where events come from, whose they
// are, what table they make and where that is kept. Its values are validated and
// free of the language that they were written in; package jobs/config makes them.
//
// It also defines Diagnostic, the form in which every part reports a problem to
// the user.
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
	// Dir is the working directory; relative paths below are resolved already.
	Dir     string
	Backend Backend
	// MemoryLimit is how many bytes of memory a run is to keep to, as far as it is
	// Go's; 0 is DefaultMemoryLimit. A row of megabytes takes a few times its size more.
	MemoryLimit int64
	Jobs        []Job     // ascending by address
	Sinks       []Sink    // all that are declared, used by a job or not; ascending by address
	Outputs     []Output  // ascending by name
	Checks      []Check   // ascending by name
	Moved       []Moved   // in the order in which they apply
	Removed     []Removed // ascending by address
	// Lock is what tables were accepted, those of jobs that were moved by their
	// address now; nil when there is no lock file.
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

// DefaultMemoryLimit keeps the whole process below 512 MiB with usual rows.
const DefaultMemoryLimit = 384 << 20

// Backend is where the state is kept: an object in a place, next to which
// prospector keeps other objects whose keys begin with the state's.
type Backend struct {
	Block
	store.Location
	// Key is the state's object in the place.
	Key string
}

// Unusable makes an error about where the backend is.
func (b Backend) Unusable(summary string, err error) Diagnostic {
	return unusable(b.Block, b.Location, summary, err)
}

// Moved says that a job in the state has another address now. A job that was
// moved more than once is so by as many of them, in the order of the list; that
// of a job with for_each is one an instance.
type Moved struct {
	Block
	From, To string // addresses of jobs
}

// Removed says what becomes of a job in the state that is no longer declared.
type Removed struct {
	Block
	From string // its address; see Covers
	// Destroy deletes what it published; otherwise it is only forgotten.
	Destroy bool
}

// Covers reports whether it is about a job in the state: that of its address or,
// where that has no key, any instance of it.
func (r Removed) Covers(address string) bool {
	return address == r.From || strings.HasPrefix(address, r.From+"[")
}

// Block is the part of the configuration that a value came from.
type Block struct {
	// Address is how the user refers to it, such as source.knock.production.
	Address string
	Origin  Origin
	// Attributes are the places of the block's attributes, by name.
	Attributes map[string]Origin
}

// Diagnose makes an error about an attribute of the block, or about the whole
// block when it does not have that attribute.
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
	// Prospects is whose events are exported. It is nil for a simulated source
	// that is asked for all of its own.
	Prospects *Prospects
	Sinks     []Sink // at least one, no two with the same URI
	// Schema is the schema of the table, partitioned as the job says.
	Schema schemas.Table
	// SchemaBlock is the block that declares the schema. It is zero for the
	// built-in schema.
	SchemaBlock Block
	Compression Compression
	// TargetFileSize is how many bytes a file has before the partition goes on
	// in another one; 0 is no limit.
	TargetFileSize int64
	// DeleteMissing deletes the published rows of a prospect that was read
	// whole without them; otherwise they stay.
	DeleteMissing bool
	// PreventDestroy refuses every plan that would delete a published partition.
	PreventDestroy bool
	// DeleteForeign deletes files below the table that are not prospector's,
	// instead of reporting them.
	DeleteForeign bool
	// ExportErased exports listed prospects that were erased, instead of skipping
	// them.
	ExportErased bool
}

// Compression is a Parquet codec.
type Compression string

// The codecs that every reader of the lake has.
const (
	Snappy       Compression = "snappy"
	ZSTD         Compression = "zstd"
	GZip         Compression = "gzip"
	Uncompressed Compression = "none"
)

// DefaultTargetFileSize is that of a job that does not say otherwise, in bytes.
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
	Column string // where the file has columns; "" when it is not named
	// How the file is written; zero values are detected.
	Delimiter string // one character
	Header    *bool
	Encoding  string // one of Encodings, or ""
}

// Encodings are those that lists of prospects can be in.
func Encodings() []string {
	return []string{"utf-8", "utf-16", "utf-16be", "windows-1252", "latin1", "macintosh"}
}

// Sink is a place for tables. A job's table is the objects whose keys begin with
// the table's name and a slash.
type Sink struct {
	Block
	store.Location
}

// Unusable makes an error about where the sink is.
func (s Sink) Unusable(summary string, err error) Diagnostic {
	return unusable(s.Block, s.Location, summary, err)
}

func unusable(b Block, at store.Location, summary string, err error) Diagnostic {
	return b.Diagnose(at.Settings.Attributes()[0].Name, summary, err.Error()+".")
}

// Output is a named value that the user asked to see.
type Output struct {
	Name      string
	Value     any // string, float64, bool, nil, []any or map[string]any
	Sensitive bool
}

// Check is a condition on what a run has staged, before it is published.
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
	// secrets: another condition has another source.
	Source string
	// Evaluate holds the condition against a result. When it does not hold,
	// message says so in the user's words. The diagnostics are problems of the
	// expressions themselves, for which the check counts as failed.
	Evaluate func(Result) (holds bool, message string, problems Diagnostics)
}

// Result is what a run has staged for a job, as checks see it.
type Result struct {
	// Rows are those that the source gave, duplicates aside; TableRows those
	// that the table has after the apply.
	Rows, TableRows                     int64
	RowsAdded, RowsChanged, RowsRemoved int64
	Quarantined                         int64
	Prospects, ProspectsFailed          int64
	// Nulls counts the rows without a value, by column, among Rows.
	Nulls map[string]int64
	// Newest is the latest event_time among Rows; zero when none has one.
	Newest time.Time
	// Now is when the result was staged.
	Now time.Time
}
