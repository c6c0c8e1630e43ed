package state_test

import (
	"context"
	"errors"
	"testing"

	"prospector/jobs/state"
)

// A saver writes a state that has changed, once.
func TestSaver(t *testing.T) {
	s := state.New()
	writes := 0
	var fail error
	saver, err := state.NewSaver(s, func(_ context.Context, of *state.State) error {
		if fail != nil {
			return fail
		}
		writes++
		of.Serial++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	save := func(want int, wanted error) {
		t.Helper()
		if err := saver.Save(t.Context()); !errors.Is(err, wanted) || writes != want {
			t.Errorf("there are %d writes, want %d: %v", writes, want, err)
		}
	}
	save(0, nil)
	s.Job("job.a").TableName = "a"
	save(1, nil)
	save(1, nil)
	s.Erasing = true
	fail = errors.New("broken")
	save(1, fail)
	fail = nil
	save(2, nil)
	s.Erasing = false
	save(3, nil)
}
