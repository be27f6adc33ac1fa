package main

import (
	"errors"
	"fmt"
)

// The exit codes that scripts can rely on.
const (
	exitOK          = 0
	exitRefused     = 1 // the server said no, or the work failed
	exitUsage       = 2 // the command line or a file can't be understood
	exitUnreachable = 3 // no server answered, or it can't take the request now
)

const exitHelp = `Exit codes:
  0  it is done
  1  refused or failed: the server said no
  2  the command line, a file or a document can't be understood; nothing was sent
  3  no server answers, or it is not available now: try again`

// usageError is a mistake in what the user wrote; nothing was sent.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// unreachableError says that no server answered.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// exitCode chooses the exit code for what a command returned.
func exitCode(err error) int {
	var usage *usageError
	var unreachable *unreachableError
	var refused *problem
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &refused) && refused.unavailable():
		return exitUnreachable
	}
	return exitRefused
}
