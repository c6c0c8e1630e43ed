package spool

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// benchPage returns a page of 100 events and about 44 kB, which compresses about as well as
// a real page.
func benchPage(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("hello I would like to see the two bedroom apartment on Saturday is it still available thanks " +
		"parking pets deposit lease month tour schedule agent office please call me back when possible about rent")
	var b strings.Builder
	b.WriteString(`{"edges":[`)
	for i := range 100 {
		if i > 0 {
			b.WriteByte(',')
		}
		at := noon.Add(time.Duration(random.Int64N(1e16))).Format("2006-01-02T15:04:05.000000+00:00")
		var text []string
		for range 8 + random.IntN(12) {
			text = append(text, words[random.IntN(len(words))])
		}
		fmt.Fprintf(&b, `{"node":{"type":"SMS_MESSAGE","description":"A message was sent","eventTime":"%s","createdAt":"%s",`+
			`"source":{"title":"Property Website"},"agent":{"username":"%016x-%016x"},`+
			`"data":{"direction":"INBOUND","from":"+1555%07d","to":"+1555%07d","body":"%s"}}}`,
			at, at, random.Uint64(), random.Uint64(), random.IntN(1e7), random.IntN(1e7), strings.Join(text, " "))
	}
	b.WriteString(`],"pageInfo":{"endCursor":"MTAw","hasNextPage":true}}`)
	return []byte(b.String())
}

func BenchmarkAppend(b *testing.B) {
	for _, workers := range []int{1, 8} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			dir := b.TempDir()
			j, err := Open(dir, "binding", time.Hour, time.Now)
			must(b, err)
			defer j.Remove()
			var bodies [64][]byte
			total := 0
			for i := range bodies {
				bodies[i] = benchPage(uint64(i))
				total += len(bodies[i])
			}
			var worker atomic.Int64
			b.SetBytes(int64(total / len(bodies)))
			b.ReportAllocs()
			b.SetParallelism((workers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			if workers == 1 {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				id := fmt.Sprint("prospect-", worker.Add(1))
				for n := 1; pb.Next(); n++ {
					if err := j.Append(Page{Prospect: id, Number: n, Cursor: "MTAw", Next: "MTAw", Events: 100, Body: bodies[n%len(bodies)]}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			frame, err := appendRecord(nil, record{kind: pageKind, prospect: "a", page: Page{Number: 1, Body: bodies[0]}})
			must(b, err)
			b.ReportMetric(float64(len(bodies[0]))/float64(len(frame)), "ratio")
			b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkOpen resumes a run with many prospects of one page each.
func BenchmarkOpen(b *testing.B) {
	const prospects, events = 200_000, 4
	dir := b.TempDir()
	j, err := Open(dir, "binding", time.Hour, clock(noon))
	must(b, err)
	body := benchPage(1)[:2000]
	for i := range prospects {
		id := fmt.Sprint(47_000_000 + i)
		must(b, j.Append(Page{Prospect: id, Number: 1, Events: events, Body: body}))
		must(b, j.Finish(id, "complete"))
	}
	must(b, j.Close())
	b.SetBytes(int64(prospects * len(body)))
	b.ReportAllocs()
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		j, err := Open(dir, "binding", time.Hour, clock(noon))
		must(b, err)
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if got := j.Recovered().Finished; got != prospects {
			b.Fatal(got)
		}
		must(b, j.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/prospects, "B/prospect")
	b.ReportMetric(prospects*float64(b.N)/b.Elapsed().Seconds(), "prospects/s")
	b.ReportMetric(prospects*events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
