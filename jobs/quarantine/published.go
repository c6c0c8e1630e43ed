package quarantine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"prospector/internal/spill"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Open returns a quarantine with the published events of a job. It reads them from the
// first sink whose quarantine is intact. If there is none, it recovers the readable
// events of damaged ones, and adds their numbers to the job's drift. For dir and limit,
// see New.
func Open(ctx context.Context, stores map[string]store.Store, p *plan.Job, dir string, limit int64) (*Quarantine, error) {
	q := New(dir, limit)
	for _, address := range p.Sinks {
		if published := p.Found.Prior[address].Quarantine; published != nil {
			return q, q.read(ctx, stores[address], published, dir)
		}
	}
	return q, q.recover(ctx, stores, p, dir, limit/4)
}

// read adds the events of a published quarantine.
func (q *Quarantine) read(ctx context.Context, from store.Store, published *state.Quarantine, dir string) error {
	number := 0
	for e, err := range entries(ctx, from, published, dir) {
		if err == nil {
			err = q.keep(numberKey(0, number), e)
		}
		if err != nil {
			return err
		}
		number++
	}
	return nil
}

// Count counts the events of a prospect in a published quarantine. A copy of a remote
// quarantine is temporarily in dir.
func Count(ctx context.Context, from store.Store, published *state.Quarantine, prospect, dir string) (events int, err error) {
	for e, err := range entries(ctx, from, published, dir) {
		if err != nil {
			return 0, err
		}
		if e.Prospect == prospect {
			events++
		}
	}
	return events, nil
}

// entries returns the events of a published quarantine.
func entries(ctx context.Context, from store.Store, published *state.Quarantine, dir string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			yield(entry{}, err)
			return
		}
		f, err := store.OpenFile(ctx, from, published.Object.Stored(), dir)
		if err != nil {
			yield(entry{}, fmt.Errorf("reading the quarantine: %w", err))
			return
		}
		defer f.Close()
		// No line is longer than the object.
		for d := json.NewDecoder(bufio.NewReader(io.NewSectionReader(f, 0, published.Object.Size))); ; {
			var e entry
			err := d.Decode(&e)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("reading the quarantine %s: it is damaged", from.URI(published.Object.Key))
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// keep adds a published event.
func (q *Quarantine) keep(number string, e entry) error {
	line, err := e.line()
	if err != nil {
		return err
	}
	if _, known := q.prospects[e.Prospect]; !known {
		q.prospects[e.Prospect] = progress{}
	}
	_, err = q.published.Put(number, line)
	return err
}

// recover adds the readable events of the job's damaged quarantines. It adds an event
// once, even if several of them have it.
func (q *Quarantine) recover(ctx context.Context, stores map[string]store.Store, p *plan.Job, dir string, limit int64) (err error) {
	key := plan.QuarantineKey(p.TableName)
	distinct := spill.NewMap(filepath.Join(dir, "recovered"), limit/2)
	defer func() { err = errors.Join(err, distinct.Close()) }()
	for i, d := range p.Found.Drift {
		if d.Key != key || d.Kind != plan.Modified {
			continue
		}
		found, err := readable(ctx, stores[d.Sink], key, i, dir, limit/2)
		if err != nil {
			return err
		}
		for e, err := range found.All() {
			if err == nil {
				p.Found.Drift[i].Recovered++
				_, err = distinct.Put(e.Key, e.Value)
			}
			if err != nil {
				return errors.Join(err, found.Close())
			}
		}
		if err := found.Close(); err != nil {
			return err
		}
	}
	for found, err := range distinct.All() {
		if err == nil {
			number, line := string(found.Value[:numberSize]), found.Value[numberSize:]
			var e entry
			if err = json.Unmarshal(line, &e); err == nil {
				err = q.keep(number, e)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CountReadable counts the distinct events that can be read from a damaged quarantine.
// It keeps about limit bytes of them in memory, and the others below dir.
func CountReadable(ctx context.Context, from store.Store, key, dir string, limit int64) (events int64, err error) {
	found, err := readable(ctx, from, key, 0, dir, limit)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for _, err := range found.All() {
		if err != nil {
			return 0, err
		}
		events++
	}
	return events, nil
}

// readable returns the events that can be read from a damaged quarantine, by digest,
// each as its number and line. It ignores events that cannot be read, and an object
// that no longer exists. An event may differ from what was written, since a byte may
// have changed within a value.
func readable(ctx context.Context, from store.Store, key string, sink int, dir string, limit int64) (*spill.Map, error) {
	found := spill.NewMap(filepath.Join(dir, "readable"), limit)
	r, err := from.Open(ctx, key)
	if errors.Is(err, store.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the damaged quarantine: %w", err)
	}
	defer r.Close()
	in := bufio.NewReader(io.LimitReader(r, 2*MaxSize))
	for number := 0; ; number++ {
		line, end := in.ReadBytes('\n')
		if end != nil && !errors.Is(end, io.EOF) {
			return nil, errors.Join(fmt.Errorf("reading the damaged quarantine %s: %w", from.URI(key), end), found.Close())
		}
		if e, ok := parseEntry(line); ok {
			if _, err := found.Put(digestKey(e.digest()), append([]byte(numberKey(sink, number)), line...)); err != nil {
				return nil, errors.Join(err, found.Close())
			}
		}
		if end == nil {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return nil, errors.Join(err, found.Close())
		}
		return found, nil
	}
}
