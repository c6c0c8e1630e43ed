package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
)

func (l *loader) sink(hb *hcl.Block, address string) cty.Value {
	s := jobs.Sink{Kind: hb.Labels[0]}
	var b *block
	path, bucket, prefix := cty.NullVal(cty.String), cty.NullVal(cty.String), cty.NullVal(cty.String)
	switch s.Kind {
	case "local":
		b = l.open(hb, address, []string{"path"})
		b.require(map[string]string{"path": `a directory such as "lake"`})
		b.path("path", &s.Path)
		path = cty.StringVal(s.Path)
	case "gcs":
		b = l.open(hb, address, []string{"bucket", "prefix"})
		b.require(map[string]string{"bucket": `the name of a bucket, such as "acme-lake"`})
		b.bucket(&s.Bucket)
		b.prefix(&s.Prefix)
		bucket, prefix = cty.StringVal(s.Bucket), cty.StringVal(s.Prefix)
	default:
		l.fail(hb.LabelRanges[0], address, "Unknown sink type", fmt.Sprintf(`There is no sink of type %q, only "local" and "gcs".%s`,
			s.Kind, didYouMean(nearest(s.Kind, []string{"local", "gcs"}))))
		return cty.DynamicVal
	}
	s.Block = b.Block
	for _, name := range []string{"path", "bucket", "prefix"} {
		if len(b.marks[name]) > 0 {
			b.fail(name, "A sink's place cannot be sensitive", fmt.Sprintf(
				"The %s of %s comes from something sensitive. Where a table is stands in plans, in the state and in what readers are told, so it cannot be kept secret: use nonsensitive() if that is meant.", name, address))
		}
	}
	if b.failed {
		return cty.DynamicVal
	}
	l.sinks[address] = s
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "type": cty.StringVal(s.Kind), "name": cty.StringVal(hb.Labels[1]),
		"path": path, "bucket": bucket, "prefix": prefix, "uri": cty.StringVal(s.URI("")),
	})
}

// The rules are those of https://cloud.google.com/storage/docs/buckets#naming.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*[a-z0-9]$`)
	ipv4       = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

func (b *block) bucket(into *string) {
	if !b.text("bucket", into) {
		return
	}
	name := *into
	why := ""
	switch {
	case strings.HasPrefix(name, "gs://"):
		why = "is a URI: bucket is the name alone, and what follows it is the prefix"
	case strings.Contains(name, "/"):
		why = "has a slash: what follows the name is the prefix"
	case strings.Contains(name, ".."):
		why = "has two dots in a row"
	case len(name) < 3 || len(name) > 222,
		slices.ContainsFunc(strings.Split(name, "."), func(s string) bool { return len(s) > 63 }):
		why = "does not have 3 to 63 characters (or up to 222 in parts between dots)"
	case !bucketName.MatchString(name):
		why = "has more than lower-case letters, digits, hyphens, underscores and dots, or does not begin and end with a letter or a digit"
	case ipv4.MatchString(name) || strings.HasPrefix(name, "goog") || strings.Contains(name, "google"):
		why = "looks like an address or like one of Google's own"
	default:
		return
	}
	b.fail("bucket", "Invalid bucket name", fmt.Sprintf("The bucket %s %s.", b.quote("bucket", fmt.Sprintf("%q", name)), why))
}

func (b *block) prefix(into *string) {
	var text string
	if !b.text("prefix", &text) {
		return
	}
	*into = strings.Trim(text, "/")
	why, refuse, pattern := "", ", which readers of the lake refuse", ", which readers of the lake take for a pattern"
	if b.Address == "backend.gcs" { // it has no readers, but one rule is easier kept than two
		refuse, pattern = "", ""
	}
	switch {
	case strings.Contains(text, "//"):
		why = "has two slashes in a row" + refuse
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		why = "has a control character"
	case strings.ContainsAny(text, `*?\`):
		why = `has one of * ? \` + pattern
	case slices.ContainsFunc(strings.Split(*into, "/"), func(s string) bool { return s == "." || s == ".." }):
		why = `has "." or ".." between slashes, which means nothing in a bucket`
	case len(*into) > 512:
		why = "has more than 512 bytes"
	default:
		return
	}
	b.fail("prefix", "Invalid prefix", fmt.Sprintf("The prefix %s %s.", b.quote("prefix", fmt.Sprintf("%q", text)), why))
}
