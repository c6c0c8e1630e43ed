// Package ledger keeps an append-only record of runs next to the state: what
// each run did, when, who started it, and how it ended. Each record is one
// object.
//
// The ledger is for the user. prospector does not depend on it, and a lake is
// complete without it. A record contains IDs, counts and outcomes, but no event
// content.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"prospector/internal/parallel"
	"prospector/internal/sealed"
	"prospector/sink/store"
)

// FormatVersion is the version of the records that this program writes. The program
// does not read another major version. In records of another minor version, it ignores
// unknown fields. Since 1.1, records have a checksum.
const FormatVersion = "1.1"

const (
	// Keep is how many records Append keeps: more than a year of nightly runs.
	Keep = 400
	// MaxExceptions is how many prospects a record lists for each job.
	MaxExceptions = 1000

	// maxRecord is the maximum size in bytes of a record.
	maxRecord = 16 << 20
	// maxError is the maximum size in bytes of an error's summary in a record.
	maxError = 500
)

// Outcome is how a run ended.
type Outcome string

// The outcomes.
const (
	Applied     Outcome = "applied"
	NoChanges   Outcome = "no_changes"
	Failed      Outcome = "failed"
	Interrupted Outcome = "interrupted"
)

// Record is what one run did. The order of the fields is the order in the file.
type Record struct {
	FormatVersion string    `json:"format_version"` // set by Append
	ID            string    `json:"id"`             // of the run, and of its lock
	Operation     string    `json:"operation"`      // "apply", "destroy", …
	Outcome       Outcome   `json:"outcome"`
	Who           string    `json:"who"`     // user@host, process
	Version       string    `json:"version"` // of prospector
	Started       time.Time `json:"started"`
	Ended         time.Time `json:"ended"`
	// Error is the summary of the error of a failed run. Append keeps only its
	// first line, because details may quote content.
	Error        string      `json:"error,omitempty"`
	Lineage      string      `json:"lineage"`
	SerialBefore int64       `json:"serial_before"`
	SerialAfter  int64       `json:"serial_after"`
	Jobs         []JobRecord `json:"jobs"`
}

// JobRecord is what one run did for one job.
type JobRecord struct {
	Address  string   `json:"address"`
	Summary  Summary  `json:"summary"`
	Books    Books    `json:"books"`
	Coverage Coverage `json:"coverage"`
	// Exceptions are up to MaxExceptions prospects that were not read
	// completely. ExceptionsOmitted counts the others.
	Exceptions        []Prospect `json:"exceptions,omitempty"`
	ExceptionsOmitted int64      `json:"exceptions_omitted,omitempty"`
	Requests          int64      `json:"requests"`
	Bytes             int64      `json:"bytes"` // of pages
	Seconds           float64    `json:"seconds"`
}

// Summary counts changed partitions.
type Summary struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Destroy int `json:"destroy"`
}

// Books count the events that were read, by outcome. See plan.Books.
type Books struct {
	Events      int64 `json:"events"`
	Added       int64 `json:"added"`
	Changed     int64 `json:"changed"`
	Unchanged   int64 `json:"unchanged"`
	Duplicates  int64 `json:"duplicates"`
	Quarantined int64 `json:"quarantined"`
	Rejected    int64 `json:"rejected,omitempty"` // of partitions that were not published
}

// Coverage counts the prospects by how completely they were read.
type Coverage struct {
	Prospects int64 `json:"prospects"` // requested
	Complete  int64 `json:"complete"`
	Partial   int64 `json:"partial"`
	NotFound  int64 `json:"not_found"`
	Forbidden int64 `json:"forbidden"`
	Failed    int64 `json:"failed"`
}

// Prospect is a prospect that was not read completely.
type Prospect struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"` // "partial", "not_found", "forbidden", "failed"
}

var runID = regexp.MustCompile(`^[0-9A-Za-z-]{8,}$`)

