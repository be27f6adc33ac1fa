package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mcp "istio.io/api/mcp/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/snapshot"
)

const (
	destinationRules = "networking.istio.io/v1/DestinationRule"
	policies         = "security.istio.io/v1/AuthorizationPolicy"
)

// orderedTypes are those that are sent in an order, by the URL that istiod
// asks for.
var orderedTypes = map[string]snapshot.TypeID{
	"security.istio.io/v1/PeerAuthentication":    snapshot.PeerAuthentication,
	"security.istio.io/v1/RequestAuthentication": snapshot.RequestAuthentication,
	policies:         snapshot.AuthorizationPolicy,
	serviceEntries:   snapshot.ServiceEntry,
	destinationRules: snapshot.DestinationRule,
	gateways:         snapshot.Gateway,
	virtualServices:  snapshot.VirtualService,
}

// mesh is what a client of either protocol has, checked after each response.
type mesh struct {
	t       *testing.T
	h       *hub
	random  *rand.Rand
	node    string
	cluster string
	delta   bool
	refuses bool // some responses, at random
	judge   func(*mesh, failure)

	has      map[string]map[string]*mcp.Resource // by type URL and name
	versions map[string]string
	plain    *istiod
	relay    *relay
	cancel   context.CancelFunc
	unsaid   []func() // answers that it has not sent, in order
	log      []string
}

// connect opens a stream and asks for all types in any order. What it had it
// has still.
func (c *mesh) connect() {
	c.t.Helper()
	if c.cancel != nil {
		c.cancel()
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel, c.unsaid = cancel, nil
	c.log = append(c.log, "connect")
	client := c.h.dial(c.t, c.cluster+".example:15010")
	urls := slices.Sorted(maps.Keys(orderedTypes))
	c.random.Shuffle(len(urls), func(i, j int) { urls[i], urls[j] = urls[j], urls[i] })
	node := &core.Node{Id: c.node}
	if c.delta {
		stream, err := client.DeltaAggregatedResources(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		c.relay = &relay{edge: newEdge(c.t, stream), t: c.t, h: c.h}
		for _, url := range urls {
			have := map[string]string{}
			for name, r := range c.has[url] {
				have[name] = r.Metadata.Version
			}
			c.relay.send(&discovery.DeltaDiscoveryRequest{TypeUrl: url, InitialResourceVersions: have, Node: node})
			node = nil
		}
		return
	}
	stream, err := client.StreamAggregatedResources(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	c.plain = &istiod{newEdge(c.t, stream)}
	for _, url := range urls {
		c.plain.send(&discovery.DiscoveryRequest{TypeUrl: url, ResponseNonce: "2026-08-27", Node: node})
		node = nil
	}
}

// drain takes the responses that have arrived.
func (c *mesh) drain() {
	c.t.Helper()
	for c.waiting() > 0 {
		c.take()
	}
}

func (c *mesh) waiting() int {
	if c.delta {
		return len(c.relay.got)
	}
	return len(c.plain.got)
}

// take waits for a response, applies and checks it, and keeps its answer for
// later.
func (c *mesh) take() {
	c.t.Helper()
	if c.delta {
		r := c.relay.next()
		if c.refuses && c.random.IntN(4) == 0 {
			c.log = append(c.log, "refuse "+r.TypeUrl)
			c.unsaid = append(c.unsaid, func() {
				c.relay.send(&discovery.DeltaDiscoveryRequest{
					TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, ErrorDetail: &rpcstatus.Status{Code: 3, Message: "no"},
				})
			})
			return
		}
		for _, name := range r.RemovedResources {
			delete(c.has[r.TypeUrl], name)
		}
		for _, resource := range r.Resources {
			c.put(r.TypeUrl, resource.Resource)
		}
		c.unsaid = append(c.unsaid, func() { c.relay.ack(r) })
		c.check(r.TypeUrl, r.SystemVersionInfo)
		return
	}
	r := c.plain.next()
	c.has[r.TypeUrl] = nil
	for _, resource := range r.Resources {
		c.put(r.TypeUrl, resource)
	}
	c.unsaid = append(c.unsaid, func() { c.plain.ack(r) })
	c.check(r.TypeUrl, r.VersionInfo)
}

func (c *mesh) put(typeURL string, entry *anypb.Any) {
	var m mcp.Resource
	if err := entry.UnmarshalTo(&m); err != nil {
		c.t.Fatal(err)
	}
	if c.has[typeURL] == nil {
		c.has[typeURL] = map[string]*mcp.Resource{}
	}
	c.has[typeURL][m.Metadata.Name] = &m
}

// specs are the specs that a client has of a type, by name.
func specs[T any, P interface {
	*T
	proto.Message
}](c *mesh, typeURL string) map[string]P {
	out := map[string]P{}
	for name, r := range c.has[typeURL] {
		spec := P(new(T))
		if err := r.Body.UnmarshalTo(spec); err != nil {
			c.t.Fatal(err)
		}
		out[name] = spec
	}
	return out
}

// failure says what is wrong with what a client has.
type failure func(format string, args ...any)

// check has what the client has now judged.
func (c *mesh) check(typeURL, version string) {
	c.t.Helper()
	c.versions[typeURL] = version
	c.log = append(c.log, fmt.Sprint(typeURL, " ", slices.Sorted(maps.Keys(c.has[typeURL]))))
	if len(c.versions) < len(orderedTypes) && c.versions[virtualServices] == "" {
		return // its first answers
	}
	c.judge(c, func(format string, args ...any) {
		c.t.Helper()
		c.t.Fatalf("%s: %s", c.node, fmt.Sprintf(format, args...))
	})
}

// judgeResources holds that no route names what is not there, and that no host
// is there without a policy.
func judgeResources(c *mesh, fail failure) {
	c.t.Helper()
	hosts, subsets, guarded := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range specs[networking.ServiceEntry](c, serviceEntries) {
		for _, h := range e.Hosts {
			hosts[h] = true
		}
	}
	for _, d := range specs[networking.DestinationRule](c, destinationRules) {
		for _, s := range d.Subsets {
			subsets[d.Host+"/"+s.Name] = true
		}
	}
	for _, p := range specs[security.AuthorizationPolicy](c, policies) {
		guarded[p.Selector.MatchLabels["app"]] = true
	}
	for name, v := range specs[networking.VirtualService](c, virtualServices) {
		to := v.Http[0].Route[0].Destination
		switch gate := v.Gateways[0]; {
		case !hosts[to.Host]:
			fail("%s names host %s, which is not there", name, to.Host)
		case to.Subset != "" && !subsets[to.Host+"/"+to.Subset]:
			fail("%s names subset %s of %s, which is not there", name, to.Subset, to.Host)
		case gate != "mesh" && c.has[gateways]["shop/"+gate] == nil:
			fail("%s names gateway %s, which is not there", name, gate)
		}
	}
	for host := range hosts {
		if !guarded[host] {
			fail("%s is there, and no policy for it", host)
		}
	}
}

// answer sends some of the answers that it owes, in order.
func (c *mesh) answer(n int) {
	for range min(n, len(c.unsaid)) {
		c.unsaid[0]()
		c.unsaid = c.unsaid[1:]
	}
}

// behind lists the types of which the client has not what its cluster is to
// have.
func (c *mesh) behind() (urls []string) {
	for url, id := range orderedTypes {
		if c.versions[url] != c.h.set(c.cluster, id).Version() {
			urls = append(urls, url)
		}
	}
	return urls
}

// newMesh connects the i-th client: a plain istiod, or one that speaks delta.
func newMesh(t *testing.T, h *hub, seed uint64, i int, cluster string, delta bool, judge func(*mesh, failure)) *mesh {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	c := &mesh{
		t: t, h: h, random: random, node: fmt.Sprint("istiod-", i), cluster: cluster, delta: delta, judge: judge,
		has: map[string]map[string]*mcp.Resource{}, versions: map[string]string{},
	}
	c.connect()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s (delta %v):\n%s", c.node, c.delta, strings.Join(c.log, "\n"))
		}
	})
	return c
}

