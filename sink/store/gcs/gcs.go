// Package gcs stores objects in a Google Cloud Storage bucket, below a prefix.
//
// Every write and every delete has a generation precondition. If the caller has no
// condition, the package first requests the current generation. A precondition makes the
// operation idempotent, so it can be repeated, and the package detects every other write
// between its read and its write. Every write announces its CRC32C, which the service
// checks.
//
// Each attempt ends when it moves no data for a timeout, and never while it moves data. A
// call repeats what another attempt may correct, until it has made no progress for ten
// times as long. An upload keeps what the service has acknowledged.
//
// A refused precondition does not always mean that another writer finished first: the
// answer to an earlier attempt may be lost, and the next attempt is then refused because
// of the object that this process has written. So each write has an identifier in the
// custom metadata of its object. If a write is refused, and the object has the
// identifier, the write has succeeded. In the same way, a delete that has seen its object
// succeeds if the object is gone.
//
// One case cannot be distinguished: if another writer deletes an object before the next
// attempt to create it, that attempt creates it again.
//
// The package uses the credentials of its options, or else the application-default ones.
// With STORAGE_EMULATOR_HOST in the environment, it sends all requests to that address
// without credentials.
//
// It does not create buckets. It ignores objects whose names end with a slash, which
// consoles create to show folders.
package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"prospector/sink/store"
)

// Store is a store.Store. Open makes one.
type Store struct {
	client   *storage.Client
	http     *http.Client // authenticates; client uses it
	base     *url.URL     // of the JSON API, for http
	bucket   string
	prefix   string // "" or ends with a slash
	options  Options
	sessions *sessions
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Dated      = (*Store)(nil)
	_ store.Concurrent = (*Store)(nil)
)

// Open connects to the bucket and lists it once, so that a missing bucket or missing
// permissions cause an error before any work is done. Keys are relative to prefix, which
// may be empty.
func Open(ctx context.Context, bucket, prefix string, opts Options) (*Store, error) {
	s, err := newStore(ctx, bucket, prefix, opts)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// newStore is Open without a request.
func newStore(ctx context.Context, bucket, prefix string, opts Options) (*Store, error) {
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
	opts.Timeout = cmp.Or(opts.Timeout, defaultTimeout)
	s := &Store{bucket: bucket, prefix: prefix, options: opts, sessions: openSessions(opts.Uploads)}
	// The clients outlive ctx: they fetch tokens whenever they need one.
	life := context.WithoutCancel(ctx)
	var err error
	if s.http, s.base, err = opts.connect(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.URI(""), err)
	}
	s.client, err = storage.NewClient(life, storage.WithJSONReads(), option.WithoutAuthentication(), // s.http authenticates
		option.WithHTTPClient(s.http), option.WithEndpoint(s.base.String()))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.URI(""), sanitize(err))
	}
	s.client.SetRetry(storage.WithErrorFunc(retryable), storage.WithBackoff(backoff(opts.Timeout)))
	return s, nil
}

// probe lists one object.
func probe(ctx context.Context, s *Store) error {
	ctx, watch := s.patient(ctx)
	defer watch.stop()
	objects := s.container().Objects(ctx, s.query(""))
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

// Concurrency implements store.Concurrent.
func (s *Store) Concurrency() int { return cmp.Or(s.options.Parallelism, 16) }

// container returns the bucket. The requests through it are paid by the user project.
func (s *Store) container() *storage.BucketHandle {
	b := s.client.Bucket(s.bucket)
	if s.options.UserProject != "" {
		b = b.UserProject(s.options.UserProject)
	}
	return b
}

func (s *Store) object(key string) *storage.ObjectHandle {
	return s.container().Object(s.prefix + key)
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
