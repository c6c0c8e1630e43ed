// Package jobs says what a declared job is: where events come from, whose they
// are, what table they make and where that is kept. Its values are validated and
// free of the language that they were written in; package jobs/config makes them.
//
// It also defines Diagnostic, the form in which every part reports a problem to
// the user.
package jobs

import (
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"time"

	"prospector/schemas"
)

// Configuration is everything that one working directory declares.
type Configuration struct {
	// Dir is the working directory; relative paths below are resolved already.
	Dir     string
	Backend Backend
	Jobs    []Job    // ascending by name
	Outputs []Output // ascending by name
}

// Backend is where the state is kept.
type Backend struct {
	Block
	// Path of the state file of the "local" backend.
	Path string
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
	Name string
	// Source is where events come from.
	Source Source
	// Prospects is whose events are exported. It is nil for a simulated source
	// that is asked for all of its own.
	Prospects *Prospects
	Sinks     []Sink // at least one, no two with the same URI
	// Table is what the events become, partitioned as the job says.
	Table       schemas.Table
	Compression Compression
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

// Source is an HTTP API of events and how to ask it.
type Source struct {
	Block
	Endpoint          string // absolute URL without a trailing slash; "" for a simulator
	APIKey            Secret
	PageSize          int
	Concurrency       int           // prospects that are read at once
	RequestsPerSecond float64       // 0: no limit
	Timeout           time.Duration // of one request
	MaxAttempts       int           // of one page
	// Simulator is set when the source is the embedded simulator.
	Simulator *Simulator
}

// Simulator describes the world that the embedded simulator serves.
type Simulator struct {
	Seed      uint64
	Prospects int
	Events    int       // what happens in the simulated January of 2022
	AsOf      time.Time // what had happened by then is served
	FaultRate float64   // share of requests that fail, in [0, 1)
}

// Prospects is a list of prospect ids in a file.
type Prospects struct {
	Block
	File   string // absolute path, or "-" for standard input
	Column string // where the file has columns; "" when it is not named
}

// Sink is a place for tables.
type Sink struct {
	Block
	Kind   string // "local" or "gcs"
	Path   string // local: absolute path of the root
	Bucket string // gcs
	Prefix string // gcs: slash-separated, without slashes at its ends; may be ""
}

// URI names what the sink holds by that name, such as a job's table, or with
// an empty name its root: file:///lake/prospect_events, gs://bucket/prefix.
func (s Sink) URI(name string) string {
	if s.Kind == "gcs" {
		return "gs://" + path.Join(s.Bucket, s.Prefix, name)
	}
	u := url.URL{Scheme: "file", Path: path.Join(filepath.ToSlash(s.Path), name)}
	return u.String()
}

// Unusable makes an error about where the sink is.
func (s Sink) Unusable(summary string, err error) Diagnostic {
	attribute := "path"
	if s.Kind == "gcs" {
		attribute = "bucket"
	}
	return s.Diagnose(attribute, summary, err.Error()+".")
}

// Output is a named value that the user asked to see.
type Output struct {
	Name      string
	Value     any // string, float64, bool, nil, []any or map[string]any
	Sensitive bool
}

// Secret is a value that is never printed.
type Secret string

const hidden = "(sensitive value)"

// String hides the secret from fmt.
func (Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return hidden }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from every encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal gives the secret itself, to the one place that sends it.
func (s Secret) Reveal() string { return string(s) }
