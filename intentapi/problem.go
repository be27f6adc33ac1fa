package intentapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/meshwright/meshwright/intent"
)

// problem is an error as RFC 9457 shows it.
type problem struct {
	Type      string             `json:"type"`
	Title     string             `json:"title"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail"`
	Errors    []intent.Violation `json:"errors,omitempty"`
	Outcome   string             `json:"outcome,omitempty"` // "unknown": the write may or may not be there
	RequestID string             `json:"requestId"`

	retryAfter string // seconds
}

// Error is the problem's detail.
func (p *problem) Error() string { return p.Detail }

// problemTypes names each kind of problem for programs.
var problemTypes = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method-not-allowed",
	http.StatusNotAcceptable:         "not-acceptable",
	http.StatusConflict:              "conflict",
	http.StatusGone:                  "compacted",
	http.StatusPreconditionFailed:    "precondition-failed",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusUnsupportedMediaType:  "unsupported-media-type",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusTooManyRequests:       "too-many-requests",
	http.StatusInternalServerError:   "internal",
	http.StatusNotImplemented:        "not-implemented",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "timeout",
}

// refuse makes a problem of a status.
func refuse(status int, detail string, violations ...intent.Violation) *problem {
	return &problem{
		Type:   "urn:meshwright:problem:" + problemTypes[status],
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
		Errors: violations,
	}
}

// malformed is a 400 with all its violations.
func malformed(violations ...intent.Violation) *problem {
	return refuse(http.StatusBadRequest, "the request is not well-formed", violations...)
}

// statusOf says which status a refusal has.
var statusOf = map[intent.ErrorKind]int{
	intent.Malformed:    http.StatusBadRequest,
	intent.NotFound:     http.StatusNotFound,
	intent.Conflict:     http.StatusConflict,
	intent.Precondition: http.StatusPreconditionFailed,
	intent.Invalid:      http.StatusUnprocessableEntity,
}

// problemOf turns any error into what the client is told. It is the one place
// where an error becomes a status. What is not meant for clients stays out of
// the answer: it is the caller's to log.
func problemOf(err error) *problem {
	var p *problem
	var refusal *intent.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return refuse(statusOf[refusal.Kind], refusal.Detail, refusal.Violations...)
	case errors.Is(err, intent.ErrUnavailable):
		p = refuse(http.StatusServiceUnavailable, "the store can't take the request now; nothing was changed: send it again")
		p.retryAfter = "1"
		return p
	case errors.Is(err, intent.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the change is too large for one entry of the log: split it")
	case errors.Is(err, intent.ErrUnknownOutcome):
		p = refuse(http.StatusServiceUnavailable, "the write may or may not have been carried out: read before writing again, or repeat it with the same Idempotency-Key")
		p.Outcome, p.retryAfter = "unknown", "1"
		return p
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusServiceUnavailable, "the request was given up before it was answered")
	}
	return refuse(http.StatusInternalServerError, "an error that is not the request's; its details are in the server's log under the request id")
}
