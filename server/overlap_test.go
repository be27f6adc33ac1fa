package server

import (
	"fmt"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// TestLostIsKeptForAWhile holds that what older routes name outlives the
// acknowledgement of new ones: proxies learn of them later.
func TestLostIsKeptForAWhile(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one.entry.example", "a"), entry(t, "one", "a"))
	h := startHub(t, m, func(c *Config) { c.KeepLost = time.Hour })
	c := h.connect(t, "a.example:15010")
	c.ask(serviceEntries, virtualServices, gateways)
	for range 3 {
		c.ack(c.next())
	}
	m.apply(t, route(t, "r", "two.entry.example", "a"), remove(resourcePath("one")), entry(t, "two", "a"))
	made := c.next()
	diff(t, "entries", []string{"shop/one", "shop/two"}, names(t, made))
	c.ack(made)
	led := c.next()
	diff(t, "routes", []string{"shop/r"}, names(t, led))
	c.ack(led)
	m.apply(t, resource(t, "Gateway", "g", `{"servers":[{"port":{"number":80,"name":"http","protocol":"HTTP"},"hosts":["*"]}]}`, "a"))
	if r := c.next(); r.TypeUrl != gateways {
		t.Errorf("%s was sent an hour early", r.TypeUrl)
	}
}

// TestLostGoesByItself holds that what is kept goes without a further change,
// and that the status is current only then.
func TestLostGoesByItself(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one.entry.example", "a"), entry(t, "one", "a"))
	h := startHub(t, m, func(c *Config) { c.KeepLost = 10 * time.Millisecond })
	c := h.connect(t, "a.example:15010")
	c.ask(serviceEntries, virtualServices)
	c.ack(c.next())
	c.ack(c.next())
	m.apply(t, remove(resourcePath("r")), remove(resourcePath("one")))
	led := c.next()
	diff(t, "first", virtualServices, led.TypeUrl)
	c.ack(led)
	gone := c.next()
	diff(t, "then", serviceEntries, gone.TypeUrl)
	diff(t, "entries", []string{}, names(t, gone))
	c.ack(gone)
	eventually(t, "the last version is acknowledged", func() bool {
		types := h.tracker.Status(clusterPath("a")).Types
		return types[0].Acknowledged.Version == h.set("a", snapshot.ServiceEntry).Version()
	})
}

// TestFirstAnswersInOrder holds that a type is answered after those that it
// relies on, in whatever order they are asked for, and that a client which does
// not ask for them is answered in the end.
func TestFirstAnswersInOrder(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.HoldFirst = time.Hour })
	c := h.connect(t, "a.example:15010")
	order := []string{
		"security.istio.io/v1/PeerAuthentication", "security.istio.io/v1/RequestAuthentication", policies,
		serviceEntries, destinationRules, gateways, virtualServices,
	}
	for i := range order {
		c.ask(order[len(order)-1-i])
	}
	place := map[string]int{}
	for i := range order {
		place[c.next().TypeUrl] = i
	}
	for _, pair := range [][2]int{{0, 3}, {1, 4}, {2, 5}, {2, 3}, {4, 3}, {3, 6}, {4, 6}, {5, 6}} {
		if place[order[pair[0]]] > place[order[pair[1]]] {
			t.Errorf("%s was answered before %s", order[pair[1]], order[pair[0]])
		}
	}

	h = startHub(t, newStore(t), func(c *Config) { c.HoldFirst = 10 * time.Millisecond })
	c = h.connect(t, "a.example:15010")
	c.ask(virtualServices)
	diff(t, "answer to a client that asks for one type", virtualServices, c.next().TypeUrl)
}

// TestRefusedIsNotReliedOn holds that routes wait for what they name as long
// as the client refuses it, and that they go on when it takes it.
func TestRefusedIsNotReliedOn(t *testing.T) {
	m := newStore(t)
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.ask(serviceEntries, nil)
	c.ask(virtualServices, nil)
	c.ask(gateways, nil)
	for range 3 {
		c.ack(c.next())
	}
	m.apply(t, entry(t, "one", "a"), route(t, "r", "one.entry.example", "a"))
	c.nack(c.expect("the entry", snapshot.ServiceEntry, []string{"shop/one"}, nil))
	m.apply(t, route(t, "r2", "one.entry.example", "a"))
	h.settle(t)
	m.apply(t, entry(t, "two", "a"))
	c.ack(c.expect("both entries", snapshot.ServiceEntry, []string{"shop/one", "shop/two"}, nil))
	c.expect("the routes", snapshot.VirtualService, []string{"shop/r", "shop/r2"}, nil)
}

