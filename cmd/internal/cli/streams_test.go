package cli

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A service that does not work is reported at once, and then from time to time.
func TestSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := 0
		report := seldom(func(error) { reports++ })
		for range 10 {
			report(os.ErrDeadlineExceeded)
			time.Sleep(waitingEvery / 5)
		}
		if reports != 2 {
			t.Errorf("10 errors in twice the interval are reported %d times, want 2", reports)
		}
	})
}
