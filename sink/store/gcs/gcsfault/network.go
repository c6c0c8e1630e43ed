package gcsfault

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Listen listens on the loopback interface. Its connections have segments and receive
// buffers of the size that they have on a wide-area network. The defaults of the loopback
// interface would hide a slow uplink: the kernel accepts megabytes at once.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err == nil && !net.ParseIP(host).IsLoopback() {
		err = fmt.Errorf("%q is not a loopback address", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10); err == nil {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
			}
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	return config.Listen(ctx, "tcp", addr)
}

// limiter shares a number of bytes per second between readers.
type limiter struct {
	perSecond int

	mu   sync.Mutex
	free time.Time // when the link is free again
}

func newLimiter(perSecond int) *limiter { return &limiter{perSecond: perSecond} }

// reader returns a reader of a body that takes its share of the link.
func (l *limiter) reader(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	if l.perSecond <= 0 {
		return body
	}
	return &limited{body, func(n int) error { return l.take(ctx, n) }}
}

// take waits until n bytes have passed the link. Each reader has at most one piece
// waiting, so all of them get about the same share.
func (l *limiter) take(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.perSecond))
	wait := l.free.Sub(now)
	l.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type limited struct {
	io.ReadCloser
	take func(n int) error
}

func (r *limited) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:min(len(p), 4<<10)])
	if n > 0 {
		if waitErr := r.take(n); waitErr != nil {
			return 0, waitErr
		}
	}
	return n, err
}
