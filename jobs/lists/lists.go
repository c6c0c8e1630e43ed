// Package lists keeps lists of prospects next to the state: those that a job read
// last, and those that returned no event.
//
// A list is one object with one JSON value per line. The state names the object and
// its digest. A new list is written to a new object before the state names it, and
// the old object is deleted afterwards. Losing a list is harmless: without the first,
// a plan does not show which prospects are new, and without the second, the rows of
// empty prospects stay longer.
package lists

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Lists are the lists next to one state.
type Lists struct {
	files  store.Store
	prefix string
}

// New returns the lists in the store files, whose keys begin with prefix. The state's
// backend returns both for objects next to the state.
func New(files store.Store, prefix string) Lists { return Lists{files, prefix} }

// The folders of the lists.
const (
	prospectsFolder = "prospects/" // that a job reads
	emptyFolder     = "empty/"     // that returned no event, but have published rows
)

// Publish writes the staged lists of a job's plan, before the state names them. It
// returns the entries for the state of the lists that change.
func (l Lists) Publish(ctx context.Context, p *plan.Job) (published state.Lists, err error) {
	if list := p.Source.Reading.List; list != nil && list.Staged != nil {
		published.Prospects, err = l.put(ctx, prospectsFolder, p.Address, list.Digest, list.Staged)
		if err != nil {
			return published, err
		}
	}
	switch w := p.Source.Waiting; {
	case w == nil:
	case w.Staged != nil:
		published.Empty, err = l.put(ctx, emptyFolder, p.Address, w.Digest, w.Staged)
	case w.Count == 0:
		published.Empty = &state.ProspectList{}
	}
	return published, err
}

func (l Lists) put(ctx context.Context, folder, job, digest string, staged *plan.Staged) (*state.ProspectList, error) {
	key := l.prefix + folder + url.PathEscape(job) + "-" + digest + ".jsonl"
	f, err := os.Open(staged.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: "application/jsonl"}
	_, err = l.files.Put(ctx, key, content, store.IfAbsent())
	if errors.Is(err, store.ErrCondition) { // it is from an earlier run, and may be damaged
		_, err = l.files.Put(ctx, key, content, store.Condition{})
	}
	if err != nil {
		return nil, fmt.Errorf("writing a list of prospects next to the state: %w", err)
	}
	return &state.ProspectList{Count: staged.Rows, Digest: digest, Key: key}, nil
}

// Drop deletes the list before, unless it is the same as the list after, which the
// state names now. Callers may ignore the error: an unused list does no harm.
func (l Lists) Drop(ctx context.Context, before, after *state.ProspectList) error {
	if before == nil || after != nil && after.Key == before.Key {
		return nil
	}
	err := l.files.Delete(ctx, before.Key, store.Condition{})
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	return err
}

// stage writes the text of a list to path.
func stage(text []byte, rows int64, path string) (*plan.Staged, error) {
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("staging a list of prospects: %w", err)
	}
	return &plan.Staged{Path: path, Rows: rows, Size: int64(len(text)), CRC32C: store.Checksum(text)}, nil
}

// textDigest identifies a text.
func textDigest(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:16])
}
