package server

import (
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// istiod is the state-of-the-world client, as a stock istiod speaks.
type istiod struct {
	*edge[discovery.DiscoveryRequest, discovery.DiscoveryResponse]
}

// connect opens a stream as the cluster's istiod.
func (h *hub) connect(t testing.TB, authority string, options ...grpc.DialOption) *istiod {
	t.Helper()
	return openStream(t, h.dial(t, authority, options...))
}

func openStream(t testing.TB, client discovery.AggregatedDiscoveryServiceClient) *istiod {
	t.Helper()
	stream, err := client.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &istiod{newEdge(t, stream)}
}

// ask subscribes as istiod does: with a junk nonce, and who it is.
func (c *istiod) ask(typeURLs ...string) {
	c.t.Helper()
	for _, url := range typeURLs {
		c.send(&discovery.DiscoveryRequest{
			TypeUrl: url, ResponseNonce: "2026-08-27 12:05:20.123 +0000 UTC",
			Node: &core.Node{
				Id:       "sidecar~10.0.0.1~istiod-0.istio-system~istio-system.svc.cluster.local",
				Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"ISTIO_REVISION": structpb.NewStringValue("canary")}},
			},
		})
	}
}

func (c *istiod) ack(r *discovery.DiscoveryResponse) {
	c.t.Helper()
	c.send(&discovery.DiscoveryRequest{TypeUrl: r.TypeUrl, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce})
}

// names are the objects of a response, by namespace/name.
func names(t testing.TB, r *discovery.DiscoveryResponse) []string {
	t.Helper()
	out := []string{}
	for _, entry := range r.Resources {
		var m mcp.Resource
		if err := entry.UnmarshalTo(&m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m.Metadata.Name)
	}
	return out
}

