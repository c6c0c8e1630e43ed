package jobs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"prospector/internal/attribute"
	"prospector/schemas"
)

// Digest identifies the meaning of the configuration, in 32 hexadecimal digits.
// Two configurations with the same digest declare the same lake, read in the
// same way. A plan with another digest is stale.
//
// The digest does not depend on file names, the order of blocks, or comments.
// It does not depend on API keys, hash keys (only on their IDs) or sensitive
// outputs, because a digest would help to guess them. It does not depend on the
// backend, the accepted schemas or the memory limit, nor on auxiliary attributes
// of sinks, such as a timeout. Paths in the working directory are relative, so
// that a copy of the directory has the same digest. Other paths are absolute.
func (c *Configuration) Digest() string {
	d := digester{Hash: sha256.New(), dir: c.Dir}
	for _, j := range c.Jobs {
		d.job(j)
	}
	for _, s := range c.Sinks {
		d.line("declared")
		d.sink(s)
	}
	for _, k := range c.Checks {
		d.check(k)
	}
	for _, m := range c.Moved {
		d.line("moved", m.From, m.To)
	}
	for _, r := range c.Removed {
		d.line("removed", r.From, r.Destroy)
	}
	for _, o := range c.Outputs {
		if !o.Sensitive {
			d.line("output", o.Name)
			d.value(o.Value)
		}
	}
	return hex.EncodeToString(d.Sum(nil)[:16])
}

// digester adds values to a hash, one line for each item, so that different
// values have different texts.
type digester struct {
	hash.Hash
	dir string
}

// line adds an item: its kind and its values.
func (d digester) line(kind string, values ...any) {
	fmt.Fprint(d, kind)
	for _, v := range values {
		fmt.Fprintf(d, " %#v", v)
	}
	fmt.Fprintln(d)
}

func (d digester) job(j Job) {
	d.line("job", j.Address, j.TableName, j.Schema.Fingerprint(), string(j.Compression), j.TargetFileSize, j.PreventDestroy, j.DeleteForeign, j.DeleteMissing)
	if j.ExportErased {
		d.line("export erased")
	}
	t := j.Schema // the lines below have what its fingerprint omits, because published rows do not depend on it
	d.line("unexpected", handling(t.UnknownField), handling(t.UnknownType), handling(t.Mismatch))
	d.line("expected", t.EventTypes)
	d.source(j.Source)
	if p := j.Prospects; p != nil {
		d.line("prospects", d.relative(p.File), p.Column)
		if p.Delimiter != "" || p.Header != nil || p.Encoding != "" {
			header := "detected"
			if p.Header != nil {
				header = strconv.FormatBool(*p.Header)
			}
			d.line("written", p.Delimiter, header, p.Encoding)
		}
	}
	for _, sink := range j.Sinks { // in order, because rows are merged with those of the first sink
		d.sink(sink)
	}
}

// source adds a source without its secrets. The endpoint comes first for every
// kind of source. A kind adds a line only if it has other attributes.
func (d digester) source(s Source) {
	first, rest := d.settings(s.Settings, "endpoint")
	d.line("source", append(first, s.PageSize, s.Concurrency, s.RequestsPerSecond, int64(s.Timeout), s.MaxAttempts)...)
	if len(rest) > 0 {
		d.line(s.Kind, rest...)
	}
}

// settings returns the values of the attributes that are neither secret nor
// auxiliary. first has the values of the named attributes, in that order, with ""
// for missing ones. rest has the others. The named ones come first because saved
// plans have digests in that order.
func (d digester) settings(s attribute.Settings, names ...string) (first, rest []any) {
	for range names {
		first = append(first, "")
	}
	for _, a := range s.Attributes() {
		if a.Auxiliary {
			continue
		}
		var value any
		switch v := a.Value.(type) {
		case *attribute.Secret:
			continue
		case *attribute.Path:
			value = d.relative(string(*v))
		case *time.Time:
			value = v.UTC().Format(time.RFC3339Nano)
		case *time.Duration:
			value = int64(*v)
		default: // a string, a number or a bool
			value = reflect.ValueOf(v).Elem().Interface()
		}
		if i := slices.Index(names, a.Name); i >= 0 {
			first[i] = value
		} else {
			rest = append(rest, value)
		}
	}
	return first, rest
}

// handling returns the handling, or the default.
func handling(h schemas.Handling) string { return string(cmp.Or(h, schemas.Keep)) }

func (d digester) sink(s Sink) {
	first, rest := d.settings(s.Settings, "path", "bucket", "prefix")
	d.line("sink", append([]any{s.Address, s.Kind.Name}, first...)...)
	if len(rest) > 0 {
		d.line("location", rest...)
	}
}

func (d digester) check(c Check) {
	d.line("check", c.Name, c.Job, string(c.Severity))
	sources := make([]string, len(c.Assertions))
	for i, a := range c.Assertions {
		sources[i] = a.Source
	}
	slices.Sort(sources)
	for _, source := range sources {
		d.line("assert", source)
	}
}

// value adds an output's value.
func (d digester) value(v any) {
	switch v := v.(type) {
	case string:
		d.line("text", d.relative(v))
	case []any:
		d.line("list", len(v))
		for _, e := range v {
			d.value(e)
		}
	case map[string]any:
		d.line("map", len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			d.line("key", key)
			d.value(v[key])
		}
	default: // a number, a bool or nil
		d.line("value", v)
	}
}

// relative replaces the working directory in a path, or in a text with paths or
// URIs, with a byte that no path contains.
func (d digester) relative(text string) string {
	dir := filepath.ToSlash(d.dir)
	if strings.Trim(dir, "/") == "" {
		return text
	}
	uri := url.URL{Scheme: "file", Path: dir}
	for _, root := range []string{uri.String(), dir} {
		var out strings.Builder
		for {
			i := strings.Index(text, root)
			if i < 0 {
				break
			}
			rest := text[i+len(root):]
			out.WriteString(text[:i])
			if endsInPath(out.String()) || continuesPath(rest) {
				out.WriteString(root)
			} else {
				out.WriteByte(0)
			}
			text = rest
		}
		text = out.String() + text
	}
	return text
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-~%"

// endsInPath reports whether the text ends in a path, so that a path after it
// would be part of a longer one.
func endsInPath(text string) bool {
	return text != "" && strings.IndexByte(nameBytes+"/", text[len(text)-1]) >= 0
}

// continuesPath reports whether a path before the text continues in it.
func continuesPath(text string) bool {
	return text != "" && strings.IndexByte(nameBytes, text[0]) >= 0
}