// TestBackToWhatTheClientHas holds that routes which need not be sent, because
// the client refused to leave them, let go of what only the refused ones name.
func TestBackToWhatTheClientHas(t *testing.T) {
	m := newStore(t)
	m.apply(t, entry(t, "one", "a"), route(t, "r", "one.entry.example", "a"))
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.ask(serviceEntries, nil)
	c.ask(virtualServices, nil)
	c.ack(c.next())
	c.ack(c.next())
	m.apply(t, entry(t, "two", "a"), route(t, "r", "two.entry.example", "a"))
	c.ack(c.expect("an entry more", snapshot.ServiceEntry, []string{"shop/two"}, nil))
	c.nack(c.expect("a route to it", snapshot.VirtualService, []string{"shop/r"}, nil))
	m.apply(t, remove(resourcePath("two")), route(t, "r", "one.entry.example", "a"))
	c.expect("an entry less", snapshot.ServiceEntry, nil, []string{"shop/two"})
}

// TestGuardGoesByItself holds the same for the policy of what only refused
// routes expose.
func TestGuardGoesByItself(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"))
	h := startHub(t, m)
	c := h.open(t, "a.example:15010")
	c.ask(policies, nil)
	c.ask(virtualServices, nil)
	c.ack(c.next())
	c.ack(c.next())
	m.apply(t, resourceOf(t, "security.istio.io/v1", "AuthorizationPolicy", "p", `{}`, "a"), route(t, "r", "two", "a"))
	c.ack(c.expect("a policy", snapshot.AuthorizationPolicy, []string{"shop/p"}, nil))
	c.nack(c.expect("a route that needs it", snapshot.VirtualService, []string{"shop/r"}, nil))
	m.apply(t, remove(resourcePath("p")), route(t, "r", "one", "a"))
	c.expect("no policy", snapshot.AuthorizationPolicy, nil, []string{"shop/p"})
}

// manual is a stream whose steps a test makes.
type manual struct {
	*stream
	t    *testing.T
	h    *hub
	subs map[string]*subscription
	sent []string // kind and objects
}

func newManual(t *testing.T, h *hub, typeURLs ...string) *manual {
	t.Helper()
	tracked := h.tracker.Connect(clusterPath("a"), clusters.Peer{})
	t.Cleanup(tracked.Close)
	s := &manual{t: t, h: h, subs: map[string]*subscription{}}
	s.stream = &stream{
		server: h.server, protocol: stateOfTheWorld, cluster: clusterPath("a"), tracked: tracked, logger: h.server.config.Logger,
		send: func(b encoded) error {
			r := unmarshalled(t, b)
			s.sent = append(s.sent, fmt.Sprint(r.TypeUrl, names(t, r)))
			return nil
		},
	}
	for _, url := range typeURLs {
		s.do(request{typeURL: url, node: &core.Node{Id: "istiod"}})
	}
	for _, sub := range s.subscriptions {
		s.subs[sub.typeURL] = sub
	}
	return s
}

// do takes a request, if it is one, and pushes.
func (s *manual) do(r request) {
	s.t.Helper()
	if r.typeURL != "" {
		if err := s.take(r); err != nil {
			s.t.Fatal(err)
		}
	}
	s.h.settle(s.t)
	if err := s.push(s.t.Context(), true); err != nil {
		s.t.Fatal(err)
	}
}

// answer acknowledges what was sent of a type.
func (s *manual) answer(typeURL string) {
	s.t.Helper()
	s.do(request{typeURL: typeURL, nonce: s.subs[typeURL].nonce})
}

// elapse makes the time of KeepLost pass.
func (s *manual) elapse() {
	s.t.Helper()
	if !s.closing() {
		s.t.Fatal("the client has not acknowledged routes")
	}
	s.overlap.closes = time.Now()
	s.do(request{})
}

func (s *manual) expect(what string, want ...string) {
	s.t.Helper()
	diff(s.t, what, want, s.sent)
	s.sent = nil
}

