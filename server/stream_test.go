package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// script is a transport whose client sends a list of encoded requests.
type script struct {
	grpc.ServerStream
	requests [][]byte
}

var errEnd = errors.New("end of script")

func (s *script) RecvMsg(m any) error {
	if len(s.requests) == 0 {
		return errEnd
	}
	err := proto.Unmarshal(s.requests[0], m.(proto.Message))
	s.requests = s.requests[1:]
	return err
}

// FuzzRequests feeds a stream with any sequence of requests, between which the
// configuration changes, and holds that it remembers and answers in bounds,
// and that what it sends can be read.
func FuzzRequests(f *testing.F) {
	encode := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(false, encode(&discovery.DiscoveryRequest{TypeUrl: virtualServices, ResponseNonce: "junk"}), encode(&discovery.DiscoveryRequest{TypeUrl: virtualServices, ResponseNonce: "empty"}), "a")
	f.Add(false, encode(&discovery.DiscoveryRequest{TypeUrl: "x.istio.io/v1/Y"}), encode(&discovery.DiscoveryRequest{TypeUrl: meshConfig}), "")
	f.Add(true, encode(&discovery.DeltaDiscoveryRequest{TypeUrl: virtualServices, InitialResourceVersions: map[string]string{"shop/r": "1"}}), encode(&discovery.DeltaDiscoveryRequest{TypeUrl: virtualServices, ResourceNamesUnsubscribe: []string{"*"}}), "")
	m := newStore(f)
	m.apply(f, route(f, "r", "one", "a"))
	h := startHub(f, m)
	h.settle(f)
	nonce := h.views.View(clusterPath("a")).OverXDS(snapshot.VirtualService).Version()

	f.Fuzz(func(t *testing.T, asDelta bool, first, second []byte, typeURL string) {
		typeURL = strings.ToValidUTF8(typeURL, "?")
		p := stateOfTheWorld
		again := encode(&discovery.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce})
		if asDelta {
			p = delta
			again = encode(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce})
		}
		transport := &script{requests: [][]byte{first, second, again, first, second, first}}
		tracked := h.tracker.Connect(clusterPath("a"), clusters.Peer{})
		defer tracked.Close()
		sent := 0
		s := &stream{
			server: h.server, protocol: p, cluster: clusterPath("a"), tracked: tracked, logger: h.server.config.Logger,
			send: func(b encoded) error {
				sent++
				if p == delta {
					return proto.Unmarshal(b, &discovery.DeltaDiscoveryResponse{})
				}
				return proto.Unmarshal(b, &discovery.DiscoveryResponse{})
			},
		}
		for {
			r, err := p.recv(transport)
			if errors.Is(err, errEnd) {
				break
			}
			if err != nil || s.take(r) != nil {
				return // the stream would end
			}
			if err := s.push(context.Background(), true); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.subscriptions) > 3 || sent > 6 {
			t.Errorf("six requests made %d subscriptions and %d responses", len(s.subscriptions), sent)
		}
	})
}

// rewound is views of which one may go back in time.
type rewound struct {
	Views
	view *snapshot.View
}

func (r *rewound) View(intent.Path) *snapshot.View { return r.view }

// TestNeverAnOlderRevision holds that a stream hears nothing from views that
// are older than what it was sent.
func TestNeverAnOlderRevision(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"))
	h := startHub(t, m)
	h.settle(t)
	older := h.views.View(clusterPath("a"))
	m.apply(t, route(t, "r", "two", "a"))
	h.settle(t)
	views := &rewound{h.views, h.views.View(clusterPath("a"))}
	config := h.server.config
	config.Views, config.Registerer = views, nil
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	tracked := h.tracker.Connect(clusterPath("a"), clusters.Peer{})
	defer tracked.Close()
	sent := []string{}
	s := &stream{
		server: server, protocol: stateOfTheWorld, cluster: clusterPath("a"), tracked: tracked, logger: config.Logger,
		send: func(b encoded) error {
			sent = append(sent, unmarshalled(t, b).VersionInfo)
			return nil
		},
	}
	newer := views.view
	for _, step := range []struct {
		view *snapshot.View
		asks string
	}{{newer, virtualServices}, {older, virtualServices}, {older, gateways}, {newer, ""}} {
		views.view = step.view
		if step.asks != "" {
			if err := s.take(request{typeURL: step.asks}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.push(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{newer.Type(snapshot.VirtualService).Version(), newer.Type(snapshot.Gateway).Version(), newer.Type(snapshot.VirtualService).Version()}
	diff(t, "versions sent", want, sent)
}

// TestSubscriptionsAreBounded holds that a stream remembers no more types than
// it may, however many a client makes up.
func TestSubscriptionsAreBounded(t *testing.T) {
	h := startHub(t, newStore(t))
	h.settle(t)
	tracked := h.tracker.Connect(clusterPath("a"), clusters.Peer{})
	defer tracked.Close()
	s := &stream{
		server: h.server, protocol: stateOfTheWorld, cluster: clusterPath("a"), tracked: tracked, logger: h.server.config.Logger,
		send: func(encoded) error { return nil },
	}
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = s.take(request{typeURL: "x.istio.io/v1/K" + string(rune('A'+n))})
	}
	if len(s.subscriptions) != maxSubscriptions || err == nil {
		t.Errorf("%d subscriptions after %d requests, error %v", len(s.subscriptions), n, err)
	}
	if err := s.take(request{typeURL: string(make64k())}); err == nil {
		t.Error("an endless type URL is accepted")
	}
}
