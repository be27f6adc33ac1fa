package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A small world, so that random commands meet: two clusters, three groups.
var (
	someClusters = []string{"a", "b"}
	someGroups   = []string{"web", "app", "web-1"}
	someNames    = []string{"x", "y"}
)

// randomPath draws the path of any object of the small world.
func randomPath(t *rapid.T) Path {
	pick := func(names []string) string { return rapid.SampledFrom(names).Draw(t, "name") }
	kind := rapid.SampledFrom([]Kind{KindCluster, KindGroup, KindGroup, KindTrafficGroup, KindInbound, KindInbound, KindClient, KindAccessPoint, KindRoutingRule, KindIstioResource}).Draw(t, "kind")
	tg := "G/" + pick(someGroups) + "/T/t"
	switch kind {
	case KindCluster:
		return ClusterPath("acme", pick(someClusters))
	case KindGroup:
		return lengthen("G/" + pick(someGroups))
	case KindTrafficGroup:
		return lengthen(tg)
	case KindInbound:
		return lengthen(tg + "/I/" + pick(someNames))
	case KindClient:
		return lengthen(tg + "/I/" + pick(someNames) + "/K/" + pick(someNames))
	case KindRoutingRule:
		return lengthen(tg + "/I/" + pick(someNames) + "/R/" + pick(someNames))
	case KindAccessPoint:
		return lengthen(tg + "/I/" + pick(someNames) + "/K/" + pick(someNames) + "/A/ap")
	}
	return lengthen(tg + "/X/" + pick(someNames))
}

// randomSpec draws a legal spec for a path.
func randomSpec(t *rapid.T, p Path) Spec {
	choice := func() ClusterChoice {
		var c ClusterChoice
		for _, name := range someClusters {
			if rapid.Bool().Draw(t, "named") {
				c.Clusters = append(c.Clusters, ClusterRef{"acme", name})
			}
		}
		if len(c.Clusters) == 0 || rapid.Bool().Draw(t, "selected") {
			c.Selector = &Selector{MatchLabels: map[string]string{"env": rapid.SampledFrom(someNames).Draw(t, "env")}}
		}
		return c
	}
	name := func(label string) string { return rapid.SampledFrom(someNames).Draw(t, label) }
	switch p.Kind() {
	case KindCluster:
		c := &ClusterSpec{Network: name("network"), Authorities: []string{name("authority") + ".example"}}
		if rapid.Bool().Draw(t, "gateway") {
			c.Gateways = []Gateway{{Name: "ew", Role: EastWest, Addresses: []string{"192.0.2.1"}}}
		}
		if rapid.Bool().Draw(t, "ingress") {
			ports := &GatewayPorts{HTTP: rapid.SampledFrom([]int{80, 8080}).Draw(t, "http port")}
			c.Gateways = append(c.Gateways, Gateway{Name: "in", Role: Ingress, Ports: ports})
		}
		return c
	case KindGroup:
		g := &GroupSpec{Namespace: name("namespace")}
		for _, app := range someNames {
			c := choice()
			g.Placements = append(g.Placements, Placement{App: app, Clusters: c.Clusters, Selector: c.Selector})
		}
		return g
	case KindInbound:
		in := &InboundSpec{App: name("app"), AppLabel: "app=x", ServiceName: name("service"), Port: 80, Protocol: "HTTP"}
		if rapid.IntRange(0, 3).Draw(t, "protocol") == 0 {
			in.Protocol = "TCP"
		}
		if rapid.Bool().Draw(t, "global") {
			in.GlobalName = name("host") + ".example"
		}
		if rapid.Bool().Draw(t, "tokens") {
			in.JWT = []JWTRule{{Issuer: name("issuer"), JWKSURI: "https://i.example/keys"}}
		}
		if rapid.Bool().Draw(t, "external") {
			in.ExternalSupport = true
			in.Protocol = rapid.SampledFrom([]Protocol{"HTTP", "TLS", "TCP"}).Draw(t, "protocol")
			in.ExternalName = rapid.SampledFrom([]string{"", "x.example", "y.example"}).Draw(t, "external name")
		}
		return in
	case KindClient:
		c := &ClientSpec{App: name("app"), AppLabel: "app=x", Namespaces: []string{}, CIDRs: []string{}}
		if rapid.Bool().Draw(t, "guest") {
			c.Group = &GroupRef{"p", "a", "v1", rapid.SampledFrom(someGroups).Draw(t, "group")}
		}
		return c
	case KindAccessPoint:
		ap := &AccessPointSpec{Action: Allow, URL: []string{}, Access: []string{"GET"}}
		if rapid.Bool().Draw(t, "users") {
			ap.Users = []User{{Issuer: name("issuer")}}
		}
		return ap
	case KindRoutingRule:
		r := &RoutingRuleSpec{Priority: rapid.IntRange(0, 1).Draw(t, "priority")}
		switch rapid.IntRange(0, 3).Draw(t, "rule") {
		case 0:
			r.Match = []RouteMatch{{Clients: []string{name("client")}}}
		case 1:
			r.Split = []RouteSplit{{Weight: 100, Cluster: "acme/" + rapid.SampledFrom(someClusters).Draw(t, "split")}}
		case 2:
			r.Mirror = &RouteMirror{Inbound: name("mirror")}
		}
		return r
	case KindIstioResource:
		r := &IstioResourceSpec{Clusters: choice()}
		r.Resource = RawResource{
			APIVersion: "networking.istio.io/v1", Kind: rapid.SampledFrom([]string{"ServiceEntry", "VirtualService"}).Draw(t, "raw kind"),
			Metadata: RawMetadata{Name: name("raw")}, Spec: []byte(`{"hosts":["` + name("host") + `.example"]}`),
		}
		return r
	}
	return NewSpec(p.Kind())
}

