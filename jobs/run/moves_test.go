package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// mortalHouse is a house whose processes die after a number of operations.
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

// session opens a session of a process that dies after some operations. The session
// processes one object at a time.
func (h *mortalHouse) session(lives int64, late bool) (context.Context, *Session, error) {
	h.life.left.Store(lives)
	h.life.late = late
	files, err := local.Open(h.dir)
	if err != nil {
		h.Fatal(err)
	}
	mine := mortal{files, h.life}
	ctx, s, err := h.openWith(h.Context(), mine, state.NewLocal(mine, filepath.Join(h.dir, "prospector.state.json")))
	if err == nil {
		s.options.Parallelism = 1
	}
	return ctx, s, err
}

// run plans and applies.
func (h *mortalHouse) run(lives int64, late bool) error {
	ctx, s, err := h.session(lives, late)
	if err != nil {
		return err
	}
	p, err := s.Plan(ctx, h.options)
	if err == nil {
		err = s.Apply(ctx, p)
	}
	return errors.Join(err, s.Close())
}

// moving returns an event that was created on one day of January and takes place on
// another.
func moving(created, happens int) string {
	return fmt.Sprintf(`{"type":"T","createdAt":"2022-01-%02dT00:00:00Z","eventTime":"2022-01-%02dT00:00:00Z"}`, created, happens)
}

