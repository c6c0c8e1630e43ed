package erase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"prospector/internal/parallel"
	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/quarantine"
	"prospector/jobs/reconcile"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// Result describes what a Proof has removed and found.
type Result struct {
	Files   int64 // published files that the second reader has read
	Records int64 // records of runs that named the prospect or could not be read
	Removed int64 // other objects that were removed, as they named the prospect or could not be searched
	Objects int64 // other objects that were searched
	// Mentions are occurrences of the ID outside of the prospect's own rows and
	// entries: in events of other prospects, or as a word with another meaning.
	Mentions []Mention
}

// Mention is where an ID occurs.
type Mention struct {
	URI   string `json:"uri"`
	Place string `json:"place"` // in the object
	Count int64  `json:"count"`
}

// Proof holds what a proof needs.
type Proof struct {
	Prospect string
	State    *state.State
	Places   Places
	// Discard are directories in the data directory that are removed without a search.
	Discard []string
	// Memory limits how many files are searched at a time.
	Memory reconcile.Memory
}

// Run removes the prospect from everything in the inventory, after a plan to erase it
// was applied. Then it searches everything that is left, including published files, and
// returns an error if it finds the prospect.
func (p Proof) Run(ctx context.Context) (Result, error) {
	r := &proving{Proof: p}
	for _, step := range []func(context.Context) error{r.removeTraces, r.searchFiles, r.searchObjects} {
		if err := step(ctx); err != nil {
			return r.result, err
		}
	}
	slices.SortFunc(r.result.Mentions, func(a, b Mention) int {
		return slices.Compare([]string{a.URI, a.Place}, []string{b.URI, b.Place})
	})
	if len(r.left) > 0 {
		slices.Sort(r.left)
		return r.result, jobs.Diagnostic{Severity: jobs.Error, Summary: "The prospect is not erased",
			Detail: fmt.Sprintf("The ID is still in:\n\n  %s\n\nAnother process may have written it. Erase the prospect again. If the ID is still there, this is a bug in prospector; please report it.", strings.Join(r.left, "\n  "))}
	}
	return r.result, nil
}

// proving is a proof in progress.
type proving struct {
	Proof

	mu     sync.Mutex
	result Result
	left   []string // where the prospect still is
}

func (r *proving) addLeft(uri, place string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = append(r.left, terminal.Line(uri+": "+place))
}

func (r *proving) addMention(uri, place string, count int64) {
	if count == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Mentions = append(r.result.Mentions, Mention{uri, place, count})
}

