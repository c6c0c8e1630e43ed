package gcs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"prospector/internal/attribute"
	"prospector/sink/store"
)

// Kind describes places in Google Cloud Storage: a bucket, or the objects of a
// bucket below a prefix.
var Kind = &store.Kind{
	Name:    "gcs",
	New:     func() attribute.Settings { return new(Settings) },
	Example: `bucket = "acme-lake"`,
	URI: func(s attribute.Settings, key string) string {
		at := s.(*Settings)
		return uri(at.Bucket, at.Prefix, key)
	},
	Open: func(ctx context.Context, s attribute.Settings, access store.Access) (store.Store, error) {
		at := s.(*Settings)
		opts := at.Options
		opts.Uploads = access.Uploads
		if access.KnownKeys {
			return newStore(ctx, at.Bucket, at.Prefix, opts)
		}
		return Open(ctx, at.Bucket, at.Prefix, opts)
	},
	Objects: &store.Objects{
		Scheme:     "gs",
		Attributes: []string{"credentials", "impersonate_service_account", "user_project", "endpoint", "timeout"},
		Locate: func(s attribute.Settings, uri string) (key string, err error) {
			at := s.(*Settings)
			at.Bucket, key, err = locate(uri)
			return key, err
		},
	},
	Dialects: map[string]store.Dialect{
		"bigquery": {Preferred: true},
		"duckdb": {Setup: []string{
			"DuckDB reads gs:// with its httpfs extension and an HMAC key of the bucket:",
			"  INSTALL httpfs; LOAD httpfs;",
			"  CREATE SECRET (TYPE gcs, KEY_ID '…', SECRET '…');",
		}},
		"spark": {Preferred: true, Setup: []string{
			"Spark reads gs:// with the Cloud Storage connector for Hadoop on its class path.",
		}},
	},
}

// Settings name a bucket, or the objects of a bucket below a prefix.
type Settings struct {
	Bucket string
	Prefix string // without slashes at its ends; may be empty
	Options
}

// Attributes implements attribute.Settings.
func (s *Settings) Attributes() []attribute.Attribute {
	location := []attribute.Attribute{
		{Name: "bucket", Value: &s.Bucket, Required: `the name of a bucket, such as "acme-lake"`, Check: func(shown string) *attribute.Problem {
			return problem("bucket", "Invalid bucket name", shown, checkBucket(s.Bucket))
		}},
		{Name: "prefix", Value: &s.Prefix, Check: func(shown string) *attribute.Problem {
			err := checkPrefix(s.Prefix)
			s.Prefix = strings.Trim(s.Prefix, "/")
			return problem("prefix", "Invalid prefix", shown, err)
		}},
	}
	return append(location, s.Options.attributes()...)
}

// problem returns a problem about a shown value. err completes its sentence.
func problem(name, summary, shown string, err error) *attribute.Problem {
	if err == nil {
		return nil
	}
	return attribute.NewProblem(name, summary, "The %s %s %v.", name, shown, err)
}

// At returns the location of the objects in a bucket whose names begin with a prefix and
// a slash. An empty prefix means all objects of the bucket.
func At(bucket, prefix string) store.Location {
	return store.Location{Kind: Kind, Settings: &Settings{Bucket: bucket, Prefix: strings.Trim(prefix, "/")}}
}

// uri returns gs://bucket/prefix/key, without a slash at its end.
func uri(bucket, prefix, key string) string {
	if prefix != "" {
		prefix = strings.TrimSuffix(prefix, "/") + "/"
	}
	return strings.TrimSuffix("gs://"+bucket+"/"+prefix+key, "/")
}

// locate returns the bucket and the name of the object with a URI. The error completes a
// sentence about the URI, and does not quote it.
func locate(uri string) (bucket, name string, err error) {
	bucket, name, _ = strings.Cut(strings.TrimPrefix(uri, "gs://"), "/")
	if err := checkBucket(bucket); err != nil {
		return "", "", fmt.Errorf("is not valid, because the name of its bucket %w", err)
	}
	switch {
	case name == "":
		return "", "", errors.New("names a bucket, but no object: add the name of an object, as in gs://bucket/prospects.csv")
	case strings.HasSuffix(name, "/"):
		return "", "", errors.New("ends with a slash, so it names a folder: add the name of an object in it")
	case strings.Contains(name, "*"):
		return "", "", errors.New("has the wildcard *, which is not supported: name one object")
	}
	if store.CheckKey(name) != nil { // whose error quotes the name, which may be sensitive
		return "", "", errors.New(`names an object that prospector cannot read: between its slashes, a name must have 1 to 255 bytes, and must not be "." or ".." or have control characters or backslashes`)
	}
	return bucket, name, nil
}

// The rules are those of https://cloud.google.com/storage/docs/buckets#naming.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*[a-z0-9]$`)
	ipv4       = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

func checkBucket(name string) error {
	long := func(part string) bool { return len(part) > 63 }
	switch {
	case strings.HasPrefix(name, "gs://"):
		return errors.New("is a URI: set bucket to the name alone, and prefix to what follows the name")
	case strings.Contains(name, "/"):
		return errors.New("has a slash: set prefix to what follows the name")
	case strings.Contains(name, ".."):
		return errors.New("has two dots in a row")
	case len(name) < 3 || len(name) > 222 || slices.ContainsFunc(strings.Split(name, "."), long):
		return errors.New("does not have 3 to 63 characters (or up to 222 in parts between dots)")
	case !bucketName.MatchString(name):
		return errors.New("must have only lower-case letters, digits, hyphens, underscores and dots, and must begin and end with a letter or a digit")
	case ipv4.MatchString(name):
		return errors.New("looks like an IP address")
	case strings.HasPrefix(name, "goog") || strings.Contains(name, "google"):
		return errors.New("begins with goog or contains google, which Google reserves")
	}
	return nil
}

func checkPrefix(text string) error {
	prefix := strings.Trim(text, "/")
	control := func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }
	dots := func(s string) bool { return s == "." || s == ".." }
	switch {
	case strings.Contains(text, "//"):
		return errors.New("has two slashes in a row, which query engines do not accept")
	case strings.ContainsFunc(text, control):
		return errors.New("has a control character")
	case strings.ContainsAny(text, `*?\`):
		return errors.New(`has one of * ? \, which query engines read as part of a pattern`)
	case slices.ContainsFunc(strings.Split(prefix, "/"), dots):
		return errors.New(`has "." or ".." between slashes, which has no special meaning in a bucket`)
	case len(prefix) > 512:
		return errors.New("has more than 512 bytes")
	}
	return nil
}
