package run

import (
	"context"
	"strings"
	"testing"

	"prospector/jobs"
	"prospector/sink/store"
)

// folding is a store on a file system that does not distinguish "A" from "a".
type folding struct{ store.Store }

func (folding) FoldsCase() (bool, error) { return true, nil }

// Event types that differ only in case are two partitions. On a file system that does
// not distinguish them, nothing is published.
func TestTypesThatDifferInCase(t *testing.T) {
	event := func(kind string) string { return `{"type":"` + kind + `","createdAt":"2022-01-13T19:27:37Z"}` }
	for _, test := range []struct {
		name   string
		types  []string
		folds  bool
		keys   []string
		refuse bool
	}{
		{"two types", []string{"SMS_MESSAGE", "sms_message"}, true, nil, true},
		{"one letter", []string{"SMS", "SMs"}, true, nil, true},
		{"a type that is encoded", []string{"SMS é", "sms é"}, true, nil, true},
		{"letters that are not ASCII", []string{"É", "é"}, true, nil, false},
		{"one type", []string{"sms", "sms"}, true, nil, false},
		{"a file system that distinguishes them", []string{"SMS", "sms"}, false, nil, false},
		{"types that are no key", []string{"SMS", "sms"}, true, []string{"event_date"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			if test.keys != nil {
				table, err := h.job().Schema.PartitionedBy(test.keys...)
				if err != nil {
					t.Fatal(err)
				}
				h.job().Schema = table
			}
			if inner := h.stores["local"]; test.folds {
				h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
					opened, err := inner(ctx, s)
					return folding{opened}, err
				}
			}
			var events []string
			for _, kind := range test.types {
				events = append(events, event(kind))
			}
			h.events(events...)
			_, err := h.try(t.Context())
			if (err != nil) != test.refuse {
				t.Fatalf("the apply ended with %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), "differ only in the case") || len(snapshot(t, h.root())) > 0) {
				t.Errorf("%v; there is %v", err, snapshot(t, h.root()))
			}
		})
	}
}

// A new type is refused when a published one differs from it only in case.
func TestPublishedTypeThatDiffersInCase(t *testing.T) {
	h := newHouse(t)
	h.events(`{"type":"SMS","createdAt":"2022-01-13T19:27:37Z"}`)
	h.apply()
	inner := h.stores["local"]
	h.stores["local"] = func(ctx context.Context, s jobs.Sink) (store.Store, error) {
		opened, err := inner(ctx, s)
		return folding{opened}, err
	}
	before := len(snapshot(t, h.root()))
	h.events(`{"type":"sms","createdAt":"2022-01-13T19:27:37Z"}`)
	if _, err := h.try(t.Context()); err == nil || !strings.Contains(err.Error(), "event_type=SMS/") || !strings.Contains(err.Error(), "event_type=sms/") {
		t.Errorf("the apply ended with %v", err)
	}
	if after := len(snapshot(t, h.root())); after != before {
		t.Errorf("%d files became %d", before, after)
	}
}
