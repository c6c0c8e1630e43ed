// Package gcs keeps objects in a Google Cloud Storage bucket, below a prefix.
//
// Every write and delete carries a generation precondition, also where the
// caller has none: then it first asks which generation is there. That makes them
// idempotent, so that the client library repeats them after a fault, and leaves
// no moment between looking and acting. Every write announces its CRC32C, which
// the service checks. The library repeats without bound until the context ends,
// so every call has a deadline.
//
// Whether a refused precondition means a rival. The library may repeat a write
// whose first attempt had succeeded while the answer was lost; the repetition is
// then refused because of the object that we wrote ourselves. So when a write is
// refused after the library has repeated it, the object's size and CRC32C are
// compared with ours, and equal ones are a success. When the library has not
// repeated it, a refusal is a rival's doing, whatever the rival has written. In
// the same way a repeated delete that finds nothing has succeeded.
//
// Credentials are the application-default ones. With STORAGE_EMULATOR_HOST in
// the environment, requests go there instead, without credentials.
//
// It does not create buckets, and does not look at objects' names that end with
// a slash: those are how consoles draw folders.
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

// Options are the limits of one Store. The zero value has sensible ones.
type Options struct {
	// Timeout is how long one call may take, its repetitions included, or one
	// wait of a call that waits often, as List and a reader do. 0 is a minute.
	Timeout time.Duration
	// MinRate, in bytes a second, is how slow a Put may be: it has Timeout and
	// the time that its content takes at this rate. 0 is 256 KiB.
	MinRate int64
	// Client is passed on to the client library.
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

// Open connects to the bucket and looks at it once, so that a missing bucket and
// missing permissions are known before any work is done. Keys are relative to
// prefix, which may be empty.
func Open(ctx context.Context, bucket, prefix string, opts Options) (*Store, error) {
	if bucket == "" || strings.ContainsAny(bucket, "/:") {
		return nil, fmt.Errorf("opening a Cloud Storage bucket: %q is not a bucket's name; name it without gs:// and path", bucket)
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
			"or name a key file in GOOGLE_APPLICATION_CREDENTIALS: %w", s.URI(""), sanitize(err))
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

// query asks for what an Entry needs of the objects whose keys begin with prefix.
func (s *Store) query(prefix string) *storage.Query {
	q := &storage.Query{Prefix: s.prefix + prefix, Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name", "Size", "Generation"}); err != nil {
		panic(err) // a misspelt name above
	}
	return q
}

// errSlow is the cause of a context that ended because the service did not
// answer in time.
var errSlow = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// deadline bounds one call that moves size bytes.
func (s *Store) deadline(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.putTimeout(size), errSlow)
}

func (s *Store) putTimeout(size int64) time.Duration {
	return s.timeout + time.Duration(float64(size)/float64(s.minRate)*float64(time.Second))
}

// patience bounds each of several waits within one call, and not the time that
// the caller takes between them.
type patience struct {
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
}

// patience gives a context that ends with a wait that takes too long. The first
// wait has begun.
func (s *Store) patience(ctx context.Context) (context.Context, *patience) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &patience{limit: s.timeout, cancel: cancel}
	p.timer = time.AfterFunc(p.limit, func() { cancel(errSlow) })
	return ctx, p
}

func (p *patience) wait()  { p.timer.Reset(p.limit) }
func (p *patience) relax() { p.timer.Stop() }
func (p *patience) end()   { p.timer.Stop(); p.cancel(context.Canceled) }
