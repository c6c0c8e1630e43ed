// Package attribute describes the attributes of a configuration block
// independently of the configuration language.
//
// For example, a kind of source declares its settings as a struct, with one
// Attribute for each field. The configuration decodes a block into the fields,
// and the digest of the configuration reads them. So the attributes of a kind
// are described only in its own package.
package attribute

import (
	"fmt"
	"log/slog"
	"time"
)

// Settings are the attributes of one block, with their values.
type Settings interface {
	// Attributes returns the attributes in decoding order. Each points to a
	// field of the settings, so that decoding sets the field.
	Attributes() []Attribute
}

// Attribute is one attribute of a block.
type Attribute struct {
	Name string
	// Value points to the variable for the value. The variable has the default
	// until the attribute is decoded. The type is *string, *Path, *Secret,
	// *int, *uint64, *float64, *bool, *time.Duration, *time.Time or
	// *map[string]string.
	Value any
	// Required describes what to write, such as `a directory such as "lake"`.
	// It is "" for an optional attribute.
	Required string
	// Auxiliary means that the attribute determines how the program reaches what
	// the block names, but not what it names. The digest of the configuration
	// omits such an attribute, and expressions cannot refer to it.
	Auxiliary bool
	// Choices are the values that a *string may have besides "", or nil.
	Choices []string
	// File means that a *Secret is the content of a file or, if it does not begin
	// with a brace, the path of one. The configuration resolves a relative path.
	File bool
	// Min and Max are the limits of an *int.
	Min, Max int
	// MinDuration is the shortest valid *time.Duration. The longest is an hour.
	MinDuration time.Duration
	// Valid reports whether a *float64 is valid, and Expected describes the
	// valid values.
	Expected string
	Valid    func(float64) bool
	// Check returns the problem of a decoded string or map, or nil. It
	// may normalize the variable. Messages must quote the parameter shown instead
	// of the value, because it hides a sensitive value. For a map, it lists the
	// keys.
	Check func(shown string) *Problem
}

// Names returns the names of attributes.
func Names(attributes []Attribute) []string {
	names := make([]string, len(attributes))
	for i, a := range attributes {
		names[i] = a.Name
	}
	return names
}

// Path is an absolute path. The configuration resolves relative paths.
type Path string

// Problem is an error that the user can fix in the block.
type Problem struct {
	// Attribute is the name of the attribute, or "" for the block itself.
	Attribute       string
	Summary, Detail string
}

// NewProblem returns a problem with a formatted detail.
func NewProblem(attribute, summary, format string, args ...any) *Problem {
	return &Problem{attribute, summary, fmt.Sprintf(format, args...)}
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

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

// Reveal returns the secret in plain text, for the code that sends it.
func (s Secret) Reveal() string { return string(s) }
