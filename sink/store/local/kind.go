package local

import (
	"context"
	"net/url"
	"path/filepath"

	"prospector/internal/attribute"
	"prospector/sink/store"
)

// Kind describes places that are directories of this machine.
var Kind = &store.Kind{
	Name:      "local",
	New:       func() attribute.Settings { return new(Settings) },
	Example:   `path = "lake"`,
	Directory: root,
	StatePath: "path",
	URI:       func(s attribute.Settings, key string) string { return uri(root(s), key) },
	Open: func(_ context.Context, s attribute.Settings, access store.Access) (store.Store, error) {
		return open(root(s), access)
	},
	Dialects: map[string]store.Dialect{
		"duckdb": {Preferred: true, Root: join},
		// Hadoop, through which Spark reads, does not decode percent-encoding.
		"spark": {Root: func(s attribute.Settings, key string) string { return "file://" + join(s, key) }},
	},
}

// Settings name a directory.
type Settings struct {
	Path attribute.Path
}

// Attributes implements attribute.Settings.
func (s *Settings) Attributes() []attribute.Attribute {
	return []attribute.Attribute{{Name: "path", Value: &s.Path, Required: `a directory such as "lake"`}}
}

// At returns the location of a directory, given by its absolute path.
func At(path string) store.Location {
	return store.Location{Kind: Kind, Settings: &Settings{attribute.Path(path)}}
}

func root(s attribute.Settings) string { return string(s.(*Settings).Path) }

func join(s attribute.Settings, key string) string {
	return filepath.ToSlash(filepath.Join(root(s), key))
}

// uri returns the URI of a file below root, percent-encoded where necessary:
// file:///lake/key.
func uri(root, key string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(root, key))}).String()
}
