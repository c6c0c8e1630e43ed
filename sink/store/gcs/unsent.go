//go:build linux || darwin

package gcs

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnsent limits the bytes that the kernel holds unsent. The option does not limit
// what is on its way, so it costs no throughput. An older kernel may lack it.
func limitUnsent(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
