package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"prospector/sink/store"
)

var (
	// ErrLineage says that a state is that of another lake.
	ErrLineage = errors.New("the lineages differ")
	// ErrSerial says that a state does not follow another of its lineage.
	ErrSerial = errors.New("the serial does not follow")
)

// CheckPush reports whether next may take the place of current: ErrLineage when
// it is another lake's, ErrSerial when it is older, or as old and not the same.
// The place of a state that owns nothing may be taken by any.
func CheckPush(current, next *State) error {
	if current == nil || current.Serial == 0 || current.Empty() {
		return nil
	}
	if current.Lineage != next.Lineage {
		return fmt.Errorf("%w: it is %s, and %s that is to be pushed; that one was made for another lake, unless you know better: then use -force",
			ErrLineage, current.Lineage, next.Lineage)
	}
	switch {
	case next.Serial > current.Serial:
		return nil
	case next.Serial < current.Serial:
		return fmt.Errorf("%w: it has serial %d, and the one that is to be pushed the older %d; pull the state and make your change again, or use -force to go back",
			ErrSerial, current.Serial, next.Serial)
	}
	before, err := Encode(current)
	if err != nil {
		return err
	}
	after, err := Encode(next)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, after) {
		return fmt.Errorf("%w: both have serial %d and say different things; compare them, and give the one that is right a higher serial, or use -force",
			ErrSerial, current.Serial)
	}
	return nil
}

// ErroredName is the file, in the working directory, of a state that an apply
// could not write to its place.
const ErroredName = "errored.prospector.state.json"

// WriteErrored keeps in dir the state that a backend could not write, with the
// serial that it would have got there, so that pushing it is what the write
// should have been. dir is a store of this machine, whose writes are durable.
func WriteErrored(ctx context.Context, dir store.Store, s *State) error {
	next := *s
	next.Serial++
	b, err := Encode(&next)
	if err == nil {
		// One that is there is older: what it owns has been seen since.
		_, err = dir.Put(ctx, ErroredName, store.ContentOf(b, mediaType), store.Condition{})
	}
	if err != nil {
		return fmt.Errorf("keeping the state that could not be written: %w", err)
	}
	return nil
}

// ReadErrored gives the state that WriteErrored has kept in dir, or
// store.ErrNotExist.
func ReadErrored(ctx context.Context, dir store.Store) (*State, error) {
	b, err := fetch(ctx, dir, ErroredName)
	if err != nil {
		return nil, err
	}
	s, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir.URI(ErroredName), err)
	}
	return s, nil
}
