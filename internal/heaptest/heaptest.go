// Package heaptest measures, for tests, how much memory a function has in use.
package heaptest

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Peak returns the peak number of bytes that f has in use, as reported by the garbage
// collector, in addition to those in use before. percent is the collector's target
// meanwhile: the lower it is, the more often the collector runs, and the less garbage
// is counted.
func Peak(percent int, f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	live := func() int64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before, peak := live(), int64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak = max(peak, live())
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-ended
	return peak - before
}
