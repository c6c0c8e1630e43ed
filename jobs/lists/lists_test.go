package lists_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// apply publishes the lists of a plan like an apply.
func apply(t *testing.T, l lists.Lists, named *state.Lists, list *plan.List, waiting *plan.Waiting) {
	t.Helper()
	var p plan.Job
	p.Address, p.Source.Reading.List, p.Source.Waiting = "job.events", list, waiting
	published, err := l.Publish(t.Context(), &p)
	if err != nil {
		t.Fatal(err)
	}
	if published.Prospects != nil {
		if err := l.Drop(t.Context(), named.Prospects, published.Prospects); err != nil {
			t.Fatal(err)
		}
		named.Prospects = published.Prospects
	}
	if published.Empty != nil {
		named.Empty = published.Empty
	}
}

func TestCompare(t *testing.T) {
	files := memory.New()
	l, dir := lists.New(files, "state.d/"), t.TempDir()
	var named state.Lists
	for _, step := range []struct {
		ids            []string
		staged, known  bool
		added, removed int64
		inBoth         []string
	}{
		{ids: []string{"b", "a"}, staged: true},
		{ids: []string{"a", "b"}, known: true, inBoth: []string{"a", "b"}},
		{ids: []string{"c", "b"}, staged: true, known: true, added: 1, removed: 1, inBoth: []string{"b"}},
	} {
		list, inBoth, problem, err := l.Compare(t.Context(), named.Prospects, step.ids, filepath.Join(dir, "list"))
		if err != nil || problem != nil {
			t.Fatal(err, problem)
		}
		if list.Known != step.known || list.Added != step.added || list.Removed != step.removed || (list.Staged != nil) != step.staged {
			t.Errorf("%v: the list is %+v", step.ids, list)
		}
		for _, id := range step.ids {
			if got := inBoth(id); got != slices.Contains(step.inBoth, id) {
				t.Errorf("%v: %s is in both: %v", step.ids, id, got)
			}
		}
		apply(t, l, &named, list, nil)
	}
	if n := count(t, files); n != 1 {
		t.Errorf("%d lists are left", n)
	}

	damaged := *named.Prospects
	damaged.Digest = "0"
	list, inBoth, problem, err := l.Compare(t.Context(), &damaged, []string{"b"}, filepath.Join(dir, "list"))
	if err != nil || problem == nil || list.Known || list.Staged == nil || inBoth("b") {
		t.Errorf("a damaged list: %+v, %v, %v", list, problem, err)
	}
}

func count(t *testing.T, files store.Store) (n int) {
	for _, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// The rows of a prospect leave when two reads, 20 hours apart, find it empty.
func TestWaiting(t *testing.T) {
	l, dir := lists.New(memory.New(), "state.d/"), t.TempDir()
	start := time.Date(2022, 1, 1, 2, 0, 0, 0, time.UTC)
	var named state.Lists
	for _, step := range []struct {
		name     string
		after    time.Duration
		events   int64
		emptyNow bool
		leaves   bool
		waiting  int64 // prospects on the list afterwards
	}{
		{"the first empty read", 0, 0, true, false, 1},
		{"too soon", 19 * time.Hour, 0, true, false, 1},
		{"read by an earlier run", 21 * time.Hour, 0, false, false, 1},
		{"the second empty read", 21 * time.Hour, 0, true, true, 0},
		{"empty again", 22 * time.Hour, 0, true, false, 1},
		{"with events", 23 * time.Hour, 3, false, false, 0},
	} {
		now := start.Add(step.after)
		w := lists.NewWaiting(now)
		if named.Empty != nil && named.Empty.Key != "" {
			var err error
			if w, err = l.ReadWaiting(t.Context(), *named.Empty, now); err != nil {
				t.Fatal(err)
			}
		}
		w.Visited("p", step.events)
		w.ReadEnded(now)
		if step.events == 0 {
			if got := w.RowLeaves("p", step.emptyNow); got != step.leaves {
				t.Errorf("%s: the row leaves: %v", step.name, got)
			}
		}
		w.Finish(func(string) (bool, bool) { return true, step.emptyNow }, true)
		staged, err := w.Stage(named.Empty, filepath.Join(dir, "empty"))
		if err != nil {
			t.Fatal(err)
		}
		if staged == nil || staged.Count != step.waiting {
			t.Fatalf("%s: the list is %+v", step.name, staged)
		}
		apply(t, l, &named, nil, staged)
	}
}

// unreadable is a store whose objects cannot be read.
type unreadable struct {
	store.Store
	err   error
	opens int
}

func (u *unreadable) Open(context.Context, string) (io.ReadCloser, error) {
	u.opens++
	return nil, u.err
}

// A damaged list is read again, since its bytes may have changed on the way. A store that
// has given up is not asked again.
func TestUnreadable(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int // reads
	}{{store.ErrCorrupt, 3}, {context.DeadlineExceeded, 1}, {store.ErrNotExist, 1}} {
		files := &unreadable{Store: memory.New(), err: test.err}
		_, err := lists.New(files, "state.d/").Prospects(t.Context(), state.ProspectList{Count: 1, Key: "a"})
		if !errors.Is(err, test.err) || files.opens != test.want {
			t.Errorf("the list is read %d times, want %d; the error is %v", files.opens, test.want, err)
		}
	}
}
