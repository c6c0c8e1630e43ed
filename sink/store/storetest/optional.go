package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"prospector/sink/store"
)

// Optional is an optional interface of package store.
type Optional string

// The optional interfaces.
const (
	Advisor    Optional = "Advisor"
	CaseFolder Optional = "CaseFolder"
	Concurrent Optional = "Concurrent"
	Dated      Optional = "Dated"
	Files      Optional = "File" // which Open returns
	Sweeper    Optional = "Sweeper"
)

// optionalTests return false if the store does not implement the interface.
var optionalTests = []struct {
	name Optional
	run  func(t *testing.T, s store.Store) bool
}{
	{Advisor, testAdvisor},
	{CaseFolder, testCaseFolder},
	{Concurrent, testConcurrent},
	{Dated, testDated},
	{Files, testFile},
	{Sweeper, testSweeper},
}

// runOptional tests the optional interfaces that the driver implements, which are all
// that are not in lacks.
func runOptional(t *testing.T, open func(t *testing.T) store.Store, lacks []Optional) {
	for _, test := range optionalTests {
		t.Run(string(test.name), func(t *testing.T) {
			s := open(t)
			defer s.Close()
			if has := test.run(t, s); has == slices.Contains(lacks, test.name) {
				t.Errorf("implemented = %t, but the driver's test passes lacks = %v", has, lacks)
			}
		})
	}
}

func testConcurrent(t *testing.T, s store.Store) bool {
	if n := store.Concurrency(s); n < 1 {
		t.Errorf("the concurrency is %d, want at least 1", n)
	}
	_, ok := s.(store.Concurrent)
	return ok
}

func testAdvisor(t *testing.T, s store.Store) bool {
	for _, a := range store.Advise(t.Context(), s) {
		if a.Summary == "" || strings.HasSuffix(a.Summary, ".") || strings.Contains(a.Summary, "\n") {
			t.Errorf("the summary %q is not one line without a period", a.Summary)
		}
		if a.Detail == "" {
			t.Errorf("the advice %q has no detail", a.Summary)
		}
	}
	_, ok := s.(store.Advisor)
	return ok
}

func testCaseFolder(t *testing.T, s store.Store) bool {
	folder, ok := s.(store.CaseFolder)
	folds := false
	if ok {
		var err error
		if folds, err = folder.FoldsCase(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "t/a", []byte("lower"))
	put(t, s, "t/A", []byte("upper"))
	if kept := string(read(t, s, "t/a")) == "lower"; kept == folds {
		t.Errorf("the store folds case: %t, but it keeps both objects: %t", folds, kept)
	}
	if generic, err := store.FoldsCase(s); generic != folds || err != nil {
		t.Errorf("store.FoldsCase returns %t, %v", generic, err)
	}
	return ok
}

func testDated(t *testing.T, s store.Store) bool {
	dated, ok := s.(store.Dated)
	if !ok {
		return false
	}
	const skew = 2 * time.Second // file systems and services round
	before := time.Now().Add(-skew)
	put(t, s, "a", []byte("one"))
	at, err := dated.Written(t.Context(), "a")
	if err != nil || at.Before(before) || at.After(time.Now().Add(skew)) {
		t.Errorf("Written returns %v, %v", at, err)
	}
	if at, err := dated.Written(t.Context(), "b"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Written of a missing object returns %v, %v; want ErrNotExist", at, err)
	}
	return true
}

func testFile(t *testing.T, s store.Store) bool {
	data := noise(1, 100_000)
	object := put(t, s, "a", data)
	f, err := store.OpenFile(t.Context(), s, object, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1000)
	if _, err := f.ReadAt(got, 50_000); err != nil || !bytes.Equal(got, data[50_000:51_000]) {
		t.Errorf("ReadAt returns other bytes, error %v", err)
	}
	if n, err := f.ReadAt(got, int64(len(data))-10); n != 10 || err != io.EOF {
		t.Errorf("ReadAt at the end returns %d, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, ok := r.(store.File)
	return ok
}

func testSweeper(t *testing.T, s store.Store) bool {
	sweeper, ok := s.(store.Sweeper)
	if !ok {
		return false
	}
	put(t, s, "t/a", []byte("one"))
	put(t, s, ".prospector/a", []byte("two"))
	for range 2 {
		if err := sweeper.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	wantObject(t, s, "t/a", []byte("one"))
	wantKeys(t, s, "", ".prospector/a", "t/a")
	put(t, s, "t/b", []byte("three"))
	return true
}