// TestOverlap holds when what is lost goes: after routes without it were
// acknowledged, and a while has passed since; not before that of routes which
// were sent meanwhile.
func TestOverlap(t *testing.T) {
	m := newStore(t)
	to := func(target string) {
		m.apply(t, route(t, "r", target+".entry.example", "a"), entry(t, target, "a"))
	}
	to("one")
	h := startHub(t, m, func(c *Config) { c.KeepLost = time.Hour })
	h.settle(t)
	s := newManual(t, h, serviceEntries, virtualServices)
	s.expect("first answers", serviceEntries+"[shop/one]", virtualServices+"[shop/r]")
	s.answer(serviceEntries)
	s.answer(virtualServices)
	s.elapse()
	s.expect("nothing is kept")

	m.apply(t, remove(resourcePath("one")), entry(t, "two", "a"), route(t, "r", "two.entry.example", "a"))
	s.do(request{})
	s.expect("made before", serviceEntries+"[shop/one shop/two]", virtualServices+"[shop/r]")
	m.apply(t, remove(resourcePath("two")), entry(t, "three", "a"), route(t, "r", "three.entry.example", "a"))
	s.do(request{})
	s.expect("routes in turn", serviceEntries+"[shop/one shop/three shop/two]")
	s.answer(virtualServices)
	s.expect("the client's word", virtualServices+"[shop/r]")
	s.answer(virtualServices)
	s.expect("a while must pass")
	s.elapse()
	s.expect("for each routes", serviceEntries+"[shop/three shop/two]")
	s.elapse()
	s.expect("broken after", serviceEntries+"[shop/three]")
}

// TestKeptDoesNotPileUp holds that changes which come faster than what is kept
// may go do not make it grow.
func TestKeptDoesNotPileUp(t *testing.T) {
	m := newStore(t)
	name := func(i int) string { return fmt.Sprintf("e%02d", i) }
	m.apply(t, entry(t, name(0), "a"), route(t, "r", name(0)+".entry.example", "a"))
	h := startHub(t, m, func(c *Config) { c.KeepLost = time.Hour })
	h.settle(t)
	s := newManual(t, h, serviceEntries, virtualServices)
	s.answer(virtualServices)
	for i := 1; i < 50; i++ {
		m.apply(t, remove(resourcePath(name(i-1))), entry(t, name(i), "a"), route(t, "r", name(i)+".entry.example", "a"))
		s.do(request{})
		s.answer(virtualServices)
		s.elapse()
		if n := s.subs[serviceEntries].sent.Len(); n > 4 {
			t.Fatalf("%d entries are kept after %d changes", n, i)
		}
	}
}

// TestPastsAreBounded holds that a stream's client is remembered for a while,
// and that no more are than there may be streams.
func TestPastsAreBounded(t *testing.T) {
	m := newStore(t)
	h := startHub(t, m, func(c *Config) { c.MaxStreams = 3 })
	h.settle(t)
	for i := range 10 {
		c := h.connect(t, "a.example:15010")
		c.send(&discovery.DiscoveryRequest{TypeUrl: gateways, Node: &core.Node{Id: fmt.Sprint(i)}})
		c.next()
		if err := c.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		c.end()
	}
	count := func(now time.Time) int {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		h.server.forget(now)
		return len(h.server.pasts)
	}
	eventually(t, "streams have left", func() bool { return goroutines("(*Server).serve") == 0 })
	if n := count(time.Now()); n != 3 {
		t.Errorf("%d clients are remembered, want 3", n)
	}
	if n := count(time.Now().Add(2 * pastAge)); n != 0 {
		t.Errorf("%d clients are remembered for ever", n)
	}
}

// TestRulesOutliveTheirHosts holds that a host's rule comes before it, and goes
// when the client has answered that it has no more of it, though no route names
// either; and that hosts which come meanwhile wait for that answer.
func TestRulesOutliveTheirHosts(t *testing.T) {
	m := newStore(t)
	rule := func(name string) intent.Op {
		return resource(t, "DestinationRule", name+"-rule", fmt.Sprintf(`{"host":"%s.entry.example"}`, name), "a")
	}
	m.apply(t, entry(t, "one", "a"), rule("one"))
	h := startHub(t, m)
	h.settle(t)
	s := newManual(t, h, destinationRules, serviceEntries)
	s.expect("the rule first", destinationRules+"[shop/one-rule]", serviceEntries+"[shop/one]")
	s.answer(destinationRules)
	s.answer(serviceEntries)
	m.apply(t, remove(resourcePath("one")), remove(resourcePath("one-rule")))
	s.do(request{})
	s.expect("the host goes", serviceEntries+"[]")
	m.apply(t, entry(t, "two", "a"), rule("two"))
	s.do(request{})
	s.expect("another waits", destinationRules+"[shop/one-rule shop/two-rule]")
	s.answer(serviceEntries)
	s.expect("the client's word", destinationRules+"[shop/two-rule]", serviceEntries+"[shop/two]")
}
