package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"prospector/sink/store"
)

var (
	// ErrLineage reports that a state belongs to another lake.
	ErrLineage = errors.New("the lineages differ")
	// ErrSerial reports that a state is not newer than another of the same lineage.
	ErrSerial = errors.New("the serial is not newer")
)

// CheckPush reports whether next may replace current. It returns ErrLineage if
// next belongs to another lake, and ErrSerial if next is older, or has the same
// serial but different content. Any state may replace one that owns nothing.
func CheckPush(current, next *State) error {
	if current == nil || current.Serial == 0 || current.Empty() {
		return nil
	}
	if current.Lineage != next.Lineage {
		return fmt.Errorf("%w: the current state has lineage %s and the pushed state %s, so it belongs to another lake; to replace the state anyway, use -force",
			ErrLineage, current.Lineage, next.Lineage)
	}
	switch {
	case next.Serial > current.Serial:
		return nil
	case next.Serial < current.Serial:
		return fmt.Errorf("%w: the current state has serial %d, and the pushed state has the older serial %d; pull the current state and repeat your change, or use -force to roll back",
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
		return fmt.Errorf("%w: both states have serial %d, but their content differs; compare them, and increase the serial of the correct state or use -force",
			ErrSerial, current.Serial)
	}
	return nil
}

// ErroredName is the file in the working directory to which an apply writes a state
// that its backend could not write.
const ErroredName = "errored.prospector.state.json"

// WriteErrored writes to dir a state that a backend could not write. The state gets
// the serial that the backend would have given it, so that pushing it has the effect
// of the failed write. The store dir is on this machine, and its writes are durable.
func WriteErrored(ctx context.Context, dir store.Store, s *State) error {
	next := *s
	next.Serial++
	b, err := Encode(&next)
	if err == nil {
		// An existing file is older: this run has seen the objects that it
		// owns.
		_, err = dir.Put(ctx, ErroredName, store.ContentOf(b, mediaType), store.Condition{})
	}
	if err != nil {
		return fmt.Errorf("saving the state that could not be written: %w", err)
	}
	return nil
}

// ReadErrored returns the state that WriteErrored wrote to dir, or
// store.ErrNotExist.
func ReadErrored(ctx context.Context, dir store.Store) (*State, error) {
	b, err := store.Fetch(ctx, dir, ErroredName, MaxSize)
	if err != nil {
		return nil, err
	}
	s, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir.URI(ErroredName), err)
	}
	return s, nil
}
