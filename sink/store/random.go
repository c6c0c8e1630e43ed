package store

import (
	"context"
	"errors"
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
// checksum, and removes the file. It returns ErrCorrupt if they differ from those
// of object.
func OpenFile(ctx context.Context, from Store, object Object, dir string) (File, error) {
	r, err := from.Open(ctx, object.Key)
	if err != nil {
		return nil, err
	}
	if f, ok := r.(File); ok {
		return f, nil
	}
	defer r.Close()
	temp, err := os.CreateTemp(dir, "published-*.parquet")
	if err != nil {
		return nil, err
	}
	size, crc, err := ChecksumReader(io.TeeReader(r, temp))
	if err == nil && (size != object.Size || crc != object.CRC32C) {
		err = ErrCorrupt
	}
	if err = errors.Join(err, os.Remove(temp.Name())); err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return temp, nil
}
