package extract

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"time"

	"prospector/internal/attribute"
)

// Source returns the events of prospects, in pages. Its methods may be called
// concurrently.
type Source interface {
	// Pages returns the pages of a prospect from a position on. Client.Pages has the
	// contract, and the errors of every source are of the kinds that this package
	// defines.
	Pages(ctx context.Context, prospect string, from Position) iter.Seq2[Page, error]
	// Turn waits until the caller may load a large page that does not come from
	// Pages. The caller calls done when it no longer needs the page.
	Turn(ctx context.Context) (done func(), err error)
	// Stats returns what the source has done so far.
	Stats() Stats
	// Envelope says where the events are in the body of a page.
	Envelope() Envelope
	// Silent reports whether a page without events does not clearly state that there
	// are none. Such a page is no evidence that earlier events are gone.
	Silent(body []byte) bool
	// Binding identifies everything that a page depends on besides the prospect and
	// the position. It may contain a secret, so callers keep only a digest of it.
	Binding() string
	Close() error
}

// Envelope has the names of two members that locate the events of a page. A page is a JSON
// object. Its member Events is an array of objects, and the member Event of each is an
// event.
type Envelope struct{ Events, Event string }

// Lister is a Source that lists its own prospects.
type Lister interface {
	// Prospects returns the ID of each prospect, in any order.
	Prospects() []string
}

// Requests say how to ask a source.
type Requests struct {
	PageSize          int           // events
	RequestsPerSecond float64       // 0: no limit
	Timeout           time.Duration // of one request
	MaxAttempts       int           // for one page
	UserAgent         string
	Logger            *slog.Logger
}

// Kind describes one kind of source. A package that implements a kind exports one
// Kind, and the program lists those that users can choose. So adding a kind changes
// only its package and that list.
type Kind struct {
	// Name is the first label of the source's block.
	Name string
	// New returns settings that hold the defaults.
	New func() attribute.Settings
	// RequestsPerSecond is the default rate. 0 is no limit.
	RequestsPerSecond float64
	// ListsProspects says that the sources implement Lister, so that a job needs no
	// list of prospects.
	ListsProspects bool
	// Open opens a source. It sends no request. The settings come from New. An
	// *attribute.Problem is an error that the user can fix in the settings.
	Open func(ctx context.Context, s attribute.Settings, r Requests) (Source, error)
}

// Kinds lists kinds of sources. No two have the same name.
type Kinds []*Kind

// Find returns the kind with that name, or nil.
func (ks Kinds) Find(name string) *Kind {
	i := slices.IndexFunc(ks, func(k *Kind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return ks[i]
}

// Names returns the names of the kinds.
func (ks Kinds) Names() []string {
	names := make([]string, len(ks))
	for i, k := range ks {
		names[i] = k.Name
	}
	return names
}