// removeTraces removes every disposable object that may name the prospect. The apply
// has rewritten the published files and the quarantines.
func (r *proving) removeTraces(ctx context.Context) error {
	for _, dir := range r.Discard {
		if err := r.Places.Data.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing the directory %s of the data directory: %w", dir, err)
		}
	}
	records, err := ledger.Erase(ctx, r.Places.StateStore, r.Places.Prefix, r.Prospect)
	if err != nil {
		return err
	}
	r.result.Records = int64(records)
	if err := r.Places.sweepTemporaries(); err != nil {
		return err
	}
	return r.eachObject(ctx, func(ctx context.Context, o object) error {
		if o.role != disposable {
			return nil
		}
		text, count, err := r.search(ctx, o)
		if err != nil || text && count == 0 {
			return err
		}
		if err := o.remove(ctx); err != nil && !isGone(err) {
			return fmt.Errorf("removing %s, which may name the prospect: %w", o.uri, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Removed++
		return nil
	})
}

// eachObject calls f for the objects in the inventory: for as many at a time as their
// store serves well and the memory allows.
func (r *proving) eachObject(ctx context.Context, f func(context.Context, object) error) error {
	all, err := r.Places.inventory(ctx)
	if err != nil {
		return err
	}
	in := make(map[store.Store][]object)
	for _, o := range all {
		in[o.in] = append(in[o.in], o)
	}
	limit := max(1, int64(r.Memory)/8)
	room := semaphore.NewWeighted(limit)
	for files, objects := range in {
		err := parallel.Each(ctx, store.Concurrency(files), objects, func(ctx context.Context, o object) error {
			takes := min(limit, o.size)
			if room.Acquire(ctx, takes) != nil {
				return context.Cause(ctx)
			}
			defer room.Release(takes)
			return f(ctx, o)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func isGone(err error) bool {
	return errors.Is(err, store.ErrNotExist) || errors.Is(err, fs.ErrNotExist)
}

// maxSearched is the size in bytes of the largest object that can be searched.
// Quarantines and lists are not larger.
const maxSearched = 256 << 20

// search counts how often an object names the prospect. text is false if the object
// cannot be searched: it is not text, or too large. An object that no longer exists
// counts as empty text.
func (r *proving) search(ctx context.Context, o object) (text bool, count int64, err error) {
	in, err := o.open(ctx)
	if isGone(err) {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxSearched+1))
	switch {
	case err != nil:
		return false, 0, fmt.Errorf("searching %s: %w", o.uri, err)
	case len(b) > maxSearched || !isText(b):
		return false, 0, nil
	}
	if count, err = countWord(bytes.NewReader(b), int64(len(b)), r.Prospect); err != nil || count == 0 {
		return true, 0, err
	}
	if o.role != holding { // events have IDs within longer strings
		if strings, ok := countStrings(bytes.NewReader(b), r.Prospect); ok {
			return true, strings, nil
		}
	}
	return true, count, nil
}

// searchObjects searches everything that is left, except for published files.
func (r *proving) searchObjects(ctx context.Context) error {
	return r.eachObject(ctx, func(ctx context.Context, o object) error {
		text, count, err := r.search(ctx, o)
		if err != nil {
			return err
		}
		switch {
		case o.role == disposable && (!text || count > 0):
			r.addLeft(o.uri, "an object that names the prospect or cannot be searched")
		case o.role == holding:
			r.addMention(o.uri, "quarantined events of other prospects", count)
		default:
			r.addMention(o.uri, "a text that equals the ID", count)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.result.Objects++
		return nil
	})
}

// publishedFile is a file of a table.
type publishedFile struct {
	job, schema string
	store.Located
}

// searchFiles searches every published file and quarantine for the prospect.
func (r *proving) searchFiles(ctx context.Context) error {
	var files []publishedFile
	var objects []store.Located
	for _, address := range r.State.Addresses() {
		owned := r.State.Jobs[address]
		for _, in := range slices.Sorted(maps.Keys(owned.Sinks)) {
			of := owned.Sinks[in]
			for _, path := range slices.Sorted(maps.Keys(of.Partitions)) {
				for _, f := range of.Partitions[path].Files {
					o := store.Located{From: r.Places.Stores[in], Object: f.Stored()}
					files, objects = append(files, publishedFile{address, of.Partitions[path].SchemaFingerprint, o}), append(objects, o)
				}
			}
			if err := r.searchQuarantine(ctx, in, of.Quarantine); err != nil {
				return err
			}
		}
	}
	ahead := store.OpenAhead(ctx, r.Places.StageDir, r.Memory.Downloads(), objects)
	defer ahead.Close()
	return parallel.Each(ctx, r.Memory.Width(), files, func(ctx context.Context, f publishedFile) error {
		uri := f.From.URI(f.Key)
		file, err := ahead.Open(ctx, f.Located)
		if err != nil {
			return fmt.Errorf("reading the published file %s: %w", uri, err)
		}
		defer file.Close()
		return r.searchFile(ctx, f, uri, file)
	})
}

// rawIDs is the length in bytes from which an ID is also searched for in the undecoded
// bytes of Parquet files. Shorter IDs occur in compressed bytes by chance.
const rawIDs = 8

func (r *proving) searchFile(ctx context.Context, f publishedFile, uri string, file store.File) error {
	table, err := reconcile.PublishedSchema(jobs.Block{Address: f.job}, r.State.Jobs[f.job], f.schema)
	if err != nil {
		return err
	}
	own, err := verify.Count(ctx, file, f.Size, table, table.Roles().Entity, r.Prospect)
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", uri, err)
	}
	columns, err := verify.Search(ctx, file, f.Size, table, func(text string) bool {
		return strings.Contains(text, r.Prospect) && hasWord(text, r.Prospect)
	})
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", uri, err)
	}
	var raw int64
	if len(r.Prospect) >= rawIDs {
		if raw, err = countWord(file, f.Size, r.Prospect); err != nil {
			return fmt.Errorf("searching the published file %s: %w", uri, err)
		}
	}
	switch {
	case own > 0:
		r.addLeft(uri, fmt.Sprintf("%d rows of the prospect", own))
	case raw > 0 && len(columns) == 0:
		r.addLeft(uri, "bytes of the file outside of its rows")
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if own == 0 || name != table.Roles().Entity {
			r.addMention(uri, "rows of other prospects, column "+name, columns[name])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Files++
	return nil
}

func (r *proving) searchQuarantine(ctx context.Context, in string, published *state.Quarantine) error {
	if published == nil {
		return nil
	}
	from := r.Places.Stores[in]
	count, err := quarantine.Count(ctx, from, published, r.Prospect, r.Places.StageDir)
	if err == nil && count > 0 {
		r.addLeft(from.URI(published.Object.Key), fmt.Sprintf("%d events of the prospect", count))
	}
	return err
}
