package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"prospector/jobs"
)

// output is standard output. It remembers the first failure and writes nothing
// after it, so that what was written is the beginning of the output.
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

// failure is the error that made a part of the output be lost, or nil.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// exit gives the exit code of a command that ended with code: 1 if a part of its
// output was lost.
func (e *env) exit(code int) int {
	err := e.out.failure()
	if err == nil {
		return code
	}
	e.view.Diagnostics(jobs.Diagnostics{{Severity: jobs.Error, Summary: "The output is incomplete",
		Detail: "Writing to standard output failed: " + err.Error() + ".\n\nThis does not stop a change of the lake or of the state. prospector show -runs lists what was done."}})
	return 1
}

// write writes what is the user's own or the program's, byte for byte.
func (e *env) write(text string) { _, _ = io.WriteString(e.out, text) }

// ignoreClosedPipe lets a command finish what it changes although the program
// that reads its output has ended. Any other command ends with its reader, by
// SIGPIPE, as those of Unix do.
func ignoreClosedPipe() { signal.Ignore(syscall.SIGPIPE) }

// interruptible gives a context that the first interrupt ends; the second one
// ends the program.
//
// SIGHUP is an interrupt, unless the program was started to ignore it, as nohup
// does. It never counts as the second one: the shell and the system both send it
// when a terminal closes.
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
		go e.diagnoser.Interrupting() // it blocks if the output is not read
		select {
		case <-interrupts:
			close(e.stopped)
		case <-done:
		}
	}()
	return ctx, func() { close(done); cancel() }
}
