package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"prospector/sink/store"
)

// This file has the lock of a Remote as an object in a store. Every change of the
// object is conditional on its generation.

func (r *Remote) lockKey() string { return r.key + ".lock" }

// acquire creates the lock, or takes over the lock of a dead run.
func (r *Remote) acquire(ctx context.Context, info LockInfo) (_ *hold, takenOver bool, err error) {
	var holder LockInfo
	cond, replaces := store.IfAbsent(), false // whether it replaces the lock of another run
	for range maxAttempts {
		h, err := r.putLock(ctx, info, cond)
		takenOver = takenOver || err == nil && replaces
		switch {
		case err == nil && h.check(r.now()) == nil:
			return h, takenOver, nil
		case err == nil, isRefused(err):
		case takenOver || replaces:
			_ = r.expireLock(ctx, info.ID) // the takeover may have succeeded
			return nil, false, err
		default:
			// The lock may have been created. Nothing has happened under it
			// yet, so it can be deleted.
			_ = r.deleteLock(ctx, info.ID)
			return nil, false, err
		}
		asked := r.now()
		var generation string
		holder, generation, err = r.holder(ctx)
		cond, replaces = store.IfGeneration(generation), holder.ID != info.ID
		switch {
		case errors.Is(err, store.ErrNotExist): // it was released in the meantime
			cond, replaces = store.IfAbsent(), false
		case err != nil:
			return nil, false, err
		case !replaces: // the answer took longer than the lease
		case !r.isDead(holder, generation, asked, r.now()):
			return nil, false, &LockedError{holder}
		}
	}
	return nil, false, &LockedError{holder}
}

// isRefused reports whether the store refused to change an object, because another
// program had replaced or deleted it.
func isRefused(err error) bool {
	return errors.Is(err, store.ErrCondition) || errors.Is(err, store.ErrNotExist)
}

// putLock writes the lock. The lease starts before the request is sent, and so
// no later than the store receives it.
func (r *Remote) putLock(ctx context.Context, info LockInfo, cond store.Condition) (*hold, error) {
	until := r.now().Add(r.lease)
	info.Expires = until.UTC().Round(0)
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, err
	}
	o, err := r.files.Put(ctx, r.lockKey(), store.ContentOf(b, mediaType), cond)
	if err != nil {
		return nil, err
	}
	return &hold{info: info, generation: o.Generation, until: until, gone: make(chan struct{})}, nil
}

// holder reads the lock. It returns the holder and the generation of the lock.
// If prospector has not written the lock, the holder has no ID. If the
// lock is renewed between the two requests, the holder is newer than the
// generation, and a write conditional on that generation is refused.
func (r *Remote) holder(ctx context.Context) (info LockInfo, generation string, err error) {
	o, err := r.files.Stat(ctx, r.lockKey())
	if err != nil {
		return info, "", err
	}
	b, err := store.Fetch(ctx, r.files, r.lockKey(), MaxSize)
	if err != nil {
		return info, "", err
	}
	if json.Unmarshal(b, &info) != nil || info.ID == "" {
		info = LockInfo{Path: r.path, Lease: r.lease}
	}
	return info, o.Generation, nil
}

// own reads the lock with the ID. It returns ErrLockLost if there is no lock, or
// another one.
func (r *Remote) own(ctx context.Context, id string) (info LockInfo, generation string, err error) {
	info, generation, err = r.holder(ctx)
	switch {
	case errors.Is(err, store.ErrNotExist):
		err = fmt.Errorf("%w: it was removed", ErrLockLost)
	case err == nil && info.ID == "":
		err = fmt.Errorf("%w: it was replaced by an object that prospector has not written", ErrLockLost)
	case err == nil && info.ID != id:
		err = fmt.Errorf("%w to %s", ErrLockLost, info)
	}
	return info, generation, err
}

