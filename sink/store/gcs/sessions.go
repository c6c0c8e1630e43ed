package gcs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"prospector/internal/nolink"
	"prospector/internal/sealed"
	"prospector/sink/store"
)

// sessions keeps the resumable sessions of unfinished uploads in a private directory, so
// that the next run continues them. It helps a run that publishes the same bytes again: it
// applies the same saved plan, or its files turn out the same.
//
// A session saves time alone. So an entry that cannot be read, written or removed is the
// same as no entry. The URI of a session authorizes its upload, like a password.
type sessions struct {
	dir string // "" keeps nothing
}

// sessionAge is how long an entry is used. The service keeps a session for a week:
// https://cloud.google.com/storage/docs/resumable-uploads#session-uris.
const sessionAge = 6 * 24 * time.Hour

// session is one entry.
type session struct {
	Version int    `json:"version"`
	URI     string `json:"uri"`
	Write   string `json:"write"`
	// Checksum is that of package sealed.
	Checksum string `json:"checksum"`
}

const sessionVersion = 1

// identity returns the name of the entry of an upload: a digest of where it writes what,
// and under which precondition.
func (u *upload) identity() string {
	text, err := json.Marshal([]any{u.url("resumable"), u.content.Type, u.content.Size, u.content.CRC32C, u.store.options.StorageClass, u.store.options.Metadata})
	if err != nil {
		panic(err) // texts and numbers alone
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]) + ".json"
}

// openSessions removes the entries that are too old.
func openSessions(dir string) *sessions {
	s := &sessions{dir}
	s.in(nolink.Open, func(d *nolink.Dir) {
		entries, err := d.Names()
		if err != nil {
			return
		}
		for _, e := range entries {
			if info, err := d.Regular(e.Name()); err == nil && time.Since(info.ModTime) > sessionAge {
				_ = d.Remove(e.Name())
			}
		}
	})
	return s
}

// in calls f with the directory that open opens.
func (s *sessions) in(open func(path string) (*nolink.Dir, error), f func(*nolink.Dir)) {
	if s.dir == "" {
		return
	}
	d, err := open(s.dir)
	if err != nil {
		return
	}
	defer d.Close()
	f(d)
}

// find returns the entry with a name, or nil.
func (s *sessions) find(name string) (found *session) {
	s.in(nolink.Open, func(d *nolink.Dir) {
		f, err := d.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || time.Since(info.ModTime()) > sessionAge {
			return
		}
		text, err := store.ReadAll(f, 64<<10)
		var e session
		if err == nil && sealed.Verify(text) == nil && json.Unmarshal(text, &e) == nil && e.Version == sessionVersion {
			found = &e
		}
	})
	return found
}

// keep writes an entry.
func (s *sessions) keep(name string, e session) {
	e.Version = sessionVersion
	text, err := sealed.Marshal(e)
	if err != nil {
		return
	}
	create := func(path string) (*nolink.Dir, error) {
		return nolink.MakePrivate(filepath.Dir(path), filepath.Base(path))
	}
	s.in(create, func(d *nolink.Dir) { _ = d.WriteFile(name, text) })
}

// drop removes an entry.
func (s *sessions) drop(name string) {
	s.in(nolink.Open, func(d *nolink.Dir) { _ = d.Remove(name) })
}
