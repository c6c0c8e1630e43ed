package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// mortalHouse is a house whose processes live to make so many operations.
type mortalHouse struct {
	*house
	life *life
}

func newMortalHouse(t testing.TB) *mortalHouse {
	h := &mortalHouse{newHouse(t), new(life)}
	h.life.left.Store(1 << 40)
	inner := h.stores["local"]
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := inner(ctx, s)
		return mortal{opened, h.life}, err
	}
	return h
}

// run plans and applies, one object at a time.
func (h *mortalHouse) run(lives int64, late bool) error {
	h.life.left.Store(lives)
	h.life.late = late
	files, err := local.Open(h.dir)
	if err != nil {
		h.Fatal(err)
	}
	mine := mortal{files, h.life}
	ctx, s, err := h.openWith(h.Context(), mine, state.NewLocal(mine, filepath.Join(h.dir, "prospector.state.json")))
	if err != nil {
		return err
	}
	s.Parallelism = 1
	p, err := s.Plan(ctx, h.options)
	if err == nil {
		err = s.Apply(ctx, p)
	}
	return errors.Join(err, s.Close())
}

// moving is an event that was created on one day of January, and happens on
// another.
func moving(created, happens int) string {
	return fmt.Sprintf(`{"type":"T","createdAt":"2022-01-%02dT00:00:00Z","eventTime":"2022-01-%02dT00:00:00Z"}`, created, happens)
}

// Events move from partition to partition, and the apply is killed at any
// instant: none is lost, and none is there twice, whether the source gives them
// again or not.
func TestMovesKilled(t *testing.T) {
	stay := []string{moving(1, 1), moving(2, 2), moving(3, 3)}
	for name, test := range map[string]struct{ before, after []string }{
		"out of a partition that stays": {[]string{moving(11, 1)}, []string{moving(11, 2)}},
		"out of one that ends":          {[]string{moving(11, 9)}, []string{moving(11, 2)}},
		"into one that begins":          {[]string{moving(11, 1)}, []string{moving(11, 9)}},
		"along a chain":                 {[]string{moving(11, 1), moving(12, 2)}, []string{moving(11, 2), moving(12, 3)}},
		"along a chain, the other way":  {[]string{moving(11, 3), moving(12, 2)}, []string{moving(11, 2), moving(12, 1)}},
		"from the first to the last":    {[]string{moving(11, 1), moving(12, 1)}, []string{moving(11, 3), moving(12, 2)}},
	} {
		for _, again := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, again %t", name, again), func(t *testing.T) {
				t.Parallel()
				ended := false
				for lives := int64(1); !ended; lives++ {
					h := newMortalHouse(t)
					h.events(append(stay, test.before...)...)
					if err := h.run(1<<40, true); err != nil {
						t.Fatal(err)
					}
					want := len(h.rows())
					h.events(append(stay, test.after...)...)
					err := h.run(lives, lives%2 == 0)
					ended = !h.life.over()
					if ended && err != nil {
						t.Fatal(err)
					}
					if !again { // and the journal of pages is bound to the former source
						h.events(stay[0])
					}
					if err := h.run(1<<40, true); err != nil {
						t.Fatalf("after an apply of %d operations: %v", lives, err)
					}
					rows := h.rows() // fails on an id that is there twice
					if len(rows) != want {
						t.Fatalf("after an apply of %d operations there are %d rows, not %d", lives, len(rows), want)
					}
					if lives > 300 {
						t.Fatal("the apply does not end")
					}
				}
			})
		}
	}
}

// A plan that looks at other partitions only, or at none, does not forget what
// an interrupted apply has left undone.
func TestUnfinishedIsRemembered(t *testing.T) {
	for name, between := range map[string]func(*mortalHouse) error{
		"a target": func(h *mortalHouse) error {
			h.options.Targets = []jobs.Address{address(h, "job.prospect_events").WithPartition("event_type=T/event_date=2022-01-03")}
			defer func() { h.options = PlanOptions{} }()
			return h.run(1<<40, true)
		},
		"refresh-only": func(h *mortalHouse) error {
			h.options.Mode = "refresh-only"
			defer func() { h.options = PlanOptions{} }()
			return h.run(1<<40, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for lives := int64(1); lives < 40; lives++ {
				h := newMortalHouse(t)
				h.events(moving(1, 1), moving(2, 2), moving(3, 3), moving(11, 1))
				if err := h.run(1<<40, true); err != nil {
					t.Fatal(err)
				}
				h.events(moving(1, 1), moving(2, 2), moving(3, 3), moving(11, 2))
				_ = h.run(lives, true)
				if err := between(h); err != nil {
					t.Fatal(err)
				}
				h.events(moving(1, 1))
				if err := h.run(1<<40, true); err != nil {
					t.Fatal(err)
				}
				if rows := h.rows(); len(rows) != 4 {
					t.Errorf("after an apply of %d operations there are %d rows", lives, len(rows))
				}
			}
		})
	}
}
