package run

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
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/sink/store"
)

// Besides the published files, prospector keeps:
//
//	in the state's store        the state, and every object whose key begins with the
//	                            state's: backup, lock, lists of prospects, records
//	in the working directory    a state that could not be written to its place
//	in each sink                everything below .prospector/: the quarantine,
//	                            tombstones, copies of damaged files
//	in the data directory       journals of pages and staged files
//
// An object that a later version adds to one of these places is in the inventory
// without further ado.

// role says what erase does with an object.
type role int

const (
	// disposable: nothing depends on the object. Erase removes it if it names the
	// prospect, or if it cannot be searched.
	disposable role = iota
	// fixed: the object has no place for a prospect's ID, or erase has taken the ID
	// out of that place. What still equals the ID means something else.
	fixed
	// holding: the object holds events, of which erase has rewritten those that the
	// state owns.
	holding
)

// object is something that prospector keeps.
type object struct {
	uri    string
	role   role
	open   func(context.Context) (io.ReadCloser, error)
	remove func(context.Context) error
}

const (
	sinkPrefix       = ".prospector/"
	quarantinePrefix = sinkPrefix + "quarantine/"
)

// inventory lists everything that prospector keeps besides published files,
// ascending by URI.
func (s *Session) inventory(ctx context.Context) ([]object, error) {
	found := make(map[string]object)
	beside, prefix := s.Backend.Beside()
	err := collect(ctx, found, beside, strings.TrimSuffix(prefix, ".d/"), func(key string) role {
		if !strings.HasPrefix(key, prefix) || ledger.IsRecord(prefix, key) {
			return fixed
		}
		return disposable
	})
	if err == nil {
		err = collect(ctx, found, s.WorkDir, state.ErroredName, func(string) role { return fixed })
	}
	for _, opened := range s.stores {
		if err == nil {
			err = collect(ctx, found, opened, sinkPrefix, func(key string) role {
				switch {
				case key == tombstone.Key:
					return fixed
				case strings.HasPrefix(key, quarantinePrefix):
					return holding
				}
				return disposable
			})
		}
	}
	if err == nil {
		err = s.collectData(found)
	}
	if err != nil {
		return nil, fmt.Errorf("listing what prospector keeps: %w", err)
	}
	all := slices.Collect(maps.Values(found))
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.uri, b.uri) })
	return all, nil
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
			uri: files.URI(key), role: roleOf(key),
			open:   func(ctx context.Context) (io.ReadCloser, error) { return files.Open(ctx, key) },
			remove: func(ctx context.Context) error { return files.Delete(ctx, key, store.Condition{}) },
		}
	}
	return nil
}

// collectData adds the files of the data directory, except for what this run has
// staged. It follows no symbolic link.
func (s *Session) collectData(into map[string]object) error {
	mine := fileURI(s.stageDir())
	maps.DeleteFunc(into, func(uri string, _ object) bool { return strings.HasPrefix(uri, mine+"/") })
	var walk func(rel string) error
	walk = func(rel string) error {
		dir, err := s.data.Open(rel)
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
			uri := fileURI(filepath.Join(s.DataDir, path))
			_, known := into[uri]
			switch {
			case entry.IsDir() && uri != mine:
				if err := walk(path); err != nil {
					return err
				}
			case entry.Type().IsRegular() && !known:
				into[uri] = s.dataFile(uri, path)
			}
		}
		return nil
	}
	return walk("")
}

func (s *Session) dataFile(uri, rel string) object {
	in := func(use func(dir *nolink.Dir, name string) error) error {
		dir, err := s.data.Open(path.Dir(rel))
		if err != nil {
			return err
		}
		defer dir.Close()
		return use(dir, path.Base(rel))
	}
	return object{
		uri: uri,
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

// sweeper is a store that may hold what killed processes have left.
type sweeper interface{ Sweep() error }

// sweepTemporaries removes what killed processes have left in any store.
func (s *Session) sweepTemporaries() error {
	beside, _ := s.Backend.Beside()
	for _, files := range slices.AppendSeq([]store.Store{beside, s.WorkDir}, maps.Values(s.stores)) {
		if of, ok := files.(sweeper); ok {
			if err := of.Sweep(); err != nil {
				return err
			}
		}
	}
	return nil
}
