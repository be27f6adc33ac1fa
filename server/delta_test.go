package server

import (
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/meshwright/meshwright/snapshot"
)

// relay is the delta client.
type relay struct {
	*edge[discovery.DeltaDiscoveryRequest, discovery.DeltaDiscoveryResponse]
	t *testing.T
	h *hub
}

func (h *hub) open(t *testing.T, authority string) *relay {
	t.Helper()
	stream, err := h.dial(t, authority).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &relay{edge: newEdge(t, stream), t: t, h: h}
}

func (c *relay) ask(typeURL string, have map[string]string) {
	c.t.Helper()
	c.send(&discovery.DeltaDiscoveryRequest{
		TypeUrl: typeURL, InitialResourceVersions: have, ResourceNamesSubscribe: []string{"*"}, Node: &core.Node{Id: "relay"},
	})
}

func (c *relay) ack(r *discovery.DeltaDiscoveryResponse) {
	c.t.Helper()
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce})
}

func (c *relay) nack(r *discovery.DeltaDiscoveryResponse) {
	c.t.Helper()
	c.send(&discovery.DeltaDiscoveryRequest{
		TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no"},
	})
}

// expect takes the next response, which must lead to what cluster a is to have
// of a type by giving it some of the objects, and removing others.
func (c *relay) expect(what string, id snapshot.TypeID, changed, removed []string) *discovery.DeltaDiscoveryResponse {
	c.t.Helper()
	got := c.next()
	typ := snapshot.Types[id]
	diff(c.t, what, wholeDelta(c.t, c.h.set("a", id), typ.APIVersion()+"/"+typ.Kind, changed, removed), got)
	return got
}

func wholeDelta(t *testing.T, set *snapshot.TypeSet, typeURL string, changed, removed []string) *discovery.DeltaDiscoveryResponse {
	t.Helper()
	r := &discovery.DeltaDiscoveryResponse{
		SystemVersionInfo: set.Version(), Nonce: set.Version(), TypeUrl: typeURL, RemovedResources: removed,
	}
	whole := unmarshalled(t, set.StateOfTheWorld(typeURL))
	for _, name := range changed {
		o := set.Get(name)
		if o == nil {
			t.Fatalf("%s is not in the set", name)
		}
		resource := &discovery.Resource{Name: name, Version: o.Version}
		for _, entry := range whole.Resources {
			var m mcp.Resource
			if err := entry.UnmarshalTo(&m); err != nil {
				t.Fatal(err)
			}
			if m.Metadata.Name == name {
				resource.Resource = entry
			}
		}
		r.Resources = append(r.Resources, resource)
	}
	return r
}

// TestDelta holds that a relay gets all at first, then what differs.
func TestDelta(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r1", "one", "a"), route(t, "r2", "one", "a"), route(t, "r3", "one", "a"))
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.ask(virtualServices, nil)
	c.ask(gateways, nil)
	first := c.expect("first response", snapshot.VirtualService, []string{"shop/r1", "shop/r2", "shop/r3"}, nil)
	c.ack(first)
	empty := c.expect("empty type", snapshot.Gateway, nil, nil)
	c.ack(empty)

	m.apply(t, route(t, "r2", "two", "a"), remove(resourcePath("r1")), route(t, "r4", "one", "a"), route(t, "b", "one", "b"))
	second := c.expect("second response", snapshot.VirtualService, []string{"shop/r2", "shop/r4"}, []string{"shop/r1"})

	// Until it is answered nothing else is sent of the type: what happens
	// meanwhile comes as one step.
	m.apply(t, route(t, "r5", "one", "a"))
	h.settle(t)
	m.apply(t, remove(resourcePath("r5")), route(t, "r6", "one", "a"))
	h.settle(t)
	c.ack(second)
	c.expect("third response", snapshot.VirtualService, []string{"shop/r6"}, nil)
}

// TestDeltaAfterRefusal holds that what a client refused is no ground to build
// on: the next step starts from what it acknowledged.
func TestDeltaAfterRefusal(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r1", "one", "a"))
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.ask(virtualServices, nil)
	c.ack(c.next())
	m.apply(t, route(t, "r2", "one", "a"))
	c.nack(c.next())
	m.apply(t, route(t, "r3", "one", "a"))
	third := c.expect("response after a refusal", snapshot.VirtualService, []string{"shop/r2", "shop/r3"}, nil)
	c.nack(third)
	// Back to what the client has: nothing to say, until something differs.
	m.apply(t, remove(resourcePath("r2")), remove(resourcePath("r3")))
	h.settle(t)
	m.apply(t, route(t, "r1", "two", "a"))
	c.expect("response after the way back", snapshot.VirtualService, []string{"shop/r1"}, nil)
}

// TestDeltaResume holds that a relay that comes back gets the net change.
func TestDeltaResume(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r1", "one", "a"), route(t, "r2", "one", "a"), route(t, "r3", "one", "a"))
	h := startHub(t, m)
	h.settle(t)
	have := map[string]string{}
	for o := range h.set("a", snapshot.VirtualService).All() {
		have[o.FullName()] = o.Version
	}
	have["shop/old"] = "0"
	m.apply(t, remove(resourcePath("r1")), route(t, "r3", "two", "a"))
	h.settle(t)

	c := h.open(t, "a.example:15010")
	c.ask(virtualServices, have)
	first := c.expect("net change", snapshot.VirtualService, []string{"shop/r3"}, []string{"shop/old", "shop/r1"})

	// Refused: what it has is still what it said.
	c.nack(first)
	m.apply(t, route(t, "r4", "one", "a"))
	second := c.expect("net change after a refusal", snapshot.VirtualService, []string{"shop/r3", "shop/r4"}, []string{"shop/old", "shop/r1"})
	c.ack(second)
	m.apply(t, route(t, "r5", "one", "a"))
	c.expect("next step", snapshot.VirtualService, []string{"shop/r5"}, nil)

	// Back with everything: told so.
	have = map[string]string{}
	for o := range h.set("a", snapshot.VirtualService).All() {
		have[o.FullName()] = o.Version
	}
	c = h.open(t, "a.example:15010")
	c.ask(virtualServices, have)
	c.expect("nothing missed", snapshot.VirtualService, nil, nil)
}

// TestDeltaNamesAreWildcard holds that subscribing to names, or letting them
// go, neither narrows nor repeats what is sent.
func TestDeltaNamesAreWildcard(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r1", "one", "a"), route(t, "r2", "one", "a"))
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: virtualServices, ResourceNamesSubscribe: []string{"shop/r1"}})
	first := c.expect("all", snapshot.VirtualService, []string{"shop/r1", "shop/r2"}, nil)
	c.ack(first)
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: virtualServices, ResourceNamesSubscribe: []string{"shop/r2"}})
	c.send(&discovery.DeltaDiscoveryRequest{TypeUrl: virtualServices, ResourceNamesUnsubscribe: []string{"*"}})
	c.ask("networking.istio.io/v2/Future", nil)
	diff(t, "unknown type of Istio's", &discovery.DeltaDiscoveryResponse{
		SystemVersionInfo: emptyVersion, Nonce: emptyVersion, TypeUrl: "networking.istio.io/v2/Future",
	}, c.next())
	m.apply(t, route(t, "r3", "one", "a"))
	c.expect("next step", snapshot.VirtualService, []string{"shop/r3"}, nil)
}
