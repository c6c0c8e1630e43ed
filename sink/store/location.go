package store

import (
	"context"
	"slices"

	"prospector/internal/attribute"
)

// A Location names a place that holds objects. It is a value: no method changes
// it, and its Settings must not be changed once it is in use.
type Location struct {
	Kind *Kind
	// Settings hold the values of the attributes that name the place, and of
	// auxiliary ones. They come from Kind.New.
	Settings attribute.Settings
}

// URI returns the URI of the object with that key, or of the place itself if key
// is empty. It equals what Store.URI of the opened place returns.
func (l Location) URI(key string) string { return l.Kind.URI(l.Settings, key) }

// Open opens the place. The caller closes the Store.
func (l Location) Open(ctx context.Context, access Access) (Store, error) {
	return l.Kind.Open(ctx, l.Settings, access)
}

// Directory returns the absolute path of the place's root directory, and whether
// the place is a directory of this machine.
func (l Location) Directory() (path string, ok bool) {
	if l.Kind.Directory == nil {
		return "", false
	}
	return l.Kind.Directory(l.Settings), true
}

// Access is what a Store needs to know about its use. The zero value suits every use.
type Access struct {
	// Private means that only the current user may read new objects. Otherwise they have
	// the default permissions of the place. It matters only to kinds of store that set
	// permissions object by object.
	Private bool
	// Uploads is a directory of this machine in which a driver may keep what continues
	// unfinished uploads, as private files. The driver creates it if needed. If it is
	// empty, the next run starts such an upload again.
	Uploads string
	// KnownKeys means that the caller only reads objects whose keys it knows. It needs
	// no permission to list the place, so Open does not check that the place exists.
	KnownKeys bool
}

// Kind describes one kind of store. A driver exports one, and the program lists
// those that users can choose. Everything else that depends on the kind of a place
// asks its Kind, so that adding a kind changes only its driver and that list.
type Kind struct {
	// Name selects the kind in a configuration, such as sink "local" "lake".
	Name string

	// New returns settings without values. There is at least one attribute, and
	// the first one is required. Errors about a place point at the first one.
	New func() attribute.Settings

	// Example has the required attributes in the language of the configuration, one per
	// line.
	Example string

	// Directory returns the absolute path of the root, for a kind that keeps its
	// objects as files on this machine. It is nil for other kinds.
	Directory func(s attribute.Settings) string

	// StatePath is the name of an attribute of type *attribute.Path that holds, in a
	// backend, the path of the state's file. The attribute is optional there, and the
	// default is a file in the directory of the configuration. If StatePath is empty,
	// the state has a fixed name in the place.
	StatePath string

	// URI implements Location.URI.
	URI func(s attribute.Settings, key string) string

	// Open implements Location.Open. It returns an error if the place does not
	// exist and cannot be created, or if it cannot be read. See also
	// Access.KnownKeys.
	Open func(ctx context.Context, s attribute.Settings, access Access) (Store, error)

	// Objects is not nil if a URI can name a single object of a place of this kind.
	Objects *Objects

	// Dialects describes, by SQL dialect, how an engine reads places of this kind. An
	// engine whose dialect is missing cannot read them.
	Dialects map[string]Dialect
}

// Dialect describes how the query engine of one SQL dialect reads places of a kind.
type Dialect struct {
	// Preferred marks the kind to read from when a table is in several places.
	Preferred bool
	// Setup explains what the engine needs in order to read places of this kind, as
	// lines of text. It may be empty.
	Setup []string
	// Root returns the engine's name of the place, or of the directory key in it.
	// Nil means URI.
	Root func(s attribute.Settings, key string) string
}

// Objects describes URIs that name single objects.
type Objects struct {
	// Scheme is the scheme of the URIs, such as "gs".
	Scheme string
	// Attributes are the names of the attributes that determine how to reach an object,
	// but do not name it. A block that has the URI can have them as well.
	Attributes []string
	// Locate sets the attributes of s that name the place of an object, and returns the
	// key of the object in it. Its errors complete a sentence about the URI, and do not quote it.
	Locate func(s attribute.Settings, uri string) (key string, err error)
}

// Kinds lists kinds of store. No two have the same name or the same scheme of objects.
type Kinds []*Kind

// Find returns the kind with that name, or nil.
func (ks Kinds) Find(name string) *Kind {
	i := slices.IndexFunc(ks, func(k *Kind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return ks[i]
}

// Names returns the names of the kinds.
func (ks Kinds) Names() []string {
	names := make([]string, len(ks))
	for i, k := range ks {
		names[i] = k.Name
	}
	return names
}

// FindScheme returns the kind whose objects have URIs with a scheme, or nil.
func (ks Kinds) FindScheme(scheme string) *Kind {
	i := slices.IndexFunc(ks, func(k *Kind) bool { return k.Objects != nil && k.Objects.Scheme == scheme })
	if i < 0 {
		return nil
	}
	return ks[i]
}