func randomOp(t *rapid.T) Op {
	op := Op{Path: randomPath(t), Method: rapid.SampledFrom([]Method{Put, Put, Put, Create, Delete}).Draw(t, "method")}
	if rapid.IntRange(0, 9).Draw(t, "conditional") == 0 {
		op.IfMatch = []string{rapid.SampledFrom([]string{"*", "1", "5"}).Draw(t, "ifMatch")}
	}
	if op.Method == Delete {
		op.Cascade = rapid.Bool().Draw(t, "cascade")
		return op
	}
	op.Object = &Object{Path: op.Path, Metadata: Metadata{Name: op.Path.Name()}, Spec: randomSpec(t, op.Path)}
	if rapid.Bool().Draw(t, "labelled") {
		op.Object.Metadata.Labels = map[string]string{"env": rapid.SampledFrom(someNames).Draw(t, "label")}
	}
	op.Object.Normalize()
	return op
}

func randomCommand(t *rapid.T) Command {
	c := Command{Kind: Transact, At: time.Unix(rapid.Int64Range(0, 100).Draw(t, "at"), 0)}
	switch rapid.IntRange(0, 19).Draw(t, "command") {
	case 0:
		settings := DefaultSettings()
		settings.HostSuffix = rapid.SampledFrom([]string{"global", "mesh"}).Draw(t, "suffix")
		if rapid.Bool().Draw(t, "narrow") {
			settings.VIPv4 = smallRange
		}
		c.Kind, c.Settings = Configure, &settings
		return c
	case 1:
		c.Kind = Confirm
		c.Confirmations = []Confirmation{{Cluster: randomPath(t), Type: "Gateway", Version: "v", Revision: Revision(rapid.IntRange(1, 9).Draw(t, "revision"))}}
		return c
	}
	c.Ops = rapid.SliceOfN(rapid.Custom(randomOp), 1, 6).Draw(t, "ops")
	if rapid.IntRange(0, 2).Draw(t, "identified") == 0 {
		c.ID = rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(t, "id")
	}
	return c
}

var smallRange = netip.MustParsePrefix("10.9.0.0/30")

// TestApplyProperties sends random commands to two sets, one of which is
// written out and read again now and then: they stay the same, each is whole,
// and no set changes once it is made.
func TestApplyProperties(t *testing.T) {
	var applied, refused int
	rapid.Check(t, func(rt *rapid.T) {
		one, two := NewSet(), NewSet()
		grow(rt, &one)
		grow(rt, &two)
		for range rapid.IntRange(1, 25).Draw(rt, "commands") {
			c := randomCommand(rt)
			entry, err := c.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				two = restore(rt, two)
			}
			before := dump(rt, one)
			next, r, err := one.Apply(mustDecode(rt, entry))
			if diff := cmp.Diff(before, dump(rt, one)); diff != "" {
				rt.Fatalf("the base changed (-before +after):\n%s", diff)
			}
			checkResult(rt, one, next, c, r, err)
			checkWhole(rt, next)
			other, otherResult, otherErr := two.Apply(mustDecode(rt, entry))
			if got, want := outcome(otherResult, otherErr), outcome(r, err); got != want {
				rt.Fatalf("one says\n%s\nthe other\n%s", want, got)
			}
			one, two = next, other
			if diff := cmp.Diff(dump(rt, one), dump(rt, two)); diff != "" {
				rt.Fatalf("two replicas differ (-one +two):\n%s", diff)
			}
			if err == nil {
				applied++
			} else {
				refused++
			}
		}
	})
	t.Logf("%d commands applied, %d refused", applied, refused)
	if applied < refused/4 {
		t.Errorf("of the random commands, %d were applied and %d refused: they don't reach far", applied, refused)
	}
}