// isDead reports whether the holder of the lock is dead or has stopped. The
// lock was requested at the time asked and received at the time answered, both
// by this machine's clock.
//
// A holder renews its lease when two thirds of it are left, and stops when none is
// left by its own clock. So it is dead or has stopped in two cases:
//
//   - Its lease ended more than skewAllowance ago by the clock of this machine.
//     So the run of the next night does not wait. Clocks that NTP sets differ
//     by milliseconds. Clocks that differ by minutes break other things first:
//     Kerberos allows five minutes, signed requests fifteen.
//   - This backend has watched the lock for the duration of a lease, and the
//     lock was not renewed. This depends only on the speed of the clocks.
//
// The description was true at some moment between the request and the response.
// So the watched time runs from the first response to the last request.
func (r *Remote) isDead(holder LockInfo, generation string, asked, answered time.Time) bool {
	if !holder.Expires.IsZero() && asked.Sub(holder.Expires) > skewAllowance {
		return true
	}
	if r.watched.generation != generation {
		r.watched.generation, r.watched.since = generation, answered
		return false
	}
	return asked.Sub(r.watched.since) >= max(holder.Lease, r.lease)
}

// deleteLock deletes the lock with the ID. It returns ErrLockLost if there is no lock,
// or another one.
func (r *Remote) deleteLock(ctx context.Context, id string) error {
	return r.endLock(ctx, id, func(ctx context.Context, _ LockInfo, generation string) error {
		return r.files.Delete(ctx, r.lockKey(), store.IfGeneration(generation))
	})
}

// expireLock rewrites the lock with the ID so that its lease has ended long
// ago. The next run takes it over at once, and fences off writes of this run or
// of the previous holder that may still take effect. After a normal release,
// the next run would not fence them off. expireLock returns the errors of
// deleteLock.
func (r *Remote) expireLock(ctx context.Context, id string) error {
	return r.endLock(ctx, id, func(ctx context.Context, info LockInfo, generation string) error {
		info.Expires = time.Unix(0, 0).UTC()
		b, err := json.MarshalIndent(info, "", "  ")
		if err == nil {
			_, err = r.files.Put(ctx, r.lockKey(), store.ContentOf(b, mediaType), store.IfGeneration(generation))
		}
		return err
	})
}

// endLock calls end with the lock that has the ID. It first reads the lock,
// because a renewal that ended without a response may have changed its
// generation. It tries again if another such renewal takes effect in between.
// If the lock is gone then, it has ended: either end took effect without a
// response, or another program ended the lock first.
func (r *Remote) endLock(ctx context.Context, id string, end func(context.Context, LockInfo, string) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		holder, generation, err := r.own(ctx, id)
		if attempt > 1 && errors.Is(err, ErrLockLost) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = end(ctx, holder, generation); !isRefused(err) || attempt == maxAttempts {
			return err
		}
	}
}

// ForceUnlock takes over the lock with the ID, and releases it. If the holder is still
// alive, it can no longer write the state.
func (r *Remote) ForceUnlock(ctx context.Context, id string) error {
	if err := r.forceUnlock(ctx, id); err != nil {
		return fmt.Errorf("unlocking the state %s: %w", r.path, err)
	}
	return nil
}

func (r *Remote) forceUnlock(ctx context.Context, id string) error {
	for range maxAttempts {
		holder, generation, err := r.holder(ctx)
		switch {
		case errors.Is(err, store.ErrNotExist):
			return ErrNotLocked
		case err != nil:
			return err
		case holder.ID == "":
			return fmt.Errorf("%s is not a lock that prospector has written; if no run is in progress, delete it by hand", r.files.URI(r.lockKey()))
		case holder.ID != id:
			return fmt.Errorf("%w by %s, not with the lock ID %q", ErrLocked, holder, id)
		}
		info := NewLockInfo("force-unlock", r.now())
		info.Path, info.Lease = r.path, r.lease
		_, err = r.putLock(ctx, info, store.IfGeneration(generation))
		if isRefused(err) {
			continue // the holder has renewed or released it
		}
		if err == nil {
			err = r.fence(ctx)
		}
		if err != nil { // the takeover may have succeeded
			_ = r.expireLock(ctx, info.ID)
			return fmt.Errorf("fencing off the holder: %w", err)
		}
		if err := r.deleteLock(ctx, info.ID); !errors.Is(err, ErrLockLost) {
			return err
		}
		return nil // another run has taken over this lock as well
	}
	return fmt.Errorf("%w by a run that keeps renewing it", ErrLocked)
}
