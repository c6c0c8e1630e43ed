package main

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"prospector/sink/store"
)

// counted is a store that counts the bytes that are read and written.
type counted struct {
	store.Store
	read, written atomic.Int64
	// writing is called, if set, before the first object is written.
	writing func() error
	begun   sync.Once
}

// Stat counts the object as read, since a driver may read it for its checksum.
func (c *counted) Stat(ctx context.Context, key string) (store.Object, error) {
	o, err := c.Store.Stat(ctx, key)
	c.read.Add(o.Size)
	return o, err
}

func (c *counted) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := c.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	stream := countedReader{r, &c.read}
	if at, ok := r.(io.ReaderAt); ok { // without it, the caller would copy the object
		return &countedFile{stream, at}, nil
	}
	return &stream, nil
}

func (c *counted) Put(ctx context.Context, key string, content store.Content, cond store.Condition) (store.Object, error) {
	var err error
	c.begun.Do(func() {
		if c.writing != nil {
			err = c.writing()
		}
	})
	if err != nil {
		return store.Object{}, err
	}
	o, err := c.Store.Put(ctx, key, content, cond)
	c.written.Add(o.Size)
	return o, err
}

type countedReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.n.Add(int64(n))
	return n, err
}

type countedFile struct {
	countedReader
	at io.ReaderAt
}

func (f *countedFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.at.ReadAt(b, offset)
	f.n.Add(int64(n))
	return n, err
}
