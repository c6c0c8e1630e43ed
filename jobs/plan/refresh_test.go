package plan_test

import (
	stdcmp "cmp"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
)

const (
	job  = "events"
	lake = "sink.local.lake"
	day  = "event_date=2022-01-13"
)

// same treats empty maps and slices as equal to nil.
var same = cmpopts.EquateEmpty()

func checksum(text string) uint32 {
	return crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
}

// objectOf returns the state of an object with that text and generation.
func objectOf(key, text, generation string) state.Object {
	return state.Object{Key: key, Size: int64(len(text)), CRC32C: checksum(text), Generation: generation}
}

// parse splits TEXT@GENERATION. The generation may be missing.
func parse(s string) (text, generation string) {
	text, generation, _ = strings.Cut(s, "@")
	return text, generation
}

// partitionOf returns the state of a partition with one file, given as
// TEXT@GENERATION. "-" is a pending deletion.
func partitionOf(key, s string) state.Partition {
	text, generation := parse(s)
	if text == "-" {
		return state.Partition{Files: []state.File{{Object: state.Object{Key: key}}}}
	}
	content := schemas.HashValuesOf("").String(text)
	return state.Partition{Rows: 1, Content: content, Files: []state.File{{Rows: 1, Content: content, Object: objectOf(key, text, generation)}}}
}

func quarantineOf(key, s string) *state.Quarantine {
	p := partitionOf(key, s)
	return &state.Quarantine{Events: p.Rows, Content: p.Content, Object: p.Files[0].Object}
}

// held is the content of a sink: TEXT@GENERATION by key.
type held map[string]string

func (h held) list() (seen []plan.Seen) {
	for key, s := range h {
		text, generation := parse(s)
		seen = append(seen, plan.Seen{Key: key, Size: int64(len(text)), Generation: generation})
	}
	return seen
}

// sums returns the checksums of the objects with the keys.
func (h held) sums(keys []string) map[string]plan.Sum {
	out := make(map[string]plan.Sum)
	for _, key := range keys {
		text, _ := parse(h[key])
		out[key] = plan.Sum{Size: int64(len(text)), CRC32C: checksum(text)}
	}
	return out
}

