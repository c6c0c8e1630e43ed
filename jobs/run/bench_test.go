package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"prospector/extract/knocksim"
)

// BenchmarkApply exports a million events from a simulator, over HTTP within this
// process, to a lake on disk. The time includes the server and the second reader.
func BenchmarkApply(b *testing.B) {
	const events = 1_000_000
	var bytes int64
	b.ReportAllocs()
	for b.Loop() {
		h := newHouse(b)
		h.simulate(knocksim.Options{Seed: 1, Prospects: 25_000, Events: events})
		h.job().Source.Concurrency = 8
		p := h.apply()
		if got := p.Jobs[0].Source.Books.Added; got != events {
			b.Fatalf("%d rows were added", got)
		}
		bytes = h.observed.progress.Bytes
	}
	b.SetBytes(bytes)
	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(peakMiB(b), "peak-MiB")
}

// peakMiB returns the peak memory of the process, or 0 if it is unknown.
func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}
