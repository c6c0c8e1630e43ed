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
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"prospector/internal/attribute"
	"prospector/sink/store"
)

// Options determine how a Store reaches the service and how it writes objects. They do
// not determine which objects it has. The zero value means the defaults.
type Options struct {
	// Credentials are a key in JSON, or the path of a file with one. If they are empty,
	// the application-default credentials are used.
	Credentials attribute.Secret
	// ImpersonateServiceAccount is the e-mail address of a service account. If it is not
	// empty, the credentials are used only to get tokens of that account.
	ImpersonateServiceAccount string
	// UserProject is the project that pays for the requests, and whose quota they use.
	UserProject string
	// Endpoint is the root URL of the service, or "" for https://storage.googleapis.com.
	Endpoint string

	// KMSKeyName is the Cloud KMS key that encrypts new objects, StorageClass is their
	// storage class, and Metadata is their custom metadata. If a value is empty, new
	// objects have the default of the bucket.
	KMSKeyName   string
	StorageClass string
	Metadata     map[string]string

	// Timeout limits the duration of a call including its retries. For List and
	// readers, it limits each wait. 0 means a minute.
	Timeout time.Duration
	// MinRate, in bytes per second, extends the time limit of a Put by the time that
	// its content takes at this rate. 0 means 256 KiB per second.
	MinRate int64
	// Parallelism is how many requests the callers should send at a time. 0 means 16.
	Parallelism int
}

// Store is a store.Store. Open makes one.
type Store struct {
	client  *storage.Client
	http    *http.Client // authenticates; client uses it
	base    *url.URL     // of the JSON API, for http
	bucket  string
	prefix  string // "" or ends with a slash
	options Options
	timeout time.Duration
	minRate int64
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
		bucket: bucket, prefix: prefix, options: opts,
		timeout: cmp.Or(opts.Timeout, time.Minute),
		minRate: cmp.Or(opts.MinRate, 256<<10),
	}
	// The clients outlive ctx: they fetch tokens whenever they need one.
	life := context.WithoutCancel(ctx)
	var err error
	if s.http, s.base, err = opts.connect(life); err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.URI(""), err)
	}
	s.client, err = storage.NewClient(life, storage.WithJSONReads(), option.WithoutAuthentication(), // s.http authenticates
		option.WithHTTPClient(s.http), option.WithEndpoint(s.base.String()))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.URI(""), sanitize(err))
	}
	if err := s.probe(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// probe lists one object.
func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := s.deadline(ctx, 0)
	defer cancel()
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

// deadline limits one call that transfers size bytes.
func (s *Store) deadline(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	limit := s.putTimeout(size)
	return context.WithTimeoutCause(ctx, limit, &exhausted{limit})
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
	p.timer = time.AfterFunc(p.limit, func() { cancel(&exhausted{p.limit}) })
	return ctx, p
}

func (p *patience) wait()  { p.timer.Reset(p.limit) }
func (p *patience) relax() { p.timer.Stop() }
func (p *patience) end()   { p.timer.Stop(); p.cancel(context.Canceled) }
