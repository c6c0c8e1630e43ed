package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
)

func overwrite(t testing.TB, path string, at int, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(b, int64(at))
	must(t, err)
}

// writeSteps writes a journal, with one segment for each run of steps. For every byte of
// every segment, complete has the number of complete steps before it.
func writeSteps(t *testing.T, dir string, steps []step, runs ...int) (segments [][]byte, complete [][]int) {
	t.Helper()
	done := 0
	for number, run := range runs {
		j := mustOpen(t, dir)
		for _, s := range steps[done : done+run] {
			must(t, s.do(j))
		}
		must(t, j.Close())

		content, err := os.ReadFile(segmentPath(dir, uint32(number+1)))
		must(t, err)
		in := bytes.NewReader(content)
		_, start, err := readHeader(in)
		must(t, err)
		before := make([]int, start)
		for i := range before {
			before[i] = done
		}
		_, err = scan(in, int64(len(content))-start, func(_ int64, size int, _ record) {
			for range size {
				before = append(before, done)
			}
			done++
		})
		must(t, err)
		if len(before) != len(content) {
			t.Fatalf("segment %d has %d bytes, but its records have %d", number+1, len(content), len(before))
		}
		segments, complete = append(segments, content), append(complete, before)
	}
	if done != len(steps) {
		t.Fatalf("%d of %d steps were read", done, len(steps))
	}
	return segments, complete
}

// TestDamage truncates the journal at every byte, and changes bytes. Open recovers exactly
// the complete records before the damage, and records that are appended afterwards.
func TestDamage(t *testing.T) {
	steps := testSteps()
	segments, complete := writeSteps(t, t.TempDir(), steps, 6, 4)
	damages := []struct {
		name string
		step int // distance between the damaged bytes, to save time
		do   func(content []byte, at int) []byte
	}{
		{"cut", 1, func(content []byte, at int) []byte { return content[:at] }},
		{"flip all", 1, func(content []byte, at int) []byte { c := bytes.Clone(content); c[at] ^= 0xff; return c }},
		{"flip one", 5, func(content []byte, at int) []byte { c := bytes.Clone(content); c[at] ^= 1 << (at % 8); return c }},
		{"zeros", 5, func(content []byte, at int) []byte { return append(content[:at:at], make([]byte, 40)...) }},
	}
	more := pageStep(Page{Prospect: "d", Number: 1, Next: "n", Body: []byte("more")})
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for number := range segments {
				for at := 0; at < len(segments[number]); at += damage.step {
					os.Remove(segmentPath(dir, 3))
					for i, content := range segments {
						if i == number {
							content = damage.do(content, at)
						}
						must(t, os.WriteFile(segmentPath(dir, uint32(i+1)), content, 0o600))
					}
					want := after(steps, complete[number][at])
					j := mustOpen(t, dir)
					if diff := cmp.Diff(want, recovered(t, j, testProspects...)); diff != "" {
						t.Fatalf("segment %d, byte %d (-want +got):\n%s", number+1, at, diff)
					}
					if at%3 > 0 {
						must(t, j.Close())
						continue
					}
					must(t, more.do(j))
					must(t, j.Close())

					j = mustOpen(t, dir)
					more.apply(want)
					if diff := cmp.Diff(want, recovered(t, j, testProspects...)); diff != "" {
						t.Fatalf("segment %d, byte %d, after another run (-want +got):\n%s", number+1, at, diff)
					}
					if lost := j.Recovered().Lost; lost != 0 {
						t.Fatalf("segment %d, byte %d: another %d bytes are lost", number+1, at, lost)
					}
					must(t, j.Close())
				}
			}
		})
	}
}

// TestLost: Lost includes incomplete records and all later segments.
func TestLost(t *testing.T) {
	dir := t.TempDir()
	segments, _ := writeSteps(t, dir, testSteps(), 6, 4)
	must(t, os.WriteFile(segmentPath(dir, 1), append(segments[0], "torn"...), 0o600))
	if got, want := mustOpen(t, dir).Recovered().Lost, int64(len("torn")+len(segments[1])); got != want {
		t.Errorf("%d bytes are lost, want %d", got, want)
	}
}

