// Package bug defines the error that reports a bug in prospector itself.
package bug

import "errors"

// ErrInternal is wrapped by errors that no input can cause.
var ErrInternal = errors.New("this is a bug in prospector; please report it")
