package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/google/uuid"
)

var (
	// ErrLocked reports that another run holds the lock. errors.As finds a
	// *LockedError that describes the run.
	ErrLocked = errors.New("the state is locked")
	// ErrLockLost reports that this run has lost, or may have lost, the lock
	// that it took.
	ErrLockLost = errors.New("the lock on the state is lost")
	// ErrNotLocked reports that no run holds the lock.
	ErrNotLocked = errors.New("the state is not locked")
)

// LockInfo describes the holder of a lock.
type LockInfo struct {
	ID        string    `json:"id"`        // unique to the run
	Operation string    `json:"operation"` // "apply", "plan"
	Who       string    `json:"who"`       // user@host, process
	Created   time.Time `json:"created"`
	Path      string    `json:"path"`
	// Lease is how long the lock is valid without a renewal. It is zero for a
	// lock that ends with its process. In the file it is in nanoseconds.
	Lease time.Duration `json:"lease,omitempty"`
	// Expires is when the lease ends by the holder's clock.
	Expires time.Time `json:"expires,omitzero"`
}

// NewLockInfo returns a description of this process.
func NewLockInfo(operation string, now time.Time) LockInfo {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return LockInfo{
		ID: uuid.NewString(), Operation: operation, Created: now.UTC(),
		Who: fmt.Sprintf("%s@%s, process %d", name, host, os.Getpid()),
	}
}

// String describes the holder for error messages.
func (i LockInfo) String() string {
	switch {
	case i.ID == "" && i.Lease > 0:
		return fmt.Sprintf("an object that prospector has not written (%s.lock)", i.Path)
	case i.ID == "":
		return "another run that is just starting or ending"
	}
	s := fmt.Sprintf("%s (%s since %s, lock %s", i.Who, i.Operation, i.Created.Format(time.RFC3339), i.ID)
	if !i.Expires.IsZero() {
		s += ", lease until " + i.Expires.Format(time.RFC3339)
	}
	return s + ")"
}

// LockedError is an ErrLocked that describes the holder.
type LockedError struct{ Holder LockInfo }

func (e *LockedError) Error() string {
	s := fmt.Sprintf("%s by %s", ErrLocked, e.Holder)
	if lease := e.Holder.Lease; lease > 0 {
		enough := strings.Replace((2 * lease).String(), "m0s", "m", 1)
		s += fmt.Sprintf("; if no run renews it, -lock-timeout=%s waits long enough to take it over", enough)
	}
	return s
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// UnlockError reports that a run has lost its lock, or cannot release it, and what the
// run has written. In the first case it wraps ErrLockLost. In the second case the lock
// expires on its own.
type UnlockError struct {
	Path string // of the state
	ID   string // of the lock
	Why  error
	// Serial is the serial of the state that the run wrote last under the lock, or 0 if
	// it has not written the state.
	Serial int64
	// Unknown reports whether a later write of the state ended without a response. It
	// may have succeeded.
	Unknown bool
}

func (e *UnlockError) Error() string {
	s := fmt.Sprintf("unlocking the state %s: %s", e.Path, e.Why)
	if !errors.Is(e.Why, ErrLockLost) {
		s += "; the lock expires on its own"
	}
	return s
}

func (e *UnlockError) Unwrap() error { return e.Why }

// WithoutInterrupt returns a context for work that an interrupt must not leave
// half-done. It does not end when ctx ends, unless ctx ends because the lock is
// lost.
func WithoutInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, ErrLockLost) {
			cancel(cause)
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// Locker is the part of a backend that LockWithin needs.
type Locker interface {
	Lock(context.Context, LockInfo) (context.Context, error)
}

const (
	// firstWait and longestWait limit the time between two attempts to take a
	// lock. A longer wait saves requests, but a waiting run notices later that
	// the lock is free.
	firstWait   = 250 * time.Millisecond
	longestWait = 5 * time.Second
)

// LockWithin takes the lock. While another run holds it, LockWithin waits for up to
// timeout. It calls onWait, which may be nil, when it begins to wait, and when
// another run becomes the holder.
func LockWithin(ctx context.Context, backend Locker, info LockInfo, timeout time.Duration, onWait func(*LockedError)) (context.Context, error) {
	began := time.Now()
	var holder string
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		held, err := backend.Lock(ctx, info)
		locked, ok := errors.AsType[*LockedError](err)
		if !ok {
			return held, err
		}
		left := timeout - time.Since(began)
		switch {
		case timeout <= 0:
			return nil, err
		case left <= 0:
			return nil, fmt.Errorf("after waiting for %s, %w", timeout, err)
		}
		if onWait != nil && (wait == firstWait || holder != locked.Holder.ID) {
			onWait(locked)
		}
		holder = locked.Holder.ID
		select {
		case <-time.After(min(wait, left)):
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock on the state: %w", context.Cause(ctx))
		}
	}
}
