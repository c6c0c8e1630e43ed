package run

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

	"prospector/internal/parallel"
	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// Erased is what was done and found after a plan to erase a prospect was applied.
type Erased struct {
	Files   int64 // published files that the second reader has read
	Records int64 // of runs, that named the prospect or could not be read
	Removed int64 // other objects that named the prospect or could not be searched
	Objects int64 // other objects that were searched
	// Mentions are occurrences of the ID that are not the prospect's own rows and
	// entries: in events of other prospects, or as a word that means something else.
	Mentions []Mention
}

// Mention is where an ID occurs.
type Mention struct {
	URI   string `json:"uri"`
	Place string `json:"place"` // in the object
	Count int64  `json:"count"`
}

// ProveErased takes a prospect out of everything that prospector keeps besides the
// published files, after a plan to erase it was applied. Then it searches all that
// is left, published files included, and fails if anything still is the
// prospect's.
func (s *Session) ProveErased(ctx context.Context, prospect string) (Erased, error) {
	p := &proof{Session: s, prospect: prospect}
	for _, step := range []func(context.Context) error{p.removeTraces, p.searchFiles, p.searchObjects} {
		if err := step(ctx); err != nil {
			return p.found, err
		}
	}
	slices.SortFunc(p.found.Mentions, func(a, b Mention) int {
		return slices.Compare([]string{a.URI, a.Place}, []string{b.URI, b.Place})
	})
	if len(p.left) > 0 {
		slices.Sort(p.left)
		return p.found, jobs.Diagnostic{Severity: jobs.Error, Summary: "The prospect is not erased",
			Detail: fmt.Sprintf("The ID is still found in:\n\n  %s\n\nAnother process may have written there. Erase the prospect again; if the ID is still found, this is a bug in prospector: please report it.", strings.Join(p.left, "\n  "))}
	}
	before, err := state.Encode(s.state)
	if err == nil {
		s.state.Erasing = false
		_, err = s.record(ctx, before)
	}
	return p.found, err
}

// proof is one search for a prospect.
type proof struct {
	*Session
	prospect string

	mu    sync.Mutex
	found Erased
	left  []string // where the prospect still is
}

func (p *proof) leave(uri, place string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = append(p.left, terminal.Line(uri+": "+place))
}

func (p *proof) mention(uri, place string, count int64) {
	if count == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.Mentions = append(p.found.Mentions, Mention{uri, place, count})
}

// removeTraces takes the prospect out of every object that is not a published file
// or a quarantine, which the plan has rewritten.
func (p *proof) removeTraces(ctx context.Context) error {
	for _, dir := range []string{journals, rejects} {
		if err := p.data.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing the directory %s of the data directory: %w", dir, err)
		}
	}
	beside, prefix := p.Backend.Beside()
	records, err := ledger.Erase(ctx, beside, prefix, p.prospect)
	if err != nil {
		return err
	}
	p.found.Records = int64(records)
	if err := p.sweepTemporaries(); err != nil {
		return err
	}
	all, err := p.inventory(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.role != disposable {
			continue
		}
		text, count, err := p.search(ctx, o)
		if err != nil {
			return err
		}
		if text && count == 0 {
			continue
		}
		if err := o.remove(ctx); err != nil && !gone(err) {
			return fmt.Errorf("removing %s, which may name the prospect: %w", o.uri, err)
		}
		p.found.Removed++
	}
	return nil
}

func gone(err error) bool { return errors.Is(err, store.ErrNotExist) || errors.Is(err, fs.ErrNotExist) }

// search counts how often an object names the prospect, and reports whether it is
// text, which alone can be searched. An object that is gone names no one.
func (p *proof) search(ctx context.Context, o object) (text bool, count int64, err error) {
	r, err := o.open(ctx)
	if gone(err) {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, quarantineLimit+1))
	switch {
	case err != nil:
		return false, 0, fmt.Errorf("searching %s: %w", o.uri, err)
	case len(b) > quarantineLimit || !isText(b):
		return false, 0, nil
	}
	if count, err = countWord(bytes.NewReader(b), int64(len(b)), p.prospect); err != nil || count == 0 {
		return true, 0, err
	}
	if o.role != holding { // which quote others
		if strings, ok := countStrings(bytes.NewReader(b), p.prospect); ok {
			return true, strings, nil
		}
	}
	return true, count, nil
}

// searchObjects searches what is left of everything but published files.
func (p *proof) searchObjects(ctx context.Context) error {
	all, err := p.inventory(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		text, count, err := p.search(ctx, o)
		if err != nil {
			return err
		}
		p.found.Objects++
		switch {
		case o.role == disposable && (!text || count > 0):
			p.leave(o.uri, "an object that names the prospect or cannot be searched")
		case o.role == holding:
			p.mention(o.uri, "events that other prospects have in quarantine", count)
		default:
			p.mention(o.uri, "a text that equals the ID", count)
		}
	}
	return nil
}

// searchFiles has the second reader look for the prospect in every published file
// and quarantine.
func (p *proof) searchFiles(ctx context.Context) error {
	if _, err := p.makeStageDir(""); err != nil { // for copies of remote files
		return err
	}
	for _, address := range p.state.Addresses() {
		owned := p.state.Jobs[address]
		for _, in := range slices.Sorted(maps.Keys(owned.Sinks)) {
			partitions := owned.Sinks[in].Partitions
			err := parallel.Each(ctx, p.width(), slices.Sorted(maps.Keys(partitions)), func(ctx context.Context, path string) error {
				for _, f := range partitions[path].Files {
					if err := p.searchFile(ctx, address, in, partitions[path].SchemaFingerprint, f); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				err = p.searchQuarantine(ctx, in, owned.Sinks[in].Quarantine)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rawIDs is how many bytes an ID has at least that is searched in the undecoded
// bytes of Parquet files. Shorter ones occur in compressed bytes by chance.
const rawIDs = 8

func (p *proof) searchFile(ctx context.Context, job, in, schema string, f state.File) error {
	uri := p.stores[in].URI(f.Key)
	table, err := tableOf(jobs.Block{Address: job}, p.state.Jobs[job], schema)
	if err != nil {
		return err
	}
	r, err := store.OpenFile(ctx, p.stores[in], f.Stored(), p.stageDir())
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", uri, err)
	}
	defer r.Close()
	own, err := verify.Count(ctx, r, f.Size, table, "prospect_id", p.prospect)
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", uri, err)
	}
	columns, err := verify.Search(ctx, r, f.Size, table, func(text string) bool {
		return strings.Contains(text, p.prospect) && countIn([]byte(text), []byte(p.prospect), 0, len(text)) > 0
	})
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", uri, err)
	}
	var raw int64
	if len(p.prospect) >= rawIDs {
		if raw, err = countWord(r, f.Size, p.prospect); err != nil {
			return fmt.Errorf("searching the published file %s: %w", uri, err)
		}
	}
	switch {
	case own > 0:
		p.leave(uri, fmt.Sprintf("%d rows of the prospect", own))
	case raw > 0 && len(columns) == 0:
		p.leave(uri, "bytes of the file that are in no row")
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if own == 0 || name != "prospect_id" {
			p.mention(uri, "rows of other prospects, column "+name, columns[name])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.Files++
	return nil
}

func (p *proof) searchQuarantine(ctx context.Context, in string, published *state.Quarantine) error {
	q, err := openQuarantine(ctx, p.stores[in], published)
	if err == nil && len(q.old[p.prospect]) > 0 {
		p.leave(p.stores[in].URI(published.Object.Key), fmt.Sprintf("%d events of the prospect", len(q.old[p.prospect])))
	}
	return err
}
