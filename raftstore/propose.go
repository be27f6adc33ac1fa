package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshwright/meshwright/intent"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is whose spans these are. The tracer is asked for at each use:
// a tracer that is kept stays with the first provider of the process.
const tracerName = "github.com/meshwright/meshwright/raftstore"

// Propose puts a command into the log and returns what it did, once this node
// has applied it: Set shows it from then on.
//
// The error is an [*intent.Error] when the command was refused: nothing was
// changed. Else it is one of [intent.ErrTooLarge], [intent.ErrUnavailable] (not applied, try
// again) and [intent.ErrUnknownOutcome] (perhaps applied: read first), with its cause.
// A context that ends while the command waits to enter the log gives
// intent.ErrUnavailable when it has a deadline, later on intent.ErrUnknownOutcome.
func (s *Store) Propose(ctx context.Context, c intent.Command) (intent.Result, error) {
	ctx, span := otel.Tracer(tracerName).Start(ctx, "propose", trace.WithAttributes(
		attribute.String("meshwright.command.kind", string(c.Kind)),
		attribute.String("meshwright.command.id", c.ID),
		attribute.Int("meshwright.command.ops", len(c.Ops)),
	))
	defer span.End()
	start := time.Now()
	result, err := s.propose(ctx, c)
	s.metrics.propose.Observe(time.Since(start).Seconds())
	label := outcome(err)
	s.metrics.proposals.WithLabelValues(label).Inc()
	span.SetAttributes(
		attribute.String("meshwright.outcome", label),
		attribute.Int64("meshwright.revision", int64(result.Revision)),
	)
	if err != nil && !errors.As(err, new(*intent.Error)) {
		span.SetStatus(codes.Error, err.Error())
	}
	return result, err
}

func (s *Store) propose(ctx context.Context, c intent.Command) (intent.Result, error) {
	if err := s.Ready(); err != nil {
		return intent.Result{}, fmt.Errorf("propose: %w: %w", intent.ErrUnavailable, err)
	}
	entry, err := c.Encode()
	if err != nil {
		return intent.Result{}, fmt.Errorf("propose: %w", err)
	}
	if len(entry) > MaxEntry {
		return intent.Result{}, fmt.Errorf("propose: %w: it has %d bytes, %d are allowed", intent.ErrTooLarge, len(entry), MaxEntry)
	}
	return s.submit(ctx, entry)
}

// submit hands an entry to raft and waits for its answer.
func (s *Store) submit(ctx context.Context, entry []byte) (intent.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.ProposeTimeout) // the shorter of the two
	defer cancel()
	if err := ctx.Err(); err != nil {
		return intent.Result{}, fmt.Errorf("propose: %w: %w", intent.ErrUnavailable, err)
	}
	if !s.enter() {
		return intent.Result{}, fmt.Errorf("propose: %w: %w", intent.ErrUnavailable, ErrClosed)
	}
	// Nine tenths of the time for the queue: if that is where it runs out, raft
	// says so before ctx ends, and the outcome is known.
	deadline, _ := ctx.Deadline()
	future := s.raft.Apply(entry, max(time.Until(deadline)*9/10, time.Nanosecond))
	answered := make(chan error, 1)
	go func() {
		defer s.inflight.Done()
		answered <- future.Error()
	}()
	select {
	case err := <-answered:
		if err != nil {
			return intent.Result{}, fmt.Errorf("propose: %w: %w", class(err), err)
		}
	case <-ctx.Done():
		return intent.Result{}, fmt.Errorf("propose: %w: %w", intent.ErrUnknownOutcome, ctx.Err())
	case <-s.failed:
		return intent.Result{}, fmt.Errorf("propose: %w: %w", intent.ErrUnknownOutcome, s.Ready())
	}
	answer := future.Response().(applied)
	if answer.err != nil && !errors.As(answer.err, new(*intent.Error)) {
		return answer.result, fmt.Errorf("propose: %w: %w", intent.ErrUnknownOutcome, answer.err)
	}
	return answer.result, answer.err
}

// enter counts a proposal in, so that Close waits for raft's answer to it. It
// returns false when the store is closing.
func (s *Store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return false
	}
	s.inflight.Add(1)
	return true
}
