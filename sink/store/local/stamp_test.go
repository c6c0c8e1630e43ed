package local

import (
	"os"
	"testing"
	"time"

	"prospector/sink/store"
)

// Two writes have different generations even if they happen within one tick of the
// clock, or the clock was set back, and the file system uses the same inode for both.
func TestEveryWriteHasAnotherTime(t *testing.T) {
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
