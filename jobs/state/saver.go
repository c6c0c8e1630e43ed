package state

import (
	"bytes"
	"context"
)

// Saver stores a state that changes in memory.
type Saver struct {
	state *State
	write func(context.Context, *State) error
	saved []byte // the state as it was written last
}

// NewSaver returns a saver for a state that is already stored. Save stores it
// with the function write.
func NewSaver(s *State, write func(context.Context, *State) error) (*Saver, error) {
	saved, err := Encode(s)
	if err != nil {
		return nil, err
	}
	return &Saver{s, write, saved}, nil
}

// Save writes the state if it has changed since NewSaver or the last Save.
func (s *Saver) Save(ctx context.Context) error {
	now, err := Encode(s.state)
	if err != nil || bytes.Equal(s.saved, now) {
		return err
	}
	if err := s.write(ctx, s.state); err != nil {
		return err
	}
	s.saved, err = Encode(s.state) // with its new serial
	return err
}
