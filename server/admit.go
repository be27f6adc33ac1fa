package server

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/meshwright/meshwright/intent"
)

// What a stream that is not served is told.
var (
	errStopping = status.Error(codes.Unavailable, "this replica is stopping: dial again")
	errUnknown  = status.Error(codes.NotFound, "no cluster is registered under the name that was dialled: list it in the cluster's authorities")
	errFull     = status.Error(codes.ResourceExhausted, "the cluster has as many streams as it may")
	errMoved    = status.Error(codes.NotFound, "the name that was dialled belongs to another cluster now: dial again")
	errTooMany  = status.Error(codes.ResourceExhausted, "this replica has as many streams as it may: try another one")
)

// caller is what the transport says about who is at the other end.
type caller struct{ address, sni, authority string }

func callerOf(ctx context.Context) caller {
	var c caller
	if p, ok := peer.FromContext(ctx); ok {
		c.address = p.Addr.String()
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			c.sni = info.State.ServerName
		}
	}
	if names := metadata.ValueFromIncomingContext(ctx, ":authority"); len(names) > 0 {
		c.authority = names[0]
	}
	return c
}

// name is what the caller dialled, for the log.
func (c caller) name() string {
	if c.sni != "" {
		return c.sni
	}
	return c.authority
}

// lookAgain is the least time between two looks at whether a held stream may
// be served. A full cluster is looked at every roomEvery.
const (
	lookAgain = 50 * time.Millisecond
	roomEvery = time.Second
)

// admit finds the cluster of a new stream and takes a place for it, which the
// caller must give back with leave. A stream of no known cluster waits, and so
// does one of a cluster that has no place left: a plain istiod that is refused
// comes back 1.75 times a second for ever.
func (s *Server) admit(ctx context.Context, c caller) (intent.Path, error) {
	if err := s.loaded(ctx); err != nil {
		return "", err
	}
	cluster, err := s.place(c)
	if err == nil || err == errTooMany {
		return cluster, err
	}
	if !s.hold() {
		s.note(c, err, "refused at once")
		return "", err
	}
	defer s.unhold()
	s.note(c, err, "held")
	held, cancel := context.WithTimeout(ctx, s.config.HoldUnknown)
	defer cancel()
	for {
		changed := s.config.Sets.Changed() // before the look, so that nothing is missed
		cluster, again := s.place(c)
		if again == nil && err == errUnknown {
			s.metrics.unknown.WithLabelValues("served").Inc()
		}
		if again == nil || again == errTooMany {
			return cluster, again
		}
		err = again
		select {
		case <-held.Done():
		case <-s.stopping:
			return "", errStopping
		case <-changed:
			pause(held, lookAgain)
		case <-time.After(roomEvery):
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if held.Err() != nil {
			s.note(c, err, "refused")
			return "", err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// loaded waits until the views hold all that was committed: before that, a
// cluster that is not known is merely not loaded yet.
func (s *Server) loaded(ctx context.Context) error {
	for {
		advanced := s.config.Views.Advanced()
		if s.config.Views.Ready() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopping:
			return errStopping
		case <-advanced:
		}
	}
}

// place takes a place for a stream of the cluster that a caller belongs to.
func (s *Server) place(c caller) (intent.Path, error) {
	cluster, ok := s.config.Resolver.Resolve(c.sni, c.authority)
	if !ok {
		return "", errUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.placed >= s.config.MaxStreams {
		s.metrics.refused.WithLabelValues("streams").Inc()
		return "", errTooMany
	}
	if s.places[cluster] >= s.config.MaxStreamsPerCluster {
		return "", errFull
	}
	s.placed++
	s.places[cluster]++
	return cluster, nil
}

// leave gives a place back.
func (s *Server) leave(cluster intent.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed--
	if s.places[cluster]--; s.places[cluster] == 0 {
		delete(s.places, cluster)
	}
}

// hold takes one of the places for streams that wait. It is false when there
// is none.
func (s *Server) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held >= s.config.MaxHeld {
		return false
	}
	s.held++
	s.metrics.held.Set(float64(s.held))
	return true
}

func (s *Server) unhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
	s.metrics.held.Set(float64(s.held))
}

// note counts and logs what becomes of a stream that can't be served.
func (s *Server) note(c caller, reason error, outcome string) {
	switch {
	case reason == errUnknown:
		s.metrics.unknown.WithLabelValues(outcome).Inc()
	case outcome != "held":
		s.metrics.refused.WithLabelValues("streams per cluster").Inc()
	}
	if s.quiet.allow(outcome + " " + c.name()) {
		s.config.Logger.Warn("stream not served", "outcome", outcome, "reason", status.Convert(reason).Message(),
			"sni", clip(c.sni), "authority", clip(c.authority), "peer", c.address)
	}
}
