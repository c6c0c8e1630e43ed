// Package gcs stores objects in a Google Cloud Storage bucket, below a prefix.
//
// Every write and every delete has a generation precondition. If the caller has no
// condition, the package first requests the current generation. A precondition makes the
// operation idempotent, so the client library can retry it, and the package detects every
// other write between its read and its write. Every write announces its CRC32C, which the
// service checks. The library retries without limit until the context ends, so every
// call has a deadline.
//
// A refused precondition does not always mean that another writer finished first. The
// library may retry a write whose first attempt succeeded, but whose response was lost.
// The retry is then refused because of the object that this process has written. So if a
// write is refused after a retry, the package compares the size and CRC32C of the object
// with those of its content. If they are equal, the write has succeeded. If a write is
// refused without a retry, another writer finished first, whatever it has written. In the
// same way, a repeated delete that finds no object has succeeded.
//
// The package uses application-default credentials. With STORAGE_EMULATOR_HOST in the
// environment, it sends requests to that address without credentials.
//
// It does not create buckets. It ignores objects whose names end with a slash, which
// consoles create to show folders.
package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"prospector/sink/store"
)

// Options are the limits of one Store. The zero value means the defaults.
type Options struct {
	// Timeout limits the duration of a call including its retries. For List and
	// readers, it limits each wait. 0 means a minute.
	Timeout time.Duration
	// MinRate, in bytes per second, extends the time limit of a Put by the time that
	// its content takes at this rate. 0 means 256 KiB per second.
	MinRate int64
	// Client contains options for the client library.
	Client []option.ClientOption
}

// Store is a store.Store. Open makes one.
type Store struct {
	client  *storage.Client
	bucket  string
	prefix  string // "" or ends with a slash
	timeout time.Duration
	minRate int64
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Dated = (*Store)(nil)
)

// Open connects to the bucket and lists it once, so that a missing bucket or missing
// permissions cause an error before any work is done. Keys are relative to prefix, which
// may be empty.
func Open(ctx context.Context, bucket, prefix string, opts Options) (*Store, error) {
	if bucket == "" || strings.ContainsAny(bucket, "/:") {
		return nil, fmt.Errorf("opening a Cloud Storage bucket: %q is not the name of a bucket; use the name without gs:// and path", bucket)
	}
	prefix = strings.Trim(prefix, "/")
	if prefix != "" {
		if err := store.CheckKey(prefix); err != nil {
			return nil, fmt.Errorf("opening gs://%s with the prefix %q: %w", bucket, prefix, err)
		}
		prefix += "/"
	}
	s := &Store{
		bucket: bucket, prefix: prefix,
		timeout: cmp.Or(opts.Timeout, time.Minute),
		minRate: cmp.Or(opts.MinRate, 256<<10),
	}
	// The client outlives ctx: it fetches tokens whenever it needs one.
	client, err := storage.NewClient(context.WithoutCancel(ctx),
		append([]option.ClientOption{storage.WithJSONReads()}, opts.Client...)...)
	if err != nil {
		return nil, fmt.Errorf("opening %s: no usable Google credentials; run gcloud auth application-default login, "+
			"or set GOOGLE_APPLICATION_CREDENTIALS to a key file: %w", s.URI(""), sanitize(err))
	}
	s.client = client
	if err := s.probe(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

// probe lists one object.
func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := s.deadline(ctx, 0)
	defer cancel()
	objects := s.client.Bucket(s.bucket).Objects(ctx, s.query(""))
	objects.PageInfo().MaxSize = 1
	if _, err := objects.Next(); err != nil && !errors.Is(err, iterator.Done) {
		return s.failure(ctx, listing, "", err)
	}
	return nil
}

// URI implements store.Store: gs://bucket/prefix/key.
func (s *Store) URI(key string) string {
	return uri(s.bucket, s.prefix, key)
}

// Close implements store.Store.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) object(key string) *storage.ObjectHandle {
	return s.client.Bucket(s.bucket).Object(s.prefix + key)
}

// query returns a query for the fields of an Entry, for objects whose keys begin with
// prefix.
func (s *Store) query(prefix string) *storage.Query {
	q := &storage.Query{Prefix: s.prefix + prefix, Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name", "Size", "Generation"}); err != nil {
		panic(err) // a misspelt name above
	}
	return q
}

// errSlow is the cause of a context that ended because the service did not answer in
// time.
var errSlow = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// deadline limits one call that transfers size bytes.
func (s *Store) deadline(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.putTimeout(size), errSlow)
}

func (s *Store) putTimeout(size int64) time.Duration {
	return s.timeout + time.Duration(float64(size)/float64(s.minRate)*float64(time.Second))
}

// patience limits each wait within a call, but not the time that the caller takes
// between the waits.
type patience struct {
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
}

// patience returns a context that ends if a wait takes too long. The first wait begins
// at once.
func (s *Store) patience(ctx context.Context) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{limit: s.timeout, cancel: cancel}
	p.timer = time.AfterFunc(p.limit, func() { cancel(errSlow) })
	return ctx, p
}

func (p *patience) wait()  { p.timer.Reset(p.limit) }
func (p *patience) relax() { p.timer.Stop() }
func (p *patience) end()   { p.timer.Stop(); p.cancel(context.Canceled) }
