package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Probe proves that the caller may create, read, replace, list and delete objects whose
// keys begin with prefix. It does so with a small object that has a random name, and
// deletes it. If an operation fails, the error is a *ProbeError.
func Probe(ctx context.Context, s Store, prefix string) error {
	p := probe{store: s, key: prefix + "probe-" + rand.Text()}
	steps := []struct {
		verb string
		do   func(context.Context) error
	}{
		{"create", p.create}, {"read", p.read}, {"replace", p.replace}, {"list", p.list}, {"delete", p.delete},
	}
	var can []string
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			failed := &ProbeError{URI: s.URI(p.key), Can: can, Cannot: []string{step.verb}, Err: err}
			if step.verb == "delete" {
				failed.Remains = true
			} else {
				p.clean(ctx, failed)
			}
			return failed
		}
		can = append(can, step.verb)
	}
	return nil
}

// ProbeError reports what a Probe can and cannot do with its object.
type ProbeError struct {
	URI         string   // of the object
	Can, Cannot []string // verbs, such as "create"
	// Remains is true if the object could not be deleted.
	Remains bool
	Err     error // of the first operation that failed
}

func (e *ProbeError) Error() string {
	var b strings.Builder
	if len(e.Can) > 0 {
		fmt.Fprintf(&b, "prospector can %s objects there, but cannot %s them: ", enumerate(e.Can, "and"), enumerate(e.Cannot, "or"))
	} else {
		fmt.Fprintf(&b, "prospector cannot %s objects there: ", enumerate(e.Cannot, "or"))
	}
	b.WriteString(e.Err.Error())
	if e.Remains {
		fmt.Fprintf(&b, ". The test object %s remains; delete it", e.URI)
	}
	return b.String()
}

func (e *ProbeError) Unwrap() error { return e.Err }

// enumerate joins words: "a, b and c".
func enumerate(words []string, conjunction string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

// probe is a Probe in progress.
type probe struct {
	store Store
	key   string
	last  Object // as it was written last
}

// The contents of the object: at first, and after it was replaced.
const (
	probeCreated  = "prospector init has created this object, and deletes it again.\n"
	probeReplaced = "prospector init has replaced this object, and deletes it again.\n"
)

func (p *probe) put(ctx context.Context, text string, cond Condition) (err error) {
	p.last, err = p.store.Put(ctx, p.key, ContentOf([]byte(text), "text/plain"), cond)
	return err
}

func (p *probe) create(ctx context.Context) error { return p.put(ctx, probeCreated, IfAbsent()) }

func (p *probe) replace(ctx context.Context) error {
	return p.put(ctx, probeReplaced, IfGeneration(p.last.Generation))
}

func (p *probe) read(ctx context.Context) error {
	b, err := Fetch(ctx, p.store, p.key, 4<<10)
	if err == nil && !bytes.Equal(b, []byte(probeCreated)) {
		err = fmt.Errorf("reading %s: it has other bytes than were written: %w", p.store.URI(p.key), ErrCorrupt)
	}
	return err
}

func (p *probe) list(ctx context.Context) error {
	for entry, err := range p.store.List(ctx, p.key) {
		if err != nil {
			return err
		}
		if entry == p.last.Entry {
			return nil
		}
	}
	return fmt.Errorf("listing %s: the list does not have the object that was just written", p.store.URI(p.key))
}

func (p *probe) delete(ctx context.Context) error {
	return p.store.Delete(ctx, p.key, IfGeneration(p.last.Generation))
}

// cleanTimeout limits the removal of the object after a failure, which does not end with
// the caller's context.
const cleanTimeout = 30 * time.Second

// clean deletes the object after another operation has failed. That operation may have
// written it.
func (p *probe) clean(ctx context.Context, failed *ProbeError) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	err := p.store.Delete(ctx, p.key, Condition{})
	if err == nil || errors.Is(err, ErrNotExist) {
		return
	}
	// Without a create, a failed delete does not mean that there is an object.
	if failed.Remains = len(failed.Can) > 0; failed.Remains {
		failed.Cannot = append(failed.Cannot, "delete")
	}
}
