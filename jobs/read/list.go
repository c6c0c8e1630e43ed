package read

import (
	"context"
	"errors"
	"fmt"
	"io"

	"prospector/extract/prospect"
	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
)

// Lists reads lists of prospects.
type Lists struct {
	// Stdin is standard input, which can be a list.
	Stdin io.Reader
	// TempDir returns a private directory for the copy of a list in a store.
	TempDir func() (string, error)
}

// Load reads a list, and counts the repeated IDs in it.
func (l Lists) Load(ctx context.Context, from jobs.Prospects) (ids []string, repeated int, err error) {
	options := prospect.Options{Column: from.Column, Header: from.Header, Encoding: from.Encoding}
	for _, r := range from.Delimiter { // at most one
		options.Delimiter = r
	}
	var list prospect.List
	if from.Object != nil {
		list, err = l.loadObject(ctx, from, options)
	} else {
		list, err = prospect.Load(from.File, options, l.Stdin)
	}
	if err == nil {
		return list.IDs, list.Duplicates, nil
	}
	if ctx.Err() != nil {
		return nil, 0, err
	}
	name, summary := "file", "Prospects cannot be read"
	if p, ok := errors.AsType[*attribute.Problem](err); ok {
		name = p.Attribute
	}
	switch {
	case errors.Is(err, prospect.ErrColumn):
		name = "column"
	case errors.Is(err, prospect.ErrHeader):
		name = "header"
	}
	if errors.Is(err, prospect.ErrEmpty) {
		summary = "No prospects"
	}
	return nil, 0, from.Diagnose(name, summary, err.Error()+".")
}

// loadObject reads a list through a copy on this machine, because Parquet needs random
// access and a list can be larger than the memory.
func (l Lists) loadObject(ctx context.Context, from jobs.Prospects, o prospect.Options) (prospect.List, error) {
	copied, size, err := l.copyObject(ctx, *from.Object)
	if err != nil {
		return prospect.List{}, fmt.Errorf("reading prospect IDs: %w", err)
	}
	defer copied.Close()
	return prospect.LoadFrom(from.File, io.NewSectionReader(copied, 0, size), o)
}

// maxChanges is how often an object may be replaced while it is read.
const maxChanges = 3

// copyObject copies one generation of an object into a temporary file.
func (l Lists) copyObject(ctx context.Context, at jobs.Object) (copied store.File, size int64, err error) {
	s, err := at.Open(ctx, store.Access{KnownKeys: true})
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	dir, err := l.TempDir()
	if err != nil {
		return nil, 0, err
	}
	for range maxChanges {
		var object store.Object
		if object, err = s.Stat(ctx, at.Key); err == nil {
			copied, err = store.OpenFile(ctx, s, object, dir)
		}
		size = object.Size
		if !errors.Is(err, store.ErrCorrupt) {
			break // otherwise it was replaced after Stat
		}
	}
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil, 0, fmt.Errorf("%w; check the URI, or upload the list", err)
	case errors.Is(err, store.ErrCorrupt):
		return nil, 0, fmt.Errorf("%s is replaced while it is read: %w; run the command again when it no longer changes", at.URI(at.Key), err)
	}
	return copied, size, err
}
