package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store/gcs/gcsfault"
)

// A lab must detect what a trial looks for.
func TestCompare(t *testing.T) {
	r := &runner{dir: t.TempDir()}
	tr := newTrial(r, "nights/0", 0)
	defer tr.close()
	l, err := tr.lab(t.Context(), smallFiles.options(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.night(); err != nil {
		t.Fatal(err)
	}
	objects, err := l.objects()
	if err != nil || len(objects) == 0 {
		t.Fatalf("the lake has %d objects, %v", len(objects), err)
	}
	name := objects[0].Name
	good, err := l.storage.GetObject(bucket, name)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) {
		t.Helper()
		l.storage.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: name}, Content: content})
	}
	want := func(what, problem string) {
		t.Helper()
		if err := l.compare(); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: compare returns %v", what, err)
		}
	}
	damaged := bytes.Clone(good.Content)
	damaged[len(damaged)/2]++
	put(name, damaged)
	want("a damaged object", "CRC32C")
	put(name, good.Content)
	if err := l.compare(); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	put(lakeObjects+"event_type=X/part-00000.parquet", good.Content)
	want("an object that should not be there", "not in the state")
	l.world.night.Store(1)
	if err := l.reference(); err != nil {
		t.Fatal(err)
	}
	want("a night that is missing", "want")
	if err := l.empty(); err == nil {
		t.Error("empty returns no error for a full lake")
	}
}

func TestFailedTrial(t *testing.T) {
	var out bytes.Buffer
	r := &runner{out: &out, dir: t.TempDir(), counts: newCounts(), seed: 7}
	tr := newTrial(r, "nights/0", 0)
	defer tr.close()
	l, err := tr.lab(t.Context(), smallFiles.options(1))
	if err != nil {
		t.Fatal(err)
	}
	l.proxy.Always(gcsfault.Of(gcsfault.Upload), gcsfault.Answer(403, "accountDisabled"))
	if err := l.night(); err == nil || !strings.Contains(err.Error(), "accountDisabled") {
		t.Errorf("a night without writes: %v", err)
	}
}

// From night to night, events are added, changed, moved to another day, and removed.
func TestWorld(t *testing.T) {
	w := smallFiles.options(1).world
	w.prospects = 30
	first := make(map[string]map[int]event)
	for _, id := range w.ids() {
		first[id] = make(map[int]event)
		for _, e := range w.list(id) {
			first[id][e.Node.number] = e.Node
		}
	}
	w.night.Store(2)
	var added, changed, moved, gone int
	for _, id := range w.ids() {
		gone += len(first[id])
		for _, e := range w.list(id) {
			before, ok := first[id][e.Node.number]
			if !ok {
				added++
				continue
			}
			gone--
			if before.Description != e.Node.Description {
				changed++
			}
			if !before.EventTime.Equal(e.Node.EventTime) {
				moved++
			}
			if !before.CreatedAt.Equal(e.Node.CreatedAt) {
				t.Errorf("event %d of %s is another one", before.number, id)
			}
		}
	}
	if added == 0 || changed == 0 || moved == 0 || gone == 0 {
		t.Errorf("%d added, %d changed, %d moved, %d gone", added, changed, moved, gone)
	}
}
