package store

import (
	"context"
	"slices"
	"time"
)

// The interfaces in this file are optional: a Store may implement them, and the
// reader that Open returns may be a File. Callers must work without them. A driver's
// test states to package storetest which of them the driver lacks.

// CaseFolder is a Store that may treat two keys as the same key if they differ only in
// case, like the file systems of macOS and Windows. Other stores distinguish them.
type CaseFolder interface {
	// FoldsCase reports whether the store treats such keys as the same key.
	FoldsCase() (bool, error)
}

// FoldsCase reports whether a store treats two keys as the same key if they differ only
// in case.
func FoldsCase(s Store) (bool, error) {
	if folder, ok := s.(CaseFolder); ok {
		return folder.FoldsCase()
	}
	return false, nil
}

// Sweeper is a Store in which a killed process can leave temporary files that are
// not objects.
type Sweeper interface {
	// Sweep removes all of them. A Put that is in progress, in this process or
	// another, fails. No object changes.
	Sweep() error
}

// Dated is a Store that knows when an object was written.
type Dated interface {
	// Written returns when the object was written, or ErrNotExist.
	Written(ctx context.Context, key string) (time.Time, error)
}

// Concurrent is a Store that limits how many requests it serves well at a time.
type Concurrent interface {
	// Concurrency returns that limit, which is at least 1.
	Concurrency() int
}

// defaultConcurrency is the Concurrency of stores that are not Concurrent. On a local
// disk, several writes share the wait for a sync.
const defaultConcurrency = 16

// Concurrency returns how many requests a caller sends to a store at a time, so that
// their latencies overlap.
func Concurrency(s Store) int {
	if concurrent, ok := s.(Concurrent); ok {
		return concurrent.Concurrency()
	}
	return defaultConcurrency
}

// Advisor is a Store whose place has settings that prospector or its users should know
// about.
type Advisor interface {
	// Advise describes these settings. If it cannot read them, the advice says so.
	Advise(ctx context.Context) []Advice
}

// Advice describes one setting of a place.
type Advice struct {
	// Retains is true if replaced or deleted objects may still exist because of the
	// setting, or if that is not known. Then erased rows may still exist.
	Retains bool
	// Note is true if the user need not change anything.
	Note bool
	// Summary is one line without a period. Detail is sentences, with commands.
	Summary, Detail string
}

// Advise returns the advice of those stores that are an Advisor. Advice with the same
// summary, such as about a bucket that two of them share, is returned once.
func Advise(ctx context.Context, stores ...Store) (all []Advice) {
	for _, s := range stores {
		advisor, ok := s.(Advisor)
		if !ok {
			continue
		}
		for _, a := range advisor.Advise(ctx) {
			known := slices.ContainsFunc(all, func(b Advice) bool { return b.Summary == a.Summary })
			if !known {
				all = append(all, a)
			}
		}
	}
	return all
}
