package state_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// movable is a backend whose state can be moved away.
type movable interface {
	Lock(context.Context, state.LockInfo) (context.Context, error)
	Read(context.Context) (*state.State, error)
	Write(context.Context, *state.State) error
	Push(context.Context, *state.State, bool) error
	MarkMoved(context.Context, state.Moved) error
	Store() (store.Store, string)
	BackupKey() string
}

func TestMarkMoved(t *testing.T) {
	moved := state.Moved{To: "gs://acme/new.json", At: time.Date(2022, 1, 13, 2, 0, 0, 0, time.UTC), By: "someone@host, process 1", Lineage: "l", Serial: 1}
	for name, open := range map[string]func() movable{
		"local":  func() movable { return backend(t, statePath(t)) },
		"remote": func() movable { return state.NewRemote(memory.New(), "prospector.state.json", state.RemoteOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := open()
			if err := lock(t, b, state.NewLockInfo("init", time.Now())); err != nil {
				t.Fatal(err)
			}
			if err := b.MarkMoved(t.Context(), moved); err == nil {
				t.Error("a state that does not exist is marked as moved")
			}
			s := read(t, b)
			write(t, b, s)
			if err := b.MarkMoved(t.Context(), moved); err != nil {
				t.Fatal(err)
			}

			_, err := b.Read(t.Context())
			found, ok := errors.AsType[*state.MovedError](err)
			if !ok || found.Moved != moved {
				t.Fatalf("Read returns %v", err)
			}
			var d jobs.Diagnostic
			if !errors.As(err, &d) || !strings.Contains(d.Detail, moved.To) || !strings.Contains(d.Detail, moved.By) {
				t.Errorf("the diagnostic is %+v", d)
			}

			// The state is the backup, which only force brings back.
			files, _ := b.Store()
			r, err := files.Open(t.Context(), b.BackupKey())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			text, err := store.ReadAll(r, state.MaxSize)
			if err != nil {
				t.Fatal(err)
			}
			backup, err := state.Decode(text)
			if err != nil || backup.Lineage != s.Lineage || backup.Serial != 1 {
				t.Fatalf("the backup is %+v, %v", backup, err)
			}
			if err := b.Push(t.Context(), backup, false); !errors.As(err, &found) {
				t.Errorf("a push returns %v", err)
			}
			if err := b.Push(t.Context(), backup, true); err != nil {
				t.Error(err)
			}
			if got := read(t, b); got.Serial != 1 {
				t.Errorf("the state is %+v", got)
			}
		})
	}
}