// TestDamageAfterOpen: damage to the files of an open journal is detected.
func TestDamageAfterOpen(t *testing.T) {
	dir := t.TempDir()
	writeSteps(t, dir, testSteps()[:1], 1)
	j := mustOpen(t, dir)
	info, err := os.Stat(segmentPath(dir, 1))
	must(t, err)
	overwrite(t, segmentPath(dir, 1), int(info.Size())-3, []byte{0})
	for damage, do := range map[string]func(){
		"changed": func() {},
		"cut":     func() { must(t, os.Truncate(segmentPath(dir, 1), info.Size()-1)) },
	} {
		do()
		n := 0
		for page, err := range j.Pages("a", nil) {
			n++
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: page %v, error %v", damage, page, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d pages", damage, n)
		}
	}
	must(t, j.Close())
	for _, err := range j.Pages("a", nil) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestHostileLengths: a length in a record is checked before memory is allocated.
func TestHostileLengths(t *testing.T) {
	block := binary.AppendUvarint(nil, MaxBody+1)
	if _, err := (record{block: block}).body(); !errors.Is(err, errDamaged) {
		t.Errorf("a body that claims to be too large: %v", err)
	}
	frame := bytes.Repeat([]byte{0xff}, 100)
	allocated := testing.AllocsPerRun(1, func() {
		good, err := scan(bytes.NewReader(frame), int64(len(frame)), func(int64, int, record) { t.Error("scan found a record") })
		if good != 0 || err != nil {
			t.Errorf("%d good bytes, %v", good, err)
		}
	})
	if allocated > 5 {
		t.Errorf("%v allocations", allocated)
	}
}

// FuzzScan reads segments with any content. It reads them again with correct checksums, so
// that the fields are parsed.
func FuzzScan(f *testing.F) {
	frame := func(r record) []byte {
		b, err := appendRecord(nil, r)
		must(f, err)
		return b
	}
	f.Add(header{number: 1, created: noon, binding: "b"}.encode())
	f.Add(frame(record{kind: pageKind, prospect: "a", page: Page{Number: 1, Cursor: "c", Next: "n", Events: 3, Body: []byte("{}")}}))
	f.Add(append(frame(record{kind: finishKind, prospect: "a", outcome: "complete"}), frame(record{kind: restartKind, prospect: "a"})...))
	f.Fuzz(func(t *testing.T, content []byte) {
		readHeader(bytes.NewReader(content))
		x := newIndex()
		look := func(at int64, size int, r record) {
			x.add(place{at: uint32(at), size: uint32(size)}, r)
			if r.kind != pageKind {
				return
			}
			body, err := r.body()
			if err != nil {
				return
			}
			r.page.Body = body
			again, err := appendRecord(nil, r)
			must(t, err)
			back, err := parseRecord(again)
			must(t, err)
			back.page.Body, err = back.body()
			must(t, err)
			if diff := cmp.Diff(r.page, back.page); diff != "" {
				t.Errorf("the page differs after encoding and decoding (-want +got):\n%s", diff)
			}
		}
		good, err := scan(bytes.NewReader(content), int64(len(content)), look)
		if err != nil || good < 0 || good > int64(len(content)) {
			t.Errorf("%d of %d bytes are good, %v", good, len(content), err)
		}
		fixed := bytes.Clone(content)
		for at := 0; len(fixed)-at > frameSize; {
			size := min(len(fixed)-at-frameSize, int(fixed[at])+1)
			rec := fixed[at : at+frameSize+size]
			binary.LittleEndian.PutUint32(rec, uint32(size))
			binary.LittleEndian.PutUint32(rec[4:], checksum(rec))
			at += len(rec)
		}
		if _, err := scan(bytes.NewReader(fixed), int64(len(fixed)), look); err != nil {
			t.Error(err)
		}
		x.summarize(new(Recovery))
	})
}

// TestLargestRecord: Open reads the largest record that Append accepts.
func TestLargestRecord(t *testing.T) {
	if most := s2.MaxEncodedLen(MaxBody); most < 0 || int64(maxPayload) >= 1<<32-segmentSize {
		t.Fatal("the largest record does not fit in the format")
	}
	dir := t.TempDir()
	j := mustOpen(t, dir)
	page := Page{Prospect: "a", Number: 1, Next: strings.Repeat("x", maxFields-frameSize-20), Body: make([]byte, MaxBody)}
	seed := uint64(1)
	for i := 0; i < len(page.Body); i += 8 { // data that does not compress
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		binary.LittleEndian.PutUint64(page.Body[i:], seed)
	}
	must(t, j.Append(page))
	must(t, j.Close())
	for got, err := range mustOpen(t, dir).Pages("a", nil) {
		if err != nil || !bytes.Equal(got.Body, page.Body) || got.Next != page.Next {
			t.Error(fmt.Sprint("the largest page is recovered incorrectly: ", err))
		}
		return
	}
	t.Error("the largest page is not recovered")
}
