// Package bug has the error that says that prospector itself is wrong.
package bug

import "errors"

// ErrInternal is wrapped by errors that no input should cause.
var ErrInternal = errors.New("this is a bug in prospector; please report it")