// If events move between partitions and the apply is killed at any time, no event is
// lost or duplicated, whether the source returns it again or not.
func TestMovesKilled(t *testing.T) {
	stay := []string{moving(1, 1), moving(2, 2), moving(3, 3)}
	const late = `{"type":"T","createdAt":"2022-01-11T00:00:00Z","eventTime":"2022-01-01T23:00:00Z"}`
	for name, test := range map[string]struct{ before, after []string }{
		"out of a partition that stays": {[]string{moving(11, 1)}, []string{moving(11, 2)}},
		"out of one that ends":          {[]string{moving(11, 9)}, []string{moving(11, 2)}},
		"into one that begins":          {[]string{moving(11, 1)}, []string{moving(11, 9)}},
		"along a chain":                 {[]string{moving(11, 1), moving(12, 2)}, []string{moving(11, 2), moving(12, 3)}},
		"along a chain, the other way":  {[]string{moving(11, 3), moving(12, 2)}, []string{moving(11, 2), moving(12, 1)}},
		// The files of the others stay, so none is written.
		"the last of three files":    {[]string{moving(12, 1), late}, []string{moving(12, 1), moving(11, 2)}},
		"from the first to the last": {[]string{moving(11, 1), moving(12, 1)}, []string{moving(11, 3), moving(12, 2)}},
	} {
		for i := range 4 {
			again, target := i < 2, int64(i%2) // with 1 byte, each row has a file of its own
			t.Run(fmt.Sprintf("%s, again %t, files of %d bytes", name, again, target), func(t *testing.T) {
				t.Parallel()
				ended := false
				for lives := int64(1); !ended; lives += 1 + 2*target {
					h := newMortalHouse(t)
					h.job().TargetFileSize = target
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
					if !again { // the journal of pages is bound to the former source
						h.events(stay[0])
					}
					if err := h.run(1<<40, true); err != nil {
						t.Fatalf("after an apply of %d operations: %v", lives, err)
					}
					rows := h.rows() // fails on duplicate IDs
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

// A plan that does not include the unfinished changes of an interrupted apply keeps
// them in the state.
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

// If an event moves to another partition, the apply is killed, and the event moves back,
// then the event is only in its first partition.
func TestMoveTakenBack(t *testing.T) {
	ended := false
	for lives := int64(1); !ended && lives < 300; lives++ {
		h := newMortalHouse(t)
		h.events(moving(1, 1), moving(2, 2), moving(11, 1))
		if err := h.run(1<<40, true); err != nil {
			t.Fatal(err)
		}
		h.events(moving(1, 1), moving(2, 2), moving(11, 2))
		_ = h.run(lives, lives%2 == 0)
		ended = !h.life.over()
		h.events(moving(1, 1), moving(2, 2), moving(11, 1))
		if err := h.run(1<<40, true); err != nil {
			t.Fatal(err)
		}
		if rows := h.rows(); len(rows) != 3 {
			t.Errorf("after an apply of %d operations there are %d rows", lives, len(rows))
		}
	}
}

// Events move again and again, in one sink or two. The source returns some of them or
// all. Applies are killed, limited to a partition or only refresh, and the partition
// keys change. After one undisturbed apply, every sink has every event once, and the
// next plan has no changes.
func TestMovesConverge(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &movers{mortalHouse: newMortalHouse(t), rng: rand.New(rand.NewPCG(seed, 9))}
			if seed%2 == 1 {
				second := jobs.Sink{Block: jobs.Block{Address: "sink.local.two"}, Location: local.At(filepath.Join(m.dir, "two"))}
				m.job().Sinks = append(m.job().Sinks, second)
			}
			m.job().TargetFileSize = int64(seed % 3) // with 1 or 2 bytes, each row has a file of its own
			for i := range m.day {
				m.day[i] = 1 + m.rng.IntN(3)
			}
			m.give(true)
			if err := m.run(1<<40, true); err != nil {
				t.Fatal(err)
			}
			for range 1 + m.rng.IntN(4) {
				m.disturbed(seed%3 == 0)
			}
			m.give(false)
			if err := m.run(1<<40, true); err != nil {
				t.Fatalf("an undisturbed apply fails: %v\n%s", err, strings.Join(m.log, "\n"))
			}
			m.checkConverged()
		})
	}
}

type movers struct {
	*mortalHouse
	rng *rand.Rand
	day [5]int // on which each event happens
	log []string
}

// give makes the source return all events, or some.
func (m *movers) give(all bool) {
	events := []string{moving(11, m.day[0])}
	for i := 1; i < len(m.day); i++ {
		if all || m.rng.IntN(2) == 0 {
			events = append(events, moving(11+i, m.day[i]))
		}
	}
	m.log = append(m.log, "source: "+strings.Join(events, " "))
	m.events(events...)
}

// disturbed is a night with random disturbances. Events only move forward, since no
// order of changes is right for events that move in a circle.
func (m *movers) disturbed(repartition bool) {
	for i := range m.day {
		if m.rng.IntN(2) == 0 {
			m.day[i] = min(m.day[i]+1, 6)
		}
	}
	m.give(m.rng.IntN(2) == 0)
	switch m.rng.IntN(5) {
	case 0:
		path := fmt.Sprintf("event_type=T/event_date=2022-01-%02d", 1+m.rng.IntN(4))
		m.options.Targets = []jobs.Address{address(m, "job.prospect_events").WithPartition(path)}
	case 1:
		m.options.Mode = plan.RefreshOnly
	}
	if repartition && m.rng.IntN(3) == 0 {
		keys := [][]string{{"event_type", "event_date"}, {"event_month"}}[m.rng.IntN(2)]
		table, err := schemas.KnockEvents().PartitionedBy(keys...)
		if err != nil {
			m.Fatal(err)
		}
		m.job().Schema = table
	}
	lives := int64(8 + m.rng.IntN(30+30*int(min(1, m.job().TargetFileSize))))
	err := m.run(lives, m.rng.IntN(2) == 0)
	m.log = append(m.log, fmt.Sprintf("run of %d operations, %+v: %v", lives, m.options, err))
	m.options = PlanOptions{}
}

func (m *movers) checkConverged() {
	for _, sink := range m.job().Sinks {
		times := make(map[string]int)
		m.eachFile(directory(sink), func(_ string, batch arrow.Record) {
			for i := range int(batch.NumRows()) {
				times[strings.Clone(batch.Column(0).(*array.String).Value(i))]++
			}
		})
		for id, n := range times {
			if n > 1 {
				m.Errorf("%s has event %s %d times\n%s", sink.Address, id, n, strings.Join(m.log, "\n"))
			}
		}
		if len(times) != len(m.day) {
			m.Errorf("%s has %d events of %d\n%s", sink.Address, len(times), len(m.day), strings.Join(m.log, "\n"))
		}
	}
	m.life.left.Store(1 << 40)
	ctx, s, err := m.open(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	defer s.Close()
	if p, err := s.Plan(ctx, PlanOptions{}); err != nil || !p.Empty() {
		m.Errorf("the next plan: %v\n%s", err, strings.Join(m.log, "\n"))
	}
	for address, sink := range s.State().Jobs["job.prospect_events"].Sinks {
		if sink.Pending != nil || sink.Obsolete != nil {
			m.Errorf("%s: changes are still pending\n%s", address, strings.Join(m.log, "\n"))
		}
	}
}
