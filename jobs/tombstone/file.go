package tombstone

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"prospector/internal/sealed"
	"prospector/sink/store"
)

// Key is the object that holds a sink's tombstones, outside of every table.
const Key = ".prospector/tombstones.json"

// Version is the version of the file format. It is the only one so far.
const Version = 1

var (
	// ErrDamaged reports that a sink's tombstones cannot be read. The next Write
	// replaces them.
	ErrDamaged = errors.New("the tombstones are damaged")
	// ErrNewer reports that a newer version of prospector wrote a sink's
	// tombstones.
	ErrNewer = errors.New("the tombstones were written by a newer version of prospector")
)

const (
	mediaType = "application/json"

	// maxSize is the maximum size in bytes of a file that is read. A tombstone
	// takes about 70 bytes.
	maxSize = 256 << 20

	// maxAttempts limits how often Write tries, if other runs keep writing the
	// file.
	maxAttempts = 10
)

type fileV1 struct {
	Version  int    `json:"version"`
	Checksum string `json:"checksum"`
	Keys     Set    `json:"keys"`
}

func encode(s Set) ([]byte, error) { return sealed.Marshal(fileV1{Version: Version, Keys: s}) }

func decode(b []byte) (Set, error) {
	var sniff struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &sniff); err != nil {
		return nil, fmt.Errorf("%w: not JSON: %w", ErrDamaged, err)
	}
	if sniff.Version > Version {
		return nil, fmt.Errorf("%w: they have format %d, and this version reads up to %d; use the newer version, or delete the file if no newer version was in use", ErrNewer, sniff.Version, Version)
	}
	if err := sealed.Verify(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var f fileV1
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Version != Version {
		return nil, fmt.Errorf("%w: not format %d: %w", ErrDamaged, Version, err)
	}
	if err := f.Keys.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return Set(nil).Merge(f.Keys), nil
}

// Check validates a set that was read from a file.
func (s Set) Check() error {
	for _, k := range s {
		if len(k.Key) != keySize || k.Lineage == "" {
			return fmt.Errorf("a key of tombstones has %d bytes instead of %d, or it has no lineage", len(k.Key), keySize)
		}
		for _, hash := range k.Hashes {
			if b, err := hex.DecodeString(hash); err != nil || len(b) != keySize || hash != strings.ToLower(hash) {
				return errors.New("a tombstone is not 64 hexadecimal digits")
			}
		}
	}
	return nil
}

// Read returns the tombstones of a sink, or none if there is no file. If the file cannot
// be used, the error wraps ErrDamaged or ErrNewer.
func Read(ctx context.Context, files store.Store) (Set, error) {
	s, _, err := read(ctx, files)
	return s, err
}

// read also returns the generation of the file, even with ErrDamaged, or "" if
// there is no file.
func read(ctx context.Context, files store.Store) (s Set, generation string, err error) {
	for entry, err := range files.List(ctx, Key) {
		if err != nil {
			return nil, "", fmt.Errorf("reading the tombstones: %w", err)
		}
		if entry.Key == Key {
			generation = entry.Generation
		}
	}
	if generation == "" {
		return nil, "", nil
	}
	b, err := store.Fetch(ctx, files, Key, maxSize)
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return nil, generation, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, "", fmt.Errorf("reading the tombstones: %w", err)
	}
	if s, err = decode(b); err != nil {
		return nil, generation, fmt.Errorf("reading %s: %w", files.URI(Key), err)
	}
	return s, generation, nil
}

// Write adds tombstones to those of a sink, and replaces a damaged file. It
// keeps the tombstones that other runs write at the same time. If the sink
// already has all of s, it writes nothing.
func Write(ctx context.Context, files store.Store, s Set) error {
	for range maxAttempts {
		have, generation, err := read(ctx, files)
		damaged := errors.Is(err, ErrDamaged)
		if errors.Is(err, store.ErrNotExist) { // it was deleted after it was listed
			continue
		}
		if err != nil && !damaged {
			return err
		}
		if !damaged && have.Contains(s) {
			return nil
		}
		b, err := encode(have.Merge(s))
		if err != nil {
			return err
		}
		cond := store.IfAbsent()
		if generation != "" {
			cond = store.IfGeneration(generation)
		}
		_, err = files.Put(ctx, Key, store.ContentOf(b, mediaType), cond)
		if !errors.Is(err, store.ErrCondition) {
			return err
		}
	}
	return fmt.Errorf("writing %s: other runs keep writing it: %w", files.URI(Key), store.ErrCondition)
}
