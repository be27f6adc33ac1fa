package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// problem is a server's refusal as RFC 9457 writes it.
type problem struct {
	Title     string             `json:"title"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail"`
	Errors    []intent.Violation `json:"errors"`
	Outcome   string             `json:"outcome"`
	RequestID string             `json:"requestId"`

	request string // method and path
	at      locator
}

// locator tells the place in the user's files that a field of a request was
// made of, and the field as that place calls it; the place is "" when it does
// not know.
type locator func(field string) (place, own string)

// nowhere is the locator of a request that was made of no file.
func nowhere(field string) (place, own string) { return "", field }

// located lets a refusal name the places in the user's files. Other errors are
// returned as they are.
func located(err error, at locator) error {
	var p *problem
	if errors.As(err, &p) {
		p.at = at
	}
	return err
}

// readProblem makes the answer to a request, of whatever content type, a
// problem.
func readProblem(request string, status int, body []byte) *problem {
	p := &problem{}
	if err := json.Unmarshal(body, p); err != nil || p.Title == "" && p.Detail == "" {
		p = &problem{Detail: strings.TrimSpace(clip(string(body)))}
	}
	p.Status, p.request, p.at = status, request, nowhere
	if p.Title == "" {
		p.Title = http.StatusText(status)
	}
	return p
}

// unavailable reports whether the same request may well succeed later, or with
// another server.
func (p *problem) unavailable() bool {
	switch p.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Error is the whole refusal: a line for what, one for each violation, and one
// for what to do when the outcome is unknown.
func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d %s", p.request, p.Status, p.Title)
	if p.Detail != "" && p.Detail != p.Title {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, v := range p.Errors {
		place, field := p.at(v.Field)
		b.WriteString("\n  ")
		for _, part := range []string{place, field} {
			if part != "" {
				b.WriteString(part + ": ")
			}
		}
		b.WriteString(v.Message)
	}
	if p.Outcome == "unknown" {
		b.WriteString("\nIt is not known whether the write took effect: run the same command again, it does no harm.")
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, "\n(request id %s)", p.RequestID)
	}
	return b.String()
}

// clip keeps what a message repeats of an answer short.
func clip(s string) string {
	if len(s) > 500 {
		return s[:500] + "…"
	}
	return s
}
