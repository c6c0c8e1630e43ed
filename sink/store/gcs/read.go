package gcs

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
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

// Open implements store.Store. The library compares the CRC32C at the end of the object.
// After a fault it continues with the generation that it began to read.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, s.failure(ctx, reading, key, err)
	}
	ctx, watch := s.patient(ctx)
	r, err := s.object(key).NewReader(ctx)
	watch.renew()
	watch.pause()
	if err == nil && r.Attrs.Generation <= 0 {
		r.Close()
		err = errors.New("the service did not return the generation, so a retry could read another object")
	}
	if err != nil {
		defer watch.stop()
		return nil, s.failure(ctx, reading, key, err)
	}
	return &reader{
		object:  r,
		watch:   watch,
		failure: func(err error) error { return s.failure(ctx, reading, key, err) },
	}, nil
}

type reader struct {
	object  *storage.Reader
	watch   *watch
	failure func(error) error
}

func (r *reader) Read(p []byte) (int, error) {
	r.watch.resume()
	n, err := r.object.Read(p)
	r.watch.move(n)
	r.watch.pause()
	if err != nil && err != io.EOF {
		err = r.failure(err)
	}
	return n, err
}

func (r *reader) Close() error {
	defer r.watch.stop()
	return r.object.Close()
}
