package server

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// tracerName is whose spans these are. The tracer is asked for at each use:
// a tracer that is kept stays with the first provider of the process.
const tracerName = "github.com/meshwright/meshwright/server"

// errDeleted ends the streams of a cluster that is no more. The edge keeps
// what it has; it is never sent an emptied set.
var errDeleted = status.Error(codes.NotFound, "the cluster is not registered any more")

// fanOut is when a revision was first noticed by any stream, right after it
// was published.
type fanOut struct {
	revision intent.Revision
	at       time.Time
}

// noticed returns when the first stream was woken for a revision: the start of
// its way to the edges. It is the zero time for a stream that was not woken,
// or so late that the next revision is under way.
func (s *Server) noticed(revision intent.Revision, woken bool) time.Time {
	if !woken {
		return time.Time{}
	}
	for {
		latest := s.latest.Load()
		switch {
		case latest != nil && latest.revision == revision:
			return latest.at
		case latest != nil && latest.revision > revision:
			return time.Time{}
		}
		next := &fanOut{revision, time.Now()}
		if s.latest.CompareAndSwap(latest, next) {
			return next.at
		}
	}
}

// push sends every subscription what it lacks. It stays silent while there is
// nothing that may be sent: until the views are built, and while they are
// older than what the stream has seen.
func (s *stream) push(ctx context.Context, woken bool) error {
	view, err := s.view()
	if view == nil {
		return err
	}
	if view.Revision < s.revision {
		return nil
	}
	began := s.server.noticed(view.Revision, woken)
	var round round
	s.settle(view)
	s.rule(view)
	for _, sub := range s.subscriptions {
		if err := s.update(ctx, sub, view, &round); err != nil {
			return err
		}
	}
	round.end()
	s.again = s.rule(view) || s.again
	s.alarm()
	if round.types > 0 && !began.IsZero() {
		s.server.metrics.latency.Observe(time.Since(began).Seconds())
	}
	return nil
}

// view is what the cluster may be sent now: nil when that is nothing, with an
// error when it will stay so.
func (s *stream) view() (*snapshot.View, error) {
	views := s.server.config.Views
	s.advanced = nil
	if !views.Ready() {
		s.advanced = views.Advanced()
		if !views.Ready() { // it was published in between otherwise
			return nil, nil
		}
		s.advanced = nil
	}
	view := views.View(s.cluster)
	if view == nil && s.server.config.Sets.Set().Get(s.cluster) == nil {
		return nil, errDeleted
	}
	return view, nil // nil: registered, not built yet
}

// update sends one subscription what it lacks, if anything.
func (s *stream) update(ctx context.Context, sub *subscription, view *snapshot.View, r *round) error {
	if sub.typ == nil {
		if sub.nonce != "" {
			return nil
		}
		sub.nonce = emptyVersion
		return s.transmit(ctx, sub, s.protocol.empty(sub.typeURL), r)
	}
	next := s.want(sub, view)
	if sub.sent == next || !s.mayGo(sub, view) {
		return nil
	}
	switch {
	case sub.stage() == stageGuards:
		s.relyOn(sub, next)
	case sub.stage() == stageRoutes:
		s.follow(view)
	case sub.typ.ID == snapshot.ServiceEntry:
		s.offer(view)
	}
	answer := s.protocol.answer(sub, next)
	if answer == nil { // back to what the client has
		sub.sent, sub.declined = next, false
		s.again = true // for what waits for this type
		return nil
	}
	if err := s.transmit(ctx, sub, answer, r); err != nil {
		return err
	}
	sub.sent, sub.nonce, sub.awaiting, sub.declined = next, next.Version(), true, false
	s.revision = view.Revision
	s.tracked.Sent(typeNames[sub.typ.ID], sub.nonce, view.Revision)
	return nil
}

// transmit hands one response to the transport. It waits while the client is
// slow; what changes meanwhile is not queued, the next round sends the latest.
func (s *stream) transmit(ctx context.Context, sub *subscription, answer encoded, r *round) error {
	r.begin(ctx, s)
	if err := s.send(answer); err != nil {
		r.end()
		return err
	}
	r.types++
	r.bytes += len(answer)
	m := s.server.metrics
	m.pushes.WithLabelValues(sub.name(), s.protocol.name).Inc()
	m.bytes.WithLabelValues(s.protocol.name).Add(float64(len(answer)))
	return nil
}

// round is what one wake-up or request made a stream send: one span, none
// when that is nothing.
type round struct {
	span         trace.Span
	types, bytes int
}

func (r *round) begin(ctx context.Context, s *stream) {
	if r.span == nil {
		_, r.span = otel.Tracer(tracerName).Start(ctx, "push")
		if r.span.IsRecording() {
			r.span.SetAttributes(
				attribute.String("meshwright.cluster", s.cluster.ClusterName()),
				attribute.String("meshwright.protocol", s.protocol.name))
		}
	}
}

func (r *round) end() {
	if r.span == nil {
		return
	}
	if r.span.IsRecording() {
		r.span.SetAttributes(attribute.Int("meshwright.types", r.types), attribute.Int("meshwright.bytes", r.bytes))
	}
	r.span.End()
}
