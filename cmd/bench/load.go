package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// interference tells how much of the machine others have used since it was made:
// figures that were measured beside other work are not worth much.
type interference struct {
	started   time.Time
	all, ours time.Duration
	canBeTold bool
}

func watchOthers() interference {
	all, ok := machineBusy()
	return interference{time.Now(), all, familyTime(), ok}
}

// share is what others have used, from 0 to 1 of all processors; 0 where that
// cannot be told.
func (i interference) share() float64 {
	all, ok := machineBusy()
	if !ok || !i.canBeTold {
		return 0
	}
	others := (all - i.all) - (familyTime() - i.ours)
	return max(0, others.Seconds()/time.Since(i.started).Seconds()/float64(runtime.NumCPU()))
}

// familyTime is the processor time of this process and of those that it has
// awaited.
func familyTime() time.Duration {
	var children syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children) // which cannot fail on one's own
	return cpuTime() + time.Duration(children.Utime.Nano()+children.Stime.Nano())
}

// machineBusy is the time that all processors together were not idle since the
// machine has started; false where the system does not tell as Linux does.
func machineBusy() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	n, _ := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal)
	const tick = time.Second / 100 // USER_HZ, the same on all of Linux's
	return time.Duration(user+nice+system+irq+softirq+steal) * tick, n == 8
}
