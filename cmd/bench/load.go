package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// interference measures how much of the machine other processes use. Measurements on a
// busy machine are not reliable.
type interference struct {
	started   time.Time
	all, ours time.Duration
	known     bool // the system reports all
}

func watchOthers() interference {
	all, ok := machineBusy()
	return interference{time.Now(), all, familyTime(), ok}
}

// share returns the share of all processors that other processes have used, from 0 to
// 1. It returns 0 if the system does not report that.
func (i interference) share() float64 {
	all, ok := machineBusy()
	if !ok || !i.known {
		return 0
	}
	others := (all - i.all) - (familyTime() - i.ours)
	return max(0, others.Seconds()/time.Since(i.started).Seconds()/float64(runtime.NumCPU()))
}

// familyTime returns the processor time of this process and of its children that have
// exited.
func familyTime() time.Duration {
	var children syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children) // never fails
	return cpuTime() + time.Duration(children.Utime.Nano()+children.Stime.Nano())
}

// machineBusy returns the total busy time of all processors since the machine started.
// It returns false on systems without /proc/stat, which is specific to Linux.
func machineBusy() (time.Duration, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	n, _ := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal)
	const tick = time.Second / 100 // USER_HZ, the same on every Linux
	return time.Duration(user+nice+system+irq+softirq+steal) * tick, n == 8
}
