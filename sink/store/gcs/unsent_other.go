//go:build !linux && !darwin

package gcs

import "syscall"

func limitUnsent(_, _ string, _ syscall.RawConn) error { return nil }
