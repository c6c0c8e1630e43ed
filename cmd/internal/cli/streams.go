package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"prospector/jobs"
	"prospector/sink/store"
)

// output is standard output. It writes nothing after the first failure, so what was
// written is always the beginning of the output.
type output struct {
	to  io.Writer
	mu  sync.Mutex
	err error
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.to.Write(p)
	o.err = err
	return n, err
}

// failure returns the first error, after which output was lost, or nil.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// exit returns the exit code of a command that ended with code. It is 1 if output was
// lost.
func (e *env) exit(code int) int {
	err := e.out.failure()
	if err == nil {
		return code
	}
	e.view.Diagnostics(jobs.Diagnostics{{Severity: jobs.Error, Summary: "The output is incomplete",
		Detail: "Writing to standard output failed: " + err.Error() + ".\n\nThis does not stop a change of the lake or of the state. To see what was done, run: prospector show -runs"}})
	return 1
}

// write writes text of the user or of the program, byte for byte.
func (e *env) write(text string) { _, _ = io.WriteString(e.out, text) }

// ignoreClosedPipe lets a command finish its changes even if the program that reads
// its output has ended. Other commands end with their reader, by SIGPIPE, as Unix
// commands do.
func ignoreClosedPipe() { signal.Ignore(syscall.SIGPIPE) }

// waitingEvery is the interval between reports that calls wait for a service.
const waitingEvery = 30 * time.Second

// seldom returns a function that calls report, but not again within waitingEvery.
func seldom(report func(error)) func(error) {
	var mu sync.Mutex
	var last time.Time
	return func(why error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) >= waitingEvery {
			last = now
			report(why)
		}
	}
}

// interruptible returns a context that the first interrupt cancels. The second
// interrupt ends the program.
//
// SIGHUP is an interrupt, unless the program was started to ignore it, for example
// by nohup. It never counts as the second one, since both the shell and the system
// send it when a terminal closes.
func (e *env) interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	interrupts, hangups := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	go func() {
		defer signal.Stop(interrupts)
		defer signal.Stop(hangups)
		select {
		case <-interrupts:
		case <-hangups:
		case <-done:
			return
		}
		cancel()
		go e.diagnoser.Interrupting() // blocks if no process reads the output
		select {
		case <-interrupts:
			close(e.stopped)
		case <-done:
		}
	}()
	waiting := seldom(func(why error) { go e.diagnoser.Retrying(why) }) // as above
	return store.WithWaiting(ctx, waiting), func() { close(done); cancel() }
}