// An object may match the state, the pending change of an interrupted apply, or
// neither. The quarantine's object is treated like that of a partition.
func TestRefresh(t *testing.T) {
	for _, test := range []struct {
		name                     string
		published, pending, seen string
		kept                     string
		drift                    plan.DriftKind // "" for none
		adopted                  int
	}{
		{name: "intact", published: "A@1", seen: "A@1", kept: "A@1"},
		{name: "rewritten with the same bytes", published: "A@1", seen: "A@2", kept: "A@2"},
		{name: "deleted", published: "A@1", drift: plan.Deleted},
		{name: "modified", published: "A@1", seen: "X@2", drift: plan.Modified},
		{name: "of another size", published: "A@1", seen: "AA@2", drift: plan.Modified},
		{name: "of another size and the same generation", published: "A@1", seen: "AA@1", drift: plan.Modified},

		{name: "update finished", published: "A@1", pending: "B", seen: "B@2", kept: "B@2", adopted: 1},
		{name: "update not begun", published: "A@1", pending: "B", seen: "A@1", kept: "A@1"},
		{name: "update not begun, and rewritten with the old bytes", published: "A@1", pending: "B", seen: "A@2", kept: "A@2"},
		{name: "update to the same bytes", published: "A@1", pending: "A", seen: "A@2", kept: "A@2"},
		{name: "update, then deleted", published: "A@1", pending: "B", drift: plan.Deleted},
		{name: "update, then modified", published: "A@1", pending: "B", seen: "X@2", drift: plan.Modified},

		{name: "deletion done", published: "A@1", pending: "-", adopted: 1},
		{name: "deletion not begun", published: "A@1", pending: "-", seen: "A@1", kept: "A@1"},
		{name: "deletion not begun, and rewritten with the old bytes", published: "A@1", pending: "-", seen: "A@2", kept: "A@2"},
		{name: "deletion, then another object", published: "A@1", pending: "-", seen: "X@2", drift: plan.Modified},
		{name: "deletion, then an empty object", published: "A@1", pending: "-", seen: "@2", drift: plan.Modified},

		{name: "creation done", pending: "B", seen: "B@1", kept: "B@1", adopted: 1},
		{name: "creation not begun"},
		{name: "creation, then another object", pending: "B", seen: "X@1", drift: plan.Modified},
		{name: "creation, then an empty object", pending: "B", seen: "@1", drift: plan.Modified},
		{name: "deletion of a modified object, done", pending: "-"},
		{name: "deletion of a modified object, not begun", pending: "-", seen: "X@1", drift: plan.Modified},
		{name: "deletion of an emptied object, not begun", pending: "-", seen: "@1", drift: plan.Modified},
	} {
		for _, kind := range []string{"partition", "quarantine"} {
			t.Run(kind+" "+test.name, func(t *testing.T) {
				prior := &state.Sink{URI: "file:///lake/events", Partitions: make(map[string]state.Partition)}
				want := &plan.Refreshed{Sink: state.Sink{URI: prior.URI}, Adopted: test.adopted}
				key := plan.Key(job, day)
				if kind == "partition" {
					want.Partitions = make(map[string]state.Partition)
					if test.published != "" {
						prior.Partitions[day] = partitionOf(key, test.published)
					}
					if test.pending != "" {
						prior.Pending = &state.Pending{Partitions: map[string]state.Partition{day: partitionOf(key, test.pending)}}
					}
					if test.kept != "" {
						want.Partitions[day] = partitionOf(key, test.kept)
					}
				} else {
					key = plan.QuarantineKey(job)
					if test.published != "" {
						prior.Quarantine = quarantineOf(key, test.published)
					}
					if test.pending != "" {
						prior.Pending = &state.Pending{Quarantine: quarantineOf(key, test.pending)}
					}
					if test.kept != "" {
						want.Quarantine = quarantineOf(key, test.kept)
					}
				}
				objects := held{}
				if test.seen != "" {
					objects[key] = test.seen
				}
				if test.drift != "" {
					want.Drift = []plan.Drift{{Sink: lake, Key: key, Kind: test.drift}}
				}
				if test.drift == plan.Modified {
					_, generation := parse(test.seen)
					want.Damaged = map[string]string{key: generation}
					// A modified object remains owned.
					if was := stdcmp.Or(test.published, strings.TrimPrefix(test.pending, "-")); was != "" && kind == "partition" {
						want.Broken = map[string]state.Partition{day: partitionOf(key, was)}
					}
				}
				if was := stdcmp.Or(test.published, strings.TrimPrefix(test.pending, "-")); was != "" && kind == "quarantine" && test.drift != "" {
					want.BrokenQuarantine = quarantineOf(key, was)
				}
				if kind == "partition" && test.published != "" && test.drift != "" {
					want.Lost = map[string]int64{day: 1}
				}
				// The change is unfinished if the old object still exists.
				text, _ := parse(test.seen)
				before, _ := parse(test.published)
				if kind == "partition" && test.pending != "" && test.pending != before && before != "" && text == before {
					want.Unfinished = map[string]state.Partition{day: partitionOf(key, test.pending)}
				}
				got := refresh(t, lake, prior, objects)
				if diff := cmp.Diff(want, got, same); diff != "" {
					t.Errorf("the refreshed sink differs (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// refresh does what a run does: it lists the objects, reads those that need a
// checksum, and compares. It checks that Refresh does not change the prior
// state.
func refresh(t testing.TB, address string, prior *state.Sink, objects held) *plan.Refreshed {
	t.Helper()
	clone := func() *state.Sink {
		s := &state.State{Jobs: map[string]*state.Job{"": {Sinks: map[string]*state.Sink{"": prior}}}}
		return s.Clone().Job("").Sink("")
	}
	before, seen := clone(), objects.list()
	r := plan.Refresh(address, job, prior, seen, objects.sums(plan.NeedChecksum(prior, seen)))
	if diff := cmp.Diff(before, prior); diff != "" {
		t.Errorf("Refresh has changed the prior state:\n%s", diff)
	}
	if r.Pending != nil || r.Partitions == nil || r.Damaged == nil {
		t.Errorf("pending, partitions and damaged are %v, %v, %v", r.Pending, r.Partitions, r.Damaged)
	}
	if r.Quarantine != nil {
		r.Quarantine.Object.Generation += "x" // as the next refresh does
		if diff := cmp.Diff(before, prior); diff != "" {
			t.Errorf("the refreshed quarantine shares memory with the prior state:\n%s", diff)
		}
		r.Quarantine.Object.Generation = strings.TrimSuffix(r.Quarantine.Object.Generation, "x")
	}
	return r
}

func TestRefreshForeign(t *testing.T) {
	prior := &state.Sink{Partitions: map[string]state.Partition{day: partitionOf(plan.Key(job, day), "A@1")}}
	objects := held{
		plan.Key(job, day):                      "A@1",
		plan.Key(job, "event_date=2022-01-14"):  "B@2",
		"events/_SUCCESS":                       "@3",
		"events/" + day + "/part-00001.parquet": "C@4",
		"events2/x.parquet":                     "another job's@5",
		plan.QuarantineKey(job) + ".bak":        "not an object of prospector@6",
	}
	got := refresh(t, lake, prior, objects)
	want := []plan.Drift{
		{Sink: lake, Key: "events/_SUCCESS", Kind: plan.Foreign},
		{Sink: lake, Key: "events/" + day + "/part-00001.parquet", Kind: plan.Foreign},
		{Sink: lake, Key: plan.Key(job, "event_date=2022-01-14"), Kind: plan.Foreign},
	}
	if diff := cmp.Diff(want, got.Drift); diff != "" {
		t.Errorf("the refreshed sink differs (-want +got):\n%s", diff)
	}
	if len(got.Damaged) > 0 {
		t.Errorf("foreign objects count as damaged: %v", got.Damaged)
	}
	if want := map[string]string{
		"events/_SUCCESS": "3", "events/" + day + "/part-00001.parquet": "4", plan.Key(job, "event_date=2022-01-14"): "2",
	}; !maps.Equal(want, got.Foreign) {
		t.Errorf("the foreign objects are %v, want %v", got.Foreign, want)
	}
}

// The key of the quarantine belongs to prospector. An unknown object there must
// not prevent the publication of a quarantine.
func TestRefreshUnknownQuarantine(t *testing.T) {
	key := plan.QuarantineKey(job)
	got := refresh(t, lake, &state.Sink{}, held{key: "X@1"})
	if want := []plan.Drift{{Sink: lake, Key: key, Kind: plan.Modified}}; !slices.Equal(got.Drift, want) {
		t.Errorf("the drift is %v, want %v", got.Drift, want)
	}
	if got.Damaged[key] != "1" || got.Quarantine != nil {
		t.Errorf("the damaged objects are %v, the quarantine is %v", got.Damaged, got.Quarantine)
	}
}

// An object whose checksum could not be read was deleted in the meantime, and
// does not count as intact.
func TestRefreshWithoutSum(t *testing.T) {
	key := plan.Key(job, day)
	prior := &state.Sink{Partitions: map[string]state.Partition{day: partitionOf(key, "A@1")}}
	got := plan.Refresh(lake, job, prior, held{key: "A@2"}.list(), nil)
	if len(got.Partitions) != 0 || len(got.Drift) != 1 {
		t.Errorf("the partitions are %v, the drift is %v", got.Partitions, got.Drift)
	}
}

func TestRefreshEmptySink(t *testing.T) {
	got := refresh(t, lake, &state.Sink{URI: "u"}, nil)
	if diff := cmp.Diff(&plan.Refreshed{Sink: state.Sink{URI: "u"}}, got, same); diff != "" {
		t.Errorf("the refreshed sink differs (-want +got):\n%s", diff)
	}
}

// Drift is in the order of the keys, whatever the order of the listing.
func TestRefreshOrder(t *testing.T) {
	prior, objects := &state.Sink{Partitions: make(map[string]state.Partition)}, held{}
	for i := range 30 {
		path := fmt.Sprintf("event_date=2022-01-%02d", i+1)
		key := plan.Key(job, path)
		if i%3 != 0 {
			prior.Partitions[path] = partitionOf(key, "A@1")
		}
		if i%3 != 1 {
			objects[key] = "X@2"
		}
	}
	drift := refresh(t, lake, prior, objects).Drift
	if len(drift) != 30 || !slices.IsSortedFunc(drift, func(a, b plan.Drift) int { return strings.Compare(a.Key, b.Key) }) {
		t.Errorf("the drift is %v", drift)
	}
}

// Only objects that size and generation do not prove are read.
func TestNeedChecksum(t *testing.T) {
	key, quarantine := plan.Key(job, day), plan.QuarantineKey(job)
	published := func(s string) state.Sink {
		return state.Sink{Partitions: map[string]state.Partition{day: partitionOf(key, s)}}
	}
	with := func(sink state.Sink, pending *state.Pending) state.Sink {
		sink.Pending = pending
		return sink
	}
	pending := &state.Pending{Partitions: map[string]state.Partition{day: partitionOf(key, "B")}}
	for _, test := range []struct {
		name string
		sink state.Sink
		seen held
		want []string
	}{
		{"intact", published("A@1"), held{key: "A@1"}, nil},
		{"another generation", published("A@1"), held{key: "A@2"}, []string{key}},
		{"another size", published("A@1"), held{key: "AA@1"}, []string{key}},
		{"deleted", published("A@1"), nil, nil},
		{"foreign", published("A@1"), held{key: "A@1", key + ".x": "A@1", "events2/x": "A@1"}, nil},
		{"empty state", state.Sink{}, held{key: "A@1", quarantine: "Q@1"}, nil},
		{"update not begun", with(published("A@1"), pending), held{key: "A@1"}, nil},
		{"update finished", with(published("A@1"), pending), held{key: "B@2"}, []string{key}},
		{"creation finished", with(state.Sink{}, pending), held{key: "B@1"}, []string{key}},
		{"creation not begun", with(state.Sink{}, pending), nil, nil},
		{"quarantine intact", state.Sink{Quarantine: quarantineOf(quarantine, "Q@1")}, held{quarantine: "Q@1"}, nil},
		{"quarantine of another generation", state.Sink{Quarantine: quarantineOf(quarantine, "Q@1")}, held{quarantine: "Q@2"}, []string{quarantine}},
		{"quarantine created", with(state.Sink{}, &state.Pending{Quarantine: quarantineOf(quarantine, "Q")}), held{quarantine: "Q@1"}, []string{quarantine}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan.NeedChecksum(&test.sink, test.seen.list()); !slices.Equal(got, test.want) {
				t.Errorf("NeedChecksum returned %q, want %q", got, test.want)
			}
		})
	}
}