// TestMakeBeforeBreak holds for random writes, which add, delete and rename
// hosts, subsets, gateways and policies, that no client, after any response,
// has a route that leads nowhere or a host without its policy: istiods and
// relays, slow to answer, that come and go, and one that refuses. And that all
// get there in the end, without a further change.
func TestMakeBeforeBreak(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, uint64(time.Now().UnixNano())}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 99))
			m := newStore(t)
			h := startHub(t, m, func(c *Config) {
				c.HoldFirst = time.Hour // nobody starves who asks for all types
				c.KeepLost = time.Duration(random.IntN(2)) * time.Millisecond
			})
			w := newWorld(random)
			var clients []*mesh
			for i := range 6 {
				clients = append(clients, newMesh(t, h, seed, i, []string{"a", "b"}[i%2], i >= 3, judgeResources))
			}
			clients[5].refuses = true
			for range 400 {
				c := pick(random, clients)
				switch random.IntN(10) {
				case 0, 1:
					w.step()
					if ops := w.write(t, "a", "b"); len(ops) > 0 {
						m.apply(t, ops...)
					}
				case 2:
					h.settle(t)
				case 3, 4, 5:
					c.drain()
				case 6, 7, 8:
					c.drain()
					c.answer(1 + random.IntN(3))
				case 9:
					if random.IntN(4) == 0 {
						c.connect()
					}
				}
			}
			// What was refused comes again with a change.
			for _, c := range clients {
				c.refuses = false
			}
			finish(t, m, h, w, clients)
		})
	}
}

// finish makes a change of every type, and holds that all clients get there.
func finish(t *testing.T, m *memory, h *hub, w *world, clients []*mesh) {
	t.Helper()
	for _, c := range clients {
		c.drain()
		c.answer(len(c.unsaid))
	}
	w.entries["e-last"], w.rules["last.x"], w.ruleIn["last.x"] = []string{"last.x"}, []string{"v1"}, "d-last"
	w.gates["g-last"] = true
	w.routes["r-last"] = [3]string{"last.x", "v1", "g-last"}
	m.apply(t, append(w.write(t, "a", "b"),
		resourceOf(t, "security.istio.io/v1", "PeerAuthentication", "pa-last", `{}`, "a", "b"),
		resourceOf(t, "security.istio.io/v1", "RequestAuthentication", "ra-last", `{}`, "a", "b"))...)
	h.settle(t)
	catchUp(clients)
}
