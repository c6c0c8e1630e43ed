package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is an object that is open for random access. The reader that Store.Open
// returns is a File if the store supports random access.
type File interface {
	io.ReaderAt
	io.Closer
}

// OpenFile opens an object for random access. If the store's reader has no ReadAt,
// OpenFile copies the object into a temporary file in dir, checks its size and
// checksum, and removes the file. If they differ from those of object, OpenFile returns
// ErrCorrupt. If the store says that they are equal, the bytes have changed on the way,
// and OpenFile first copies the object again.
func OpenFile(ctx context.Context, from Store, object Object, dir string) (File, error) {
	for attempt := 1; ; attempt++ {
		f, err := openFile(ctx, from, object, dir)
		if !errors.Is(err, ErrCorrupt) || attempt == maxReads {
			return f, err
		}
		if now, statErr := from.Stat(ctx, object.Key); statErr != nil || now.Size != object.Size || now.CRC32C != object.CRC32C {
			return nil, err
		}
	}
}

func openFile(ctx context.Context, from Store, object Object, dir string) (File, error) {
	r, err := from.Open(ctx, object.Key)
	if err != nil {
		return nil, err
	}
	if f, ok := r.(File); ok {
		return f, nil
	}
	defer r.Close()
	temp, err := os.CreateTemp(dir, "published-*")
	if err != nil {
		return nil, err
	}
	size, crc, err := ChecksumReader(io.TeeReader(r, temp))
	if err == nil && (size != object.Size || crc != object.CRC32C) {
		err = fmt.Errorf("reading %s: %w", from.URI(object.Key), ErrCorrupt)
	}
	if err = errors.Join(err, os.Remove(temp.Name())); err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return temp, nil
}
