package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"prospector/sink/store/gcs/gcsfault"
)

// uplink publishes six files of 5 to 33 MB over an uplink of 300 kB/s, in one apply. A
// runner can speed it up by a factor: with smaller files, a faster uplink, and a shorter
// timeout. In all trials but the first one, most requests to the lake also break or stall,
// and the uploads must continue where they were. Those to the state are not disturbed: a
// renewal of the lock takes several requests, and the lease is too short for a stall of
// each of them. The trials of leases disturb the lock.
func uplink(ctx context.Context, t *trial) error {
	smaller := min(t.speedup, 2)
	faster := t.speedup / smaller
	const perSecond, text = 300_000, 105_000
	var six []string // types of events: the first is rare, the last is frequent
	for i, name := range []string{"APPOINTMENT_CREATED", "KNOCKBOT_MESSAGE", "FACEBOOK_MESSAGE", "WEB_MESSAGE", "EMAIL_MESSAGE", "SMS_MESSAGE"} {
		for range i + 1 {
			six = append(six, name)
		}
	}
	t.what = fmt.Sprintf("six files, %d kB/s", perSecond*faster/1000)
	lake := layout{"six files", world{prospects: 10, events: 105, text: text / smaller, types: six}, shape{`["event_type"]`, "256MiB"}}
	o := lake.options(t.random.Uint64())
	o.faults.Uplink = perSecond * faster
	if t.number > 0 {
		o.faults.Seed, o.faults.Rate, o.faults.InARow = t.random.Uint64(), 0.8, 1
		o.faults.Faults = []gcsfault.Fault{gcsfault.ResetDuring, gcsfault.ResetAfter, gcsfault.StallBody, gcsfault.StallAnswer}
		t.what += ", broken connections"
	}
	o.timeout = max(30*time.Second/time.Duration(t.speedup), time.Second)
	l, err := t.lab(ctx, o)
	if err != nil {
		return err
	}
	l.proxy.Always(func(r gcsfault.Request) bool { return !strings.HasPrefix(r.Object, lakePrefix+"/") }, gcsfault.None)
	return l.applyBoth()
}
