package state_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"prospector/jobs/state"
	"prospector/sink/store/memory"
)

// Two runs share a state in a store. The second one has to wait.
func ExampleRemote() {
	ctx := context.Background()
	bucket := memory.New()
	first := state.NewRemote(bucket, "prospector.state.json", state.RemoteOptions{})
	second := state.NewRemote(bucket, "prospector.state.json", state.RemoteOptions{})

	held, err := first.Lock(ctx, state.NewLockInfo("apply", time.Now()))
	if err != nil {
		panic(err)
	}
	_, err = second.Lock(ctx, state.NewLockInfo("plan", time.Now()))
	fmt.Println("locked:", errors.Is(err, state.ErrLocked))

	s, err := first.Read(held)
	if err != nil {
		panic(err)
	}
	if err := first.Write(held, s); err != nil {
		panic(err)
	}
	if err := first.Unlock(); err != nil {
		panic(err)
	}

	held, err = second.Lock(ctx, state.NewLockInfo("plan", time.Now()))
	if err != nil {
		panic(err)
	}
	if s, err = second.Read(held); err != nil {
		panic(err)
	}
	fmt.Println("serial:", s.Serial)
	if err := second.Unlock(); err != nil {
		panic(err)
	}
	// Output:
	// locked: true
	// serial: 1
}
