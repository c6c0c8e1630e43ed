package erase

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"prospector/internal/nolink"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
)

// Places are the places where prospector keeps objects other than published files:
//
//	in the state's store        the state, and every object whose key begins with the
//	                            state's: backup, lock, lists of prospects, records
//	in the working directory    a state that the backend could not write
//	in each sink                everything under .prospector/: the quarantine,
//	                            tombstones, copies of damaged files
//	in the data directory       journals of pages and staged files
//
// The inventory also has objects that later versions keep in these places.
type Places struct {
	// StateStore is the store that has the state. The keys of objects next to the
	// state begin with Prefix.
	StateStore store.Store
	Prefix     string
	WorkDir    store.Store
	Stores     map[string]store.Store // the open sinks by address
	// Data is the data directory, and DataDir its path. StageDir is the directory of
	// this run's staged files in it, which the inventory leaves out.
	Data     *nolink.Dir
	DataDir  string
	StageDir string
}

// role determines what an erase does with an object.
type role int

const (
	// disposable: nothing depends on the object. A Proof removes it if it names the
	// prospect or cannot be searched.
	disposable role = iota
	// fixed: the object has no field for a prospect's ID, or the ID was removed from
	// that field. Text that still equals the ID has another meaning.
	fixed
	// holding: the object holds events. The apply has rewritten those that the state
	// owns.
	holding
)

// object is an object that prospector keeps.
type object struct {
	uri    string
	size   int64 // in bytes
	role   role
	in     store.Store // nil for a file in the data directory
	open   func(context.Context) (io.ReadCloser, error)
	remove func(context.Context) error
}

const sinkPrefix = ".prospector/"

// inventory lists everything that prospector keeps besides published files,
// ascending by URI.
func (p Places) inventory(ctx context.Context) ([]object, error) {
	found := make(map[string]object)
	err := collect(ctx, found, p.StateStore, strings.TrimSuffix(p.Prefix, ".d/"), func(key string) role {
		if !strings.HasPrefix(key, p.Prefix) || ledger.IsRecord(p.Prefix, key) {
			return fixed
		}
		return disposable
	})
	if err == nil {
		err = collect(ctx, found, p.WorkDir, state.ErroredName, func(string) role { return fixed })
	}
	for _, opened := range p.Stores {
		if err == nil {
			err = collect(ctx, found, opened, sinkPrefix, roleInSink)
		}
	}
	if err == nil {
		err = p.collectData(found)
	}
	if err != nil {
		return nil, fmt.Errorf("listing what prospector keeps: %w", err)
	}
	all := slices.Collect(maps.Values(found))
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.uri, b.uri) })
	return all, nil
}

func roleInSink(key string) role {
	switch {
	case key == tombstone.Key:
		return fixed
	case plan.IsQuarantine(key):
		return holding
	}
	return disposable
}

// collect adds the objects of a store whose keys begin with a prefix, by URI.
func collect(ctx context.Context, into map[string]object, files store.Store, prefix string, roleOf func(key string) role) error {
	for entry, err := range files.List(ctx, prefix) {
		if err != nil {
			return err
		}
		key := entry.Key
		if _, known := into[files.URI(key)]; known {
			continue
		}
		into[files.URI(key)] = object{
			uri: files.URI(key), size: entry.Size, role: roleOf(key), in: files,
			open:   func(ctx context.Context) (io.ReadCloser, error) { return files.Open(ctx, key) },
			remove: func(ctx context.Context) error { return files.Delete(ctx, key, store.Condition{}) },
		}
	}
	return nil
}

// collectData adds the files in the data directory, except for this run's staged
// files. It does not follow symbolic links.
func (p Places) collectData(into map[string]object) error {
	own := fileURI(p.StageDir)
	maps.DeleteFunc(into, func(uri string, _ object) bool { return strings.HasPrefix(uri, own+"/") })
	var walk func(rel string) error
	walk = func(rel string) error {
		dir, err := p.Data.Open(rel)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer dir.Close()
		entries, err := dir.Names()
		if err != nil {
			return err
		}
		for _, entry := range entries {
			path := path.Join(rel, entry.Name())
			uri := fileURI(filepath.Join(p.DataDir, path))
			_, known := into[uri]
			switch {
			case entry.IsDir() && uri != own:
				if err := walk(path); err != nil {
					return err
				}
			case entry.Type().IsRegular() && !known:
				info, err := dir.Lstat(entry.Name())
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				into[uri] = p.dataFile(uri, path, info.Size)
			}
		}
		return nil
	}
	return walk("")
}

func (p Places) dataFile(uri, rel string, size int64) object {
	in := func(use func(dir *nolink.Dir, name string) error) error {
		dir, err := p.Data.Open(path.Dir(rel))
		if err != nil {
			return err
		}
		defer dir.Close()
		return use(dir, path.Base(rel))
	}
	return object{
		uri: uri, size: size,
		open: func(context.Context) (r io.ReadCloser, err error) {
			err = in(func(dir *nolink.Dir, name string) (err error) {
				r, err = dir.OpenFile(name, os.O_RDONLY, 0)
				return err
			})
			return r, err
		},
		remove: func(context.Context) error { return in((*nolink.Dir).Remove) },
	}
}

func fileURI(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// sweepTemporaries removes the temporary files that killed processes left in any
// store.
func (p Places) sweepTemporaries() error {
	for _, files := range slices.AppendSeq([]store.Store{p.StateStore, p.WorkDir}, maps.Values(p.Stores)) {
		if of, ok := files.(store.Sweeper); ok {
			if err := of.Sweep(); err != nil {
				return err
			}
		}
	}
	return nil
}