// recordKey matches the keys of records without their prefix. Sorted keys are
// in the order of the runs' start.
var recordKey = regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9A-Za-z-]{8}\.json$`)

func runs(prefix string) string { return prefix + "runs/" }

func keyOf(prefix string, r Record) string {
	return fmt.Sprintf("%s%s-%s.json", runs(prefix), r.Started.UTC().Format("20060102T150405Z"), r.ID[:8])
}

// Append writes the record of a run that has ended, under a key that begins
// with prefix. Then it deletes the oldest records until Keep are left. It
// returns store.ErrCondition if the run already has a record.
func Append(ctx context.Context, files store.Store, prefix string, r Record) error {
	if !runID.MatchString(r.ID) {
		return fmt.Errorf("recording a run: its ID %q does not consist of at least 8 letters, digits and hyphens", r.ID)
	}
	b, err := encode(trim(r))
	if err != nil {
		return fmt.Errorf("recording run %s: %w", r.ID, err)
	}
	_, err = files.Put(ctx, keyOf(prefix, r), store.ContentOf(b, "application/json"), store.IfAbsent())
	if err != nil {
		return fmt.Errorf("recording run %s: %w", r.ID, err)
	}
	if err := prune(ctx, files, prefix); err != nil {
		return fmt.Errorf("run %s is recorded, but old records could not be deleted: %w", r.ID, err)
	}
	return nil
}

// encode returns the file of a record.
func encode(r Record) ([]byte, error) {
	r.FormatVersion = FormatVersion
	return sealed.Marshal(struct {
		Record
		Checksum string `json:"checksum"`
	}{Record: r})
}

// trim returns the record in the form that Append writes. It does not modify
// the slices of r.
func trim(r Record) Record {
	r.Started, r.Ended = r.Started.UTC(), r.Ended.UTC()
	r.Error, _, _ = strings.Cut(r.Error, "\n")
	if len(r.Error) > maxError {
		r.Error = strings.ToValidUTF8(r.Error[:maxError], "") + "…"
	}
	r.Jobs = slices.Clone(r.Jobs)
	if r.Jobs == nil {
		r.Jobs = []JobRecord{}
	}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if more := len(j.Exceptions) - MaxExceptions; more > 0 {
			j.Exceptions = j.Exceptions[:MaxExceptions]
			j.ExceptionsOmitted += int64(more)
		}
	}
	return r
}

// keys returns the keys of the records in ascending order. It ignores other objects.
func keys(ctx context.Context, files store.Store, prefix string) (all []string, err error) {
	for entry, err := range files.List(ctx, runs(prefix)) {
		if err != nil {
			return nil, err
		}
		if IsRecord(prefix, entry.Key) {
			all = append(all, entry.Key)
		}
	}
	return all, nil
}

// IsRecord reports whether the key is the key of a record.
func IsRecord(prefix, key string) bool {
	name, ok := strings.CutPrefix(key, runs(prefix))
	return ok && recordKey.MatchString(name)
}

func prune(ctx context.Context, files store.Store, prefix string) error {
	all, err := keys(ctx, files, prefix)
	if err != nil {
		return err
	}
	for _, key := range all[:max(0, len(all)-Keep)] {
		err := files.Delete(ctx, key, store.Condition{})
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Erase replaces the ID of a prospect with Erased in all records, and returns
// how many records it has changed or deleted. It deletes records that cannot be
// read, because they may contain the ID.
func Erase(ctx context.Context, files store.Store, prefix, prospect string) (erased int, err error) {
	all, err := keys(ctx, files, prefix)
	if err != nil {
		return 0, fmt.Errorf("listing the records of runs: %w", err)
	}
	var count atomic.Int64
	err = parallel.Each(ctx, store.Concurrency(files), all, func(ctx context.Context, key string) error {
		changed, err := eraseIn(ctx, files, key, prospect)
		if changed {
			count.Add(1)
		}
		return err
	})
	return int(count.Load()), err
}

// eraseIn replaces the ID of a prospect in one record, or deletes a record that cannot be
// read. It reports whether it has done either.
func eraseIn(ctx context.Context, files store.Store, key, prospect string) (changed bool, err error) {
	r, err := read(ctx, files, key)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	if _, unreadable := errors.AsType[*unreadableError](err); unreadable {
		if err := files.Delete(ctx, key, store.Condition{}); err != nil && !errors.Is(err, store.ErrNotExist) {
			return false, fmt.Errorf("deleting %s, which cannot be read: %w", files.URI(key), err)
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, j := range r.Jobs {
		for i := range j.Exceptions {
			if j.Exceptions[i].ID == prospect {
				j.Exceptions[i].ID, changed = Erased, true
			}
		}
	}
	if !changed {
		return false, nil
	}
	b, err := encode(r)
	if err == nil {
		_, err = files.Put(ctx, key, store.ContentOf(b, "application/json"), store.Condition{})
	}
	if err != nil {
		return false, fmt.Errorf("rewriting %s: %w", files.URI(key), err)
	}
	return true, nil
}

// Erased replaces the ID of a prospect that was erased.
const Erased = "(erased)"

// SkippedError reports records that could not be read. List returns it together with
// the other records.
type SkippedError struct {
	// Errs has one error for each record, newest first.
	Errs []error
}

func (e *SkippedError) Error() string {
	if len(e.Errs) == 1 {
		return fmt.Sprintf("1 record of a run was skipped: %v", e.Errs[0])
	}
	return fmt.Sprintf("%d records of runs were skipped; the newest of them: %v", len(e.Errs), e.Errs[0])
}

func (e *SkippedError) Unwrap() []error { return e.Errs }

// List returns the newest records, newest first. It returns at most limit records, or
// all of them if limit is 0. If some records cannot be read, it returns the others and a
// *SkippedError.
func List(ctx context.Context, files store.Store, prefix string, limit int) ([]Record, error) {
	all, err := keys(ctx, files, prefix)
	if err != nil {
		return nil, fmt.Errorf("listing the records of runs: %w", err)
	}
	var records []Record
	var skipped []error
	slices.Reverse(all)
	for len(all) > 0 && (limit == 0 || len(records) < limit) {
		next := all[:min(len(all), store.Concurrency(files))]
		if limit > 0 {
			next = next[:min(len(next), limit-len(records))]
		}
		all = all[len(next):]
		found, failed, err := readAll(ctx, files, next)
		if err != nil {
			return nil, err
		}
		records, skipped = append(records, found...), append(skipped, failed...)
	}
	// The keys have the start only to the second.
	slices.SortStableFunc(records, func(a, b Record) int { return b.Started.Compare(a.Started) })
	if skipped != nil {
		return records, &SkippedError{skipped}
	}
	return records, nil
}

// readAll reads the records with these keys at the same time. It returns an error for each
// record that cannot be read, and ignores those that another run has deleted.
func readAll(ctx context.Context, files store.Store, keys []string) (records []Record, skipped []error, err error) {
	all, errs := make([]Record, len(keys)), make([]error, len(keys))
	err = parallel.Range(ctx, len(keys), len(keys), func(ctx context.Context, i int) error {
		all[i], errs[i] = read(ctx, files, keys[i])
		return context.Cause(ctx)
	})
	if err != nil {
		return nil, nil, err
	}
	for i, err := range errs {
		switch {
		case err == nil:
			records = append(records, all[i])
		case !errors.Is(err, store.ErrNotExist):
			skipped = append(skipped, err)
		}
	}
	return records, skipped, nil
}

func read(ctx context.Context, files store.Store, key string) (Record, error) {
	b, err := store.Fetch(ctx, files, key, maxRecord)
	if errors.Is(err, store.ErrTooLarge) {
		return Record{}, &unreadableError{files.URI(key), fmt.Errorf("it is larger than %d MiB", maxRecord>>20)}
	}
	if err != nil {
		return Record{}, err
	}
	r, err := decode(b)
	if err != nil {
		return Record{}, &unreadableError{files.URI(key), err}
	}
	return r, nil
}

// unreadableError reports that an object is not a record, or is damaged.
type unreadableError struct {
	uri string
	why error
}

func (e *unreadableError) Error() string { return fmt.Sprintf("reading %s: %v", e.uri, e.why) }
func (e *unreadableError) Unwrap() error { return e.why }

func decode(b []byte) (r Record, err error) {
	var sniff struct {
		FormatVersion string `json:"format_version"`
	}
	if err := json.Unmarshal(b, &sniff); err != nil {
		return r, fmt.Errorf("it is not the record of a run: %w", err)
	}
	major, _, _ := strings.Cut(FormatVersion, ".")
	if got, _, _ := strings.Cut(sniff.FormatVersion, "."); got != major {
		return r, fmt.Errorf("it has format %q, and this version of prospector reads %s.x; use the version that wrote it", sniff.FormatVersion, major)
	}
	if err := sealed.Verify(b); err != nil && (sniff.FormatVersion != "1.0" || !errors.Is(err, sealed.ErrMissing)) {
		return r, fmt.Errorf("it is damaged: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("it does not have format %s: %w", sniff.FormatVersion, err)
	}
	return r, nil
}
