package intent

import (
	"errors"
	"fmt"
	"strings"
)

// What may become of a command that is neither applied nor refused.
var (
	// ErrUnavailable says that the command was provably not applied and never
	// will be: it may be proposed again freely.
	ErrUnavailable = errors.New("the store is unavailable: nothing was changed, try again")

	// ErrUnknownOutcome says that the command entered the log and its fate is
	// not known: it may have been applied, or be applied later. Read before
	// trying again, or try again with a condition or an idempotency key.
	ErrUnknownOutcome = errors.New("outcome unknown: the change may have been applied or not, read before trying again")

	// ErrTooLarge says that the command is larger than a log entry may be.
	ErrTooLarge = errors.New("the change is too large for one log entry: split it")
)

// ErrorKind says what sort of refusal an [Error] is; the REST layer turns it
// into a status code in one place.
type ErrorKind int

// The refusals.
const (
	Malformed    ErrorKind = iota + 1 // not readable as what it should be: 400
	NotFound                          // the object is not there: 404
	Conflict                          // the world is in the way: 409
	Precondition                      // If-Match or If-None-Match missed: 412
	Invalid                           // well-formed, but refused: 422
)

// Violation is one thing wrong with one field.
type Violation struct {
	Field   string `json:"field"` // JSON pointer into the body (RFC 6901)
	Message string `json:"message"`
}

// Error is a refusal: nothing was changed.
type Error struct {
	Kind       ErrorKind
	Op         int    // index of the operation in its transaction
	Path       Path   // the object the operation named, if known
	Detail     string // one sentence: what was wrong and what to do
	Violations []Violation
}

// Errorf makes an Error without violations.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Error says it all in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(string(e.Path))
		b.WriteString(": ")
	}
	b.WriteString(e.Detail)
	for i, v := range e.Violations {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(v.Field + " " + v.Message)
	}
	return b.String()
}
