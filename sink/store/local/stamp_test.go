package local

import (
	"os"
	"testing"
	"time"

	"prospector/sink/store"
)

// Two writes within one tick of the clock, or after it was turned back, still
// have two generations, even if the file system gives both the same inode.
func TestEveryWriteHasItsTime(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	last := time.Now().Add(time.Hour).Round(0)
	s.lastWrite = last
	for range 3 {
		if _, err := s.Put(t.Context(), "a", store.ContentOf([]byte("one"), ""), store.Condition{}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(s.path + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if last = last.Add(time.Nanosecond); !info.ModTime().Equal(last) {
			t.Errorf("the file's time is %s, want %s", info.ModTime(), last)
		}
	}
}