// wholeResponse is the response that must carry one VirtualService.
func wholeResponse(t *testing.T, set *snapshot.TypeSet, typeURL, name, to string) *discovery.DiscoveryResponse {
	t.Helper()
	body, err := anypb.New(&networking.VirtualService{
		Hosts: []string{name + ".global"},
		Http: []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{{
			Destination: &networking.Destination{Host: to},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := anypb.New(&mcp.Resource{
		Metadata: &mcp.Metadata{
			Name: "shop/" + name, CreateTime: timestamppb.New(epoch), Version: set.Get("shop/" + name).Version,
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "meshwright"},
			Annotations: map[string]string{"meshwright.io/intents": string(resourcePath(name))},
		},
		Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &discovery.DiscoveryResponse{
		VersionInfo: set.Version(), Nonce: set.Version(), TypeUrl: typeURL, Resources: []*anypb.Any{entry},
	}
}

// TestWholeTypeUnderTheAskedURL holds that istiod's first request is answered
// although its nonce is junk, under the API version that it asks for, with the
// body that it decodes whatever it asks for.
func TestWholeTypeUnderTheAskedURL(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"), route(t, "other", "two", "b"))
	h := startHub(t, m)
	for _, typeURL := range []string{virtualServices, "networking.istio.io/v1alpha3/VirtualService", "networking.istio.io/v1beta1/VirtualService"} {
		c := h.connect(t, "a.example:15010")
		c.ask(typeURL)
		got := c.next()
		diff(t, "response to "+typeURL, wholeResponse(t, h.set("a", snapshot.VirtualService), typeURL, "r", "one"), got)
	}
}

// TestEveryTypeIsAnswered asks for what istiods of all releases ask for at
// once, a type of the future and one that is not Istio's.
func TestEveryTypeIsAnswered(t *testing.T) {
	h := startHub(t, newStore(t))
	c := h.connect(t, "a.example:15010")
	c.ask(meshConfig, "type.googleapis.com/envoy.config.cluster.v3.Cluster", "v1/ConfigMap")
	urls := map[string]bool{}
	for _, typ := range snapshot.XDSTypes {
		urls[typ.Group+"/"+typ.Version+"/"+typ.Kind] = true
	}
	urls["networking.istio.io/v2/Future"] = true
	for url := range urls {
		c.ask(url)
	}
	for range len(urls) {
		r := c.next()
		if !urls[r.TypeUrl] {
			t.Fatalf("%s was answered twice, or never asked for", r.TypeUrl)
		}
		delete(urls, r.TypeUrl)
		if r.VersionInfo == "" || r.Nonce != r.VersionInfo {
			t.Errorf("%s: version %q, nonce %q", r.TypeUrl, r.VersionInfo, r.Nonce)
		}
		diff(t, r.TypeUrl, &discovery.DiscoveryResponse{TypeUrl: r.TypeUrl, VersionInfo: r.VersionInfo, Nonce: r.Nonce}, r)
		c.ack(r)
	}
	// Nothing is owed any more: what comes next is what changes next.
	m := h.store
	m.apply(t, route(t, "r", "one", "a"))
	if r := c.next(); r.TypeUrl != virtualServices {
		t.Errorf("%s was sent after all were answered", r.TypeUrl)
	}
}

// TestOnlyWhatChangedIsSent holds that a change reaches the types and the
// clusters it concerns, and no others.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"), entry(t, "e", "a", "b"))
	h := startHub(t, m)
	a, b := h.connect(t, "a.example:15010"), h.connect(t, "b.example:15010")
	for _, c := range []*istiod{a, b} {
		c.ask(serviceEntries, virtualServices)
		c.ack(c.next())
		c.ack(c.next())
	}
	m.apply(t, route(t, "r", "two", "a"))
	got := a.next()
	diff(t, "a's response", wholeResponse(t, h.set("a", snapshot.VirtualService), virtualServices, "r", "two"), got)
	a.ack(got)

	// Both types in one step: in the order of types, and b hears first of
	// this.
	m.apply(t, route(t, "r2", "two", "a", "b"), entry(t, "e2", "a", "b"))
	want := map[*istiod][]string{a: {"shop/r", "shop/r2"}, b: {"shop/r2"}}
	for _, c := range []*istiod{a, b} {
		first, second := c.next(), c.next()
		diff(t, "types", []string{serviceEntries, virtualServices}, []string{first.TypeUrl, second.TypeUrl})
		diff(t, "entries", []string{"shop/e", "shop/e2"}, names(t, first))
		diff(t, "routes", want[c], names(t, second))
		c.ack(first)
		c.ack(second)
	}
	// A push is counted once it is sent, which may be after it is received.
	pushed := func(n float64) {
		t.Helper()
		eventually(t, "pushes are counted", func() bool { return h.metric(t, "pushes_total") == n })
	}
	pushed(9)
	m.apply(t, remove(resourcePath("r2")), remove(resourcePath("e2")))
	for _, c := range []*istiod{a, b} {
		first := c.next()
		c.ack(first)
		diff(t, "types that lose objects", []string{virtualServices, serviceEntries}, []string{first.TypeUrl, c.next().TypeUrl})
	}
	pushed(13)
}

// TestClientAnswers holds how acknowledgements, refusals and overtaken answers
// show in the status.
func TestClientAnswers(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"))
	h := startHub(t, m)
	c := h.connect(t, "a.example:15010")
	c.ask(virtualServices)
	first := c.next()
	c.ack(first)
	eventually(t, "the first version is acknowledged", func() bool {
		types := h.tracker.Status(clusterPath("a")).Types
		return len(types) == 1 && types[0].Acknowledged != nil && types[0].Acknowledged.Version == first.VersionInfo
	})
	m.apply(t, route(t, "r", "two", "a"))
	second := c.next()
	c.ack(first) // overtaken
	c.send(&discovery.DiscoveryRequest{
		TypeUrl: virtualServices, VersionInfo: first.VersionInfo, ResponseNonce: second.Nonce,
		ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no such host"},
	})
	var got clusters.Status
	eventually(t, "the second version is rejected", func() bool {
		got = h.tracker.Status(clusterPath("a"))
		return got.Types[0].Rejected != nil
	})
	peer := got.Connections[0].Peer
	peer.Address = ""
	diff(t, "peer", clusters.Peer{
		Protocol: "sotw", Authority: "a.example:15010",
		Node: "sidecar~10.0.0.1~istiod-0.istio-system~istio-system.svc.cluster.local", Revision: "canary",
	}, peer)
	at := got.Types[0]
	for _, mark := range []*clusters.Mark{at.Sent, at.Acknowledged} {
		mark.At = time.Time{}
	}
	at.Rejected.At = time.Time{}
	revision := m.Set().Revision()
	diff(t, "status", clusters.TypeStatus{
		Type:         "networking.istio.io/VirtualService",
		Sent:         &clusters.Mark{Version: second.VersionInfo, Revision: revision},
		Acknowledged: &clusters.Mark{Version: first.VersionInfo, Revision: revision - 1},
		Rejected:     &clusters.Rejection{Version: second.VersionInfo, Message: "no such host"},
	}, at)
	// It is not sent again; the next change is.
	m.apply(t, route(t, "r", "three", "a"))
	c.ack(c.next())
	eventually(t, "the third version is acknowledged", func() bool {
		types := h.tracker.Status(clusterPath("a")).Types
		return types[0].Rejected == nil && types[0].Acknowledged.Revision == m.Set().Revision()
	})
	for answer, want := range map[string]float64{"ack": 2, "nack": 1, "stale": 1} {
		if got := h.metric(t, "client_answers_total", answer); got != want {
			t.Errorf("%v answers counted as %s, want %v", got, answer, want)
		}
	}
}

// TestSilentUntilLoaded holds that a stream hears nothing from a replica that
// may lack a part of what was committed, and then all of it.
func TestSilentUntilLoaded(t *testing.T) {
	m := newMemory()
	m.ready = make(chan struct{})
	h := startHub(t, m)
	c := h.connect(t, "a.example:15010")
	c.ask(virtualServices)
	eventually(t, "the stream waits", func() bool { return goroutines("(*Server).loaded") > 0 })
	m.apply(t, cluster(t, "a"))
	if h.tracker.Status(clusterPath("a")).Connectivity != clusters.NeverSeen {
		t.Error("the stream was admitted before the store was loaded")
	}
	m.apply(t, cluster(t, "b"),
		put(t, trafficGroup.Group(), &intent.GroupSpec{Namespace: "shop"}),
		put(t, trafficGroup, &intent.TrafficGroupSpec{}), route(t, "r", "one", "a"))
	close(m.ready)
	diff(t, "first response", []string{"shop/r"}, names(t, c.next()))
	if held := h.metric(t, "unknown_connections_total"); held != 0 {
		t.Errorf("%v streams were counted as unknown while the store was loading", held)
	}
}

// TestDeletedClusterKeepsWhatItHas holds that a cluster's end ends its
// streams, with nothing sent before.
func TestDeletedClusterKeepsWhatItHas(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"))
	h := startHub(t, m)
	c, d := h.connect(t, "a.example:15010"), h.open(t, "a.example:15010")
	c.ask(virtualServices)
	c.ack(c.next())
	d.ask(virtualServices, nil)
	d.ack(d.next())
	m.apply(t, remove(resourcePath("r")), remove(clusterPath("a")))
	select {
	case r, ok := <-c.got:
		if ok {
			t.Errorf("a response was sent: %v", r)
		}
	case <-time.After(patience):
		t.Fatal("the stream does not end")
	}
	if got := status.Code(c.err); got != codes.NotFound {
		t.Errorf("the stream ended with %v, want NotFound", got)
	}
	if got := d.end(); got != codes.NotFound {
		t.Errorf("the delta stream ended with %v, want NotFound", got)
	}
}
