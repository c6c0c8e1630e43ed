package store

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// FlippedBytes finds a changed byte at any position, and Undo restores it.
func TestFlippedBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 5, 4096, 70_000} {
		original := make([]byte, size)
		for i := range original {
			original[i] = byte(random.Uint32())
		}
		for range 50 {
			flipped := FlippedByte{int64(random.IntN(size)), byte(1 + random.IntN(255))}
			damaged := bytes.Clone(original)
			damaged[flipped.Offset] ^= flipped.Mask
			found := slices.Collect(FlippedBytes(int64(size), Checksum(original), Checksum(damaged)))
			if !slices.Contains(found, flipped) || len(found) > 2 {
				t.Fatalf("size %d: %v was changed, found %v", size, flipped, found)
			}
			// Reads of all sizes, so that some begin or end at the changed byte.
			r := flipped.Undo(bytes.NewReader(damaged))
			for step := range 3 {
				undone, err := io.ReadAll(struct{ io.Reader }{io.NewSectionReader(stepping{r, 1 + 7*step}, 0, int64(size))})
				if err != nil || !bytes.Equal(undone, original) {
					t.Fatalf("size %d: undoing %v in steps of %d returns other bytes, %v", size, flipped, 1+7*step, err)
				}
			}
		}
	}
}

// stepping reads at most n bytes at a time.
type stepping struct {
	r io.ReaderAt
	n int
}

func (s stepping) ReadAt(p []byte, offset int64) (int, error) {
	return s.r.ReadAt(p[:min(len(p), s.n)], offset)
}

// Every change in the list explains the checksums. For equal checksums, the list is empty.
func TestFlippedBytesOfOtherDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const size = 4 << 20
	zeros := make([]byte, size)
	was, total := Checksum(zeros), 0
	for range 20 {
		is := random.Uint32()
		for f := range FlippedBytes(size, was, is) {
			total++
			zeros[f.Offset] = f.Mask
			if got := Checksum(zeros); got != is {
				t.Errorf("%v has the checksum %08x, not %08x", f, got, is)
			}
			zeros[f.Offset] = 0
		}
	}
	if total == 0 || total > 30 { // about five are expected
		t.Errorf("%d changes of one byte explain 20 random checksums", total)
	}
	for f := range FlippedBytes(size, was, was) {
		t.Errorf("equal checksums are explained by %v", f)
	}
}

func BenchmarkFlippedBytes(b *testing.B) {
	const size = 1 << 20
	b.SetBytes(size)
	for b.Loop() {
		for range FlippedBytes(size, 1, 2) {
		}
	}
}
