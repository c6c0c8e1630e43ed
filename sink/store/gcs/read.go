package gcs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/iterator"

	"prospector/sink/store"
)

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		ctx, watch := s.patient(ctx)
		defer watch.stop()
		objects := s.container().Objects(ctx, s.query(prefix))
		for {
			watch.resume()
			attrs, err := objects.Next()
			watch.renew()
			watch.pause()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(store.Entry{}, s.failure(ctx, listing, prefix, err))
				return
			}
			if strings.HasSuffix(attrs.Name, "/") {
				continue
			}
			if !yield(s.describe(attrs).Entry, nil) {
				return
			}
		}
	}
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Object, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Object{}, s.failure(ctx, describing, key, err)
	}
	ctx, watch := s.patient(ctx)
	defer watch.stop()
	attrs, err := s.object(key).Attrs(ctx)
	if err != nil {
		return store.Object{}, s.failure(ctx, describing, key, err)
	}
	return s.describe(attrs), nil
}

// Written implements store.Dated.
func (s *Store) Written(ctx context.Context, key string) (time.Time, error) {
	ctx, watch := s.patient(ctx)
	defer watch.stop()
	attrs, err := s.object(key).Attrs(ctx)
	if err != nil {
		return time.Time{}, s.failure(ctx, describing, key, err)
	}
	return attrs.Updated, nil
}

func (s *Store) describe(attrs *storage.ObjectAttrs) store.Object {
	return store.Object{
		Entry: store.Entry{
			Key:        strings.TrimPrefix(attrs.Name, s.prefix),
			Size:       attrs.Size,
			Generation: strconv.FormatInt(attrs.Generation, 10),
		},
		CRC32C: attrs.CRC32C,
	}
}

// maxBuffered is the size of the largest object that Open reads at once. Larger ones
// are read as the caller reads.
const maxBuffered = 1 << 20

// Open implements store.Store. The library compares the CRC32C at the end of the object.
// After a fault it continues with the generation that it began to read. If the checksum of
// a small object is wrong, or the object is replaced meanwhile, Open reads it again. The
// caller has the first bytes of a larger one then, so Read returns store.ErrCorrupt.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	ctx, watch := s.patient(ctx)
	r, err := s.open(ctx, key, watch)
	if err != nil {
		defer watch.stop()
		return nil, s.failure(ctx, reading, key, err)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, key string, watch *watch) (io.ReadCloser, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	pause := backoff(s.options.Timeout)
	for attempt := 1; ; attempt++ {
		watch.resume()
		object, err := s.object(key).NewReader(ctx)
		if err != nil {
			return nil, err
		}
		r := received{object, watch}
		if object.Attrs.Generation <= 0 {
			r.Close()
			return nil, errors.New("the service did not return the generation, so a retry could read another object")
		}
		watch.renew()
		watch.pause()
		if object.Attrs.Size < 0 || object.Attrs.Size > maxBuffered {
			return &reader{r, func(err error) error { return s.failure(ctx, reading, key, err) }}, nil
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			watch.stop()
			return io.NopCloser(bytes.NewBuffer(data)), nil
		}
		if !errors.Is(err, store.ErrCorrupt) || attempt == minTries || gax.Sleep(ctx, pause.Pause()) != nil {
			return nil, err
		}
	}
}

// contentError returns store.ErrCorrupt if what was read is not the complete object that
// was opened, and other errors as they are. The library's error about a wrong checksum has
// no type. If it has to continue after a fault, the generation that it reads may no longer
// exist, although the object does.
func contentError(err error) error {
	switch {
	case strings.Contains(err.Error(), "storage: bad CRC on read"):
		return fmt.Errorf("%w on the way from the service", store.ErrCorrupt)
	case errors.Is(err, storage.ErrObjectNotExist) && !saysBucket(err):
		return fmt.Errorf("it was replaced or deleted while it was read: %w", store.ErrCorrupt)
	}
	return err
}

// received is an object whose bytes are progress of the call.
type received struct {
	object *storage.Reader
	watch  *watch
}

func (r received) Read(p []byte) (int, error) {
	r.watch.resume()
	n, err := r.object.Read(p)
	r.watch.move(n)
	r.watch.pause()
	if err != nil && err != io.EOF {
		err = contentError(err)
	}
	return n, err
}

func (r received) Close() error { return r.object.Close() }

// reader reads a larger object.
type reader struct {
	received
	failure func(error) error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.received.Read(p)
	if err != nil && err != io.EOF {
		err = r.failure(err)
	}
	return n, err
}

func (r *reader) Close() error {
	defer r.watch.stop()
	return r.received.Close()
}