// checkResult holds what Apply answers to what it did.
func checkResult(t *rapid.T, base, next *Set, c Command, r Result, err error) {
	switch {
	case err != nil:
		if next != base || r.Revision != base.Revision() || len(r.Changes) > 0 {
			t.Fatalf("refused, and yet %+v", r)
		}
		return
	case r.Repeated:
		if next != base || len(r.Changes) > 0 || len(r.Effects) != len(c.Ops) {
			t.Fatalf("repeated, and yet %+v", r)
		}
		return
	}
	mutates := len(r.Changes) > 0 || next.Settings() != base.Settings()
	want := base.Revision()
	if mutates {
		want++
	}
	if next.Revision() != want || r.Revision != want || next.at.Before(base.at) {
		t.Fatalf("revision %d after %d, %d changes; time %s after %s", next.Revision(), base.Revision(), len(r.Changes), next.at, base.at)
	}
	seen := map[Path]bool{}
	for _, ch := range r.Changes {
		if seen[ch.Path] || base.Get(ch.Path) != ch.Old || next.Get(ch.Path) != ch.New || ch.Old == ch.New {
			t.Fatalf("change of %s is not what changed", ch.Path)
		}
		seen[ch.Path] = true
	}
	for _, k := range Kinds {
		for o := range next.List(k, "") {
			if base.Get(o.Path) != o && !seen[o.Path] {
				t.Fatalf("%s changed untold", o.Path)
			}
		}
	}
	if len(r.Effects) != len(c.Ops) || len(r.Objects) != len(c.Ops) {
		t.Fatalf("%d operations, %d effects, %d objects", len(c.Ops), len(r.Effects), len(r.Objects))
	}
}

func mustDecode(t failer, entry []byte) Command {
	t.Helper()
	c, err := DecodeCommand(entry)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grow gives a set the top of the small world.
func grow(t failer, s **Set) {
	t.Helper()
	var ops []Op
	add := func(p Path, spec Spec, labels map[string]string) {
		ops = append(ops, Op{Method: Put, Path: p, Object: &Object{Path: p, Metadata: Metadata{Name: p.Name(), Labels: labels}, Spec: spec}})
	}
	for _, c := range someClusters {
		add(ClusterPath("acme", c), &ClusterSpec{}, map[string]string{"env": "x"})
	}
	for _, g := range someGroups {
		add(lengthen("G/"+g), &GroupSpec{Namespace: "x"}, nil)
		add(lengthen("G/"+g+"/T/t"), &TrafficGroupSpec{}, nil)
	}
	next, _, err := (*s).Apply(Command{Kind: Transact, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	*s = next
}

// TestApplyAtOnce extends a line of sets, as the log does, while previews
// extend each of them and readers read them all. It is for the race detector.
func TestApplyAtOnce(t *testing.T) {
	s := NewSet()
	grow(t, &s)
	inbound := func(name string) Command {
		p := lengthen("G/web/T/t/I/" + name)
		return Command{Kind: Transact, ID: name, Ops: []Op{{Method: Put, Path: p, Object: &Object{
			Path: p, Metadata: Metadata{Name: name},
			Spec: &InboundSpec{App: "x", AppLabel: "app=x", ServiceName: name, Port: 80, Protocol: "HTTP"},
		}}}}
	}
	var wg sync.WaitGroup
	sets := []*Set{s}
	for i := range 50 {
		next, _, err := s.Apply(inbound(fmt.Sprint("in-", i)))
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, next) // shares its inbounds with the one after it
		next, _, err = next.Apply(Command{Kind: Confirm, Confirmations: []Confirmation{{Cluster: ClusterPath("acme", "a"), Type: fmt.Sprint(i), Version: "v"}}})
		if err != nil {
			t.Fatal(err)
		}
		s = next
		sets = append(sets, s)
		for _, old := range sets[max(0, len(sets)-4):] {
			count := old.Len(KindInbound)
			for preview := range 2 {
				wg.Go(func() {
					for name := range []string{"p", "q"} {
						next, _, err := old.Apply(inbound(fmt.Sprintf("preview-%d-%d", preview, name)))
						if err != nil || next.Len(KindInbound) != count+1 {
							t.Errorf("preview: %d inbounds, %v", next.Len(KindInbound), err)
						}
					}
				})
			}
			wg.Go(func() {
				if n := len(slices.Collect(old.List(KindInbound, ""))); n != count {
					t.Errorf("%d inbounds, then %d", count, n)
				}
				for o := range old.List(KindInbound, "") {
					if !old.VIP(old.Host(o)).V4.IsValid() {
						t.Errorf("%s has no address", o.Path)
					}
				}
				old.Confirmed(ClusterPath("acme", "a"))
			})
		}
	}
	wg.Wait()
	checkWhole(t, s)
}
