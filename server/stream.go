package server

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// What a client may make a stream remember.
const (
	maxSubscriptions = 64
	maxTypeURL       = 256
)

// stream serves one client. One goroutine receives, another, which owns the
// stream, answers and pushes; a stream that is idle holds nothing but its
// subscriptions and the type sets that were sent last.
type stream struct {
	server   *Server
	protocol *protocol
	cluster  intent.Path
	caller   caller
	tracked  *clusters.Connection
	logger   *slog.Logger
	send     func(encoded) error

	ending chan struct{} // closed by the server to end the stream
	reason error         // why; read it when ending is closed

	identified    bool
	revision      intent.Revision // of the last view that was sent
	subscriptions []*subscription // in the order of pushes
	advanced      <-chan struct{} // nil once views are ready

	// See order.go.
	past        *past     // what the client may have already; nil before its first request
	gatherUntil time.Time // first answers wait for requests until then; zero: no more
	overlap     overlap
	again       bool        // something changed that no answer is to come for
	timer       *time.Timer // nil until it is needed
}

// subscription is one type URL on one stream.
type subscription struct {
	typeURL  string
	typ      *snapshot.Type // nil for a type of Istio's that we don't know
	sent     *snapshot.TypeSet
	nonce    string // of the last response, "" before the first
	refused  string // nonce that the client refused last
	awaiting bool   // the client has not answered the last response
	declined bool   // the client has refused the last response
	reliance        // of a type that others rely on

	// Delta builds on what the client has for sure: base, or have until the
	// first acknowledgement.
	base *snapshot.TypeSet
	have map[string]string
}

// run serves the stream until the cluster or the server ends it, with why; or
// until requests is closed, with nil.
func (s *stream) run(ctx context.Context, requests <-chan request, watch *snapshot.Watch) error {
	for {
		woken := false
		select {
		case <-s.ending:
			return s.reason
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			if err := s.take(r); err != nil {
				return err
			}
		case <-watch.C:
			// The types are compared one by one below: a set is shared, so
			// that costs a pointer each.
			watch.Take()
			woken = true
		case <-s.advanced:
		case <-s.rings():
		}
		if err := s.push(ctx, woken); err != nil {
			return err
		}
	}
}

// take notes what a request says. The answer, if any, is push's.
func (s *stream) take(r request) error {
	if !s.identified {
		s.identify(r)
	}
	if len(r.typeURL) > maxTypeURL {
		return status.Errorf(codes.InvalidArgument, "a type URL has at most %d bytes", maxTypeURL)
	}
	i := slices.IndexFunc(s.subscriptions, func(sub *subscription) bool { return sub.typeURL == r.typeURL })
	if i < 0 {
		return s.subscribe(r)
	}
	sub := s.subscriptions[i]
	switch {
	case sub.nonce == "":
		// Asked again before the first answer.
	case r.nonce == "":
		// Asked again, or, in delta, for names: all are sent anyway.
		if !s.protocol.inTurn {
			sub.sent = nil
		}
	case r.nonce != sub.nonce:
		s.count(sub, "stale")
	case r.refusal != nil:
		s.refuse(sub, r)
	default:
		s.acknowledge(sub)
	}
	return nil
}

// subscribe starts a subscription with the first request for a type, whatever
// its nonce: istiod sends a timestamp.
func (s *stream) subscribe(r request) error {
	typ, known := snapshot.TypeByURL(r.typeURL)
	if !known && !ofIstio(r.typeURL) {
		if r.typeURL != meshConfig && s.server.quiet.allow("type "+r.typeURL) {
			s.logger.Warn("ignored a request for a type that is not Istio's", "type", r.typeURL)
		}
		return nil
	}
	if len(s.subscriptions) == maxSubscriptions {
		return status.Errorf(codes.ResourceExhausted, "a stream takes at most %d types", maxSubscriptions)
	}
	sub := &subscription{typeURL: r.typeURL, typ: typ, have: r.have}
	if known && s.past != nil {
		sub.floor = s.past.sets[typ.ID].Load()
	}
	at, _ := slices.BinarySearchFunc(s.subscriptions, sub, func(a, b *subscription) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), strings.Compare(a.typeURL, b.typeURL))
	})
	s.subscriptions = slices.Insert(s.subscriptions, at, sub)
	return nil
}

// meshConfig is asked for by each istiod and need not be answered: it makes
// no use of what it gets.
const meshConfig = "core/v1alpha1/MeshConfig"

// ofIstio reports whether a type URL, group/version/Kind, is one of Istio's.
func ofIstio(typeURL string) bool {
	group, rest, ok := strings.Cut(typeURL, "/")
	return ok && strings.HasSuffix(group, ".istio.io") && strings.Count(rest, "/") == 1
}

func (s *stream) acknowledge(sub *subscription) {
	sub.awaiting, sub.declined = false, false
	sub.base, sub.have = sub.sent, nil
	s.count(sub, "ack")
	if sub.typ != nil {
		s.tracked.Acknowledged(typeNames[sub.typ.ID], sub.nonce)
	}
}

// refuse notes that the client does not take the last response. It is not
// sent again: the next change is what may help.
func (s *stream) refuse(sub *subscription, r request) {
	sub.awaiting, sub.declined = false, true
	s.count(sub, "nack")
	if sub.typ == nil || sub.refused == sub.nonce {
		return
	}
	sub.refused = sub.nonce
	message := r.refusal.GetMessage()
	s.tracked.Rejected(typeNames[sub.typ.ID], sub.nonce, message)
	s.logger.Warn("the edge refused a configuration", "type", sub.typeURL, "version", sub.nonce, "message", clip(message))
}

func (s *stream) count(sub *subscription, answer string) {
	s.server.metrics.answers.WithLabelValues(sub.name(), answer).Inc()
}

// name is the type as metrics name it.
func (s *subscription) name() string {
	if s.typ == nil {
		return "unknown"
	}
	return typeNames[s.typ.ID]
}

// typeNames are the types as status and metrics name them, group/Kind.
var typeNames = func() (names [len(snapshot.Types)]string) {
	for i, t := range snapshot.Types {
		names[i] = t.Group + "/" + t.Kind
	}
	return names
}()

// identify takes who the client says it is from its first request, the only
// one that carries it.
func (s *stream) identify(r request) {
	s.identified = true
	node := r.node.GetId()
	s.past = s.server.recall(client{s.cluster, clip(node)})
	s.gatherUntil = time.Now().Add(s.server.config.HoldFirst)
	revision := r.node.GetMetadata().GetFields()["ISTIO_REVISION"].GetStringValue()
	s.tracked.Identify(node, revision)
	s.logger.Info("edge connected", "node", clip(node), "istioRevision", clip(revision))
}

// ended logs the end of a stream whose beginning was logged.
func (s *stream) ended(err error) {
	if s.identified {
		s.logger.Info("edge disconnected", "reason", clip(status.Convert(err).Message()))
	}
}

// clip bounds a client's text in the log.
func clip(text string) string {
	const most = 512
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
