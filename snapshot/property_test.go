package snapshot

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

// TestRandomFleets holds what must be true of every fleet (see [checkFleet])
// for fleets that nobody thought of.
func TestRandomFleets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		set := randomFleet(rt)
		checkFleet(quiet{t, rt}, set)
		for inbound := range set.List(intent.KindInbound, "") {
			accessPointWarnings(set, inbound)
		}
	})
}

// quiet lets rapid, which shrinks failing draws, hear the failures.
type quiet struct {
	testing.TB
	rt *rapid.T
}

func (q quiet) Helper()                           {}
func (q quiet) Errorf(format string, args ...any) { q.rt.Errorf(format, args...) }
func (q quiet) Fatal(args ...any)                 { q.rt.Fatal(args...) }

// draw builds a fleet out of random choices.
type draw struct {
	rt  *rapid.T
	set *intent.Set
	n   int
}

func randomFleet(rt *rapid.T) *intent.Set {
	d := &draw{rt: rt, set: intent.NewSet()}
	for i := range 4 {
		d.put(intent.ClusterPath("edge", fmt.Sprint("c", i)), d.cluster(i))
		if d.bool("lose addresses") {
			d.put(intent.ClusterPath("edge", fmt.Sprint("c", i)), &intent.ClusterSpec{})
		}
	}
	for g := range 2 {
		path := intent.Path(fmt.Sprintf("/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g%d", g))
		d.put(path, d.group())
		d.put(path+"/traffic-group-intents/t", &intent.TrafficGroupSpec{})
	}
	for g := range 2 {
		tg := intent.Path(fmt.Sprintf("/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g%d/traffic-group-intents/t", g))
		for i := range 2 {
			d.inbound(tg+intent.Path(fmt.Sprintf("/inbound-intents/In_%d", i)), g, i)
		}
		for i := range 3 {
			d.put(tg+intent.Path(fmt.Sprintf("/outbound-intents/Out_%d", i)), randomOutbound(d.rt))
		}
	}
	return d.set
}

// put stores an object, unless the world is in its way.
func (d *draw) put(p intent.Path, spec intent.Spec) {
	o := &intent.Object{Path: p, Metadata: intent.Metadata{Name: p.Name()}, Spec: spec}
	o.Normalize()
	if err := o.Validate(); err != nil {
		d.rt.Fatal(err)
	}
	d.n++
	next, _, err := d.set.Apply(intent.Command{
		Kind: intent.Transact, At: time.Date(2026, 1, 1, 0, 0, d.n, 0, time.UTC),
		Ops: []intent.Op{{Method: intent.Put, Path: p, Object: o}},
	})
	if err == nil {
		d.set = next
	}
}

func (d *draw) bool(label string) bool { return rapid.Bool().Draw(d.rt, label) }

func (d *draw) one(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(d.rt, label)
}

func (d *draw) some(label string, of ...string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, len(of), rapid.ID[string]).Draw(d.rt, label)
}

func (d *draw) cluster(i int) *intent.ClusterSpec {
	c := &intent.ClusterSpec{
		Network: d.one("network", "", "n1", "n2"), Region: d.one("region", "", "eu", "us"), Zone: d.one("zone", "", "z1", "z2"),
		TrustDomain: d.one("trust domain", "", "td.example.com"), ClusterDomain: d.one("cluster domain", "", "k8s.local"),
	}
	if d.bool("revision") {
		c.Istio = &intent.IstioInstall{Revision: "canary"}
	}
	if !d.bool("no gateway") {
		g := intent.Gateway{Name: "ew", Role: intent.EastWest, Namespace: d.one("gateway namespace", "", "ns0"), Ports: &intent.GatewayPorts{TLS: 15443 + i}}
		switch d.one("address", "ip", "ips", "host", "none") {
		case "ip":
			g.Addresses = []string{fmt.Sprintf("192.0.2.%d", 10*i+1)}
		case "ips":
			g.Addresses = []string{fmt.Sprintf("2001:db8::%d", i+1), fmt.Sprintf("192.0.2.%d", 10*i+2)}
		case "host":
			g.Addresses = []string{fmt.Sprintf("gw%d.example.com", i)}
		}
		c.Gateways = []intent.Gateway{g}
	}
	for _, f := range d.some("families", "IPv4", "IPv6") {
		c.IPFamilies = append(c.IPFamilies, intent.IPFamily(f))
	}
	if d.bool("egress gateway") {
		c.Gateways = append(c.Gateways, intent.Gateway{Name: "out", Role: intent.Egress, Namespace: d.one("egress namespace", "", "ns0")})
	}
	entered(d.one, i, c)
	return c
}

func (d *draw) group() *intent.GroupSpec {
	g := &intent.GroupSpec{
		Namespace: d.one("namespace", "ns0", "ns1"), ServiceAccounts: map[string]string{},
		GatewayAPI: d.bool("gateway API"), SidecarScope: d.bool("sidecar scope"),
	}
	for _, app := range []string{"server", "web", "job"} {
		p := intent.Placement{App: app}
		for _, c := range d.some(app+" on", "c0", "c1", "c2", "c3") {
			p.Clusters = append(p.Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: c})
		}
		if len(p.Clusters) > 0 {
			g.Placements = append(g.Placements, p)
		}
		if d.bool(app + " has an account") {
			g.ServiceAccounts[app] = app + "-sa"
		}
	}
	return g
}

func (d *draw) inbound(p intent.Path, g, i int) {
	protocols := []string{"HTTP", "GRPC", "TCP", "TLS", "HTTPS", "MYSQL"}
	in := &intent.InboundSpec{
		App: "server", AppLabel: "app.kubernetes.io/name=server", ServiceName: fmt.Sprintf("svc%d%d", g, i),
		Port: 80, Protocol: intent.Protocol(d.one("protocol", protocols...)),
		Authorization: d.one("authorization", "", "clients", "open"),
		Management:    &intent.Management{TLSType: d.one("tls type", "", "SIMPLE", "NONE")},
		TrafficPolicy: d.trafficPolicy(),
	}
	switch d.one("mesh", "", "no sidecar", "none") {
	case "no sidecar":
		in.Management.SidecarProxy = "no"
	case "none":
		in.ServiceMesh = "none"
		in.Protocol = intent.Protocol(d.one("meshless protocol", append(protocols, "UDP")...))
	}
	in.Headless = d.bool("headless")
	if d.bool("namesake") {
		in.ServiceName, in.GlobalName = "same", fmt.Sprintf("svc%d%d.example", g, i)
	}
	if d.bool("second port") {
		in.Ports = []intent.ServicePort{{Port: 81, Protocol: intent.Protocol(d.one("second protocol", protocols...)), TargetPort: 8081}}
	}
	if in.IsHTTP() && in.Proxied() {
		for _, issuer := range d.some("issuers", "https://i.example/", "j") {
			in.JWT = append(in.JWT, intent.JWTRule{Issuer: issuer, JWKSURI: "https://i.example/keys"})
		}
	}
	if in.InMesh() {
		exposed(d.one, in)
	}
	d.put(p, in)
	defer d.rules(p)
	for _, name := range d.some("clients", "one", "two", "three") {
		c := &intent.ClientSpec{
			App: d.one("app", "web", "job", "nowhere"), AppLabel: "a=b",
			Namespaces: d.some("client namespaces", "ns0", "ns1", "ns2"), CIDRs: d.some("cidrs", "10.0.0.0/8", "2001:db8::/32"),
			ServiceAccount: d.one("account", "", "sa"),
		}
		if d.bool("guest") {
			c.Group = &intent.GroupRef{Project: "p", CompositeApp: "a", Version: "v1", Group: fmt.Sprint("g", 1-g)}
		}
		d.put(p+"/clients/"+intent.Path(name), c)
		for _, ap := range d.some("access points", "x", "y") {
			spec := &intent.AccessPointSpec{
				Action: intent.Action(d.one("action", "ALLOW", "DENY")),
				URL:    d.some("url", "*", "/a/*", "*/b", "/{*}/c"), Access: d.some("access", "*", "GET", "POST"),
			}
			if d.bool("ports") {
				spec.Ports = []int{rapid.SampledFrom([]int{80, 81, 8081, 9999}).Draw(d.rt, "port")}
			}
			for _, issuer := range d.some("users of", "https://i.example/", "j") {
				u := intent.User{Issuer: issuer, Subjects: d.some("subjects", "s", "t/s")}
				if d.bool("claims") {
					u.Claims = map[string][]string{d.one("claim", "groups", "[realm][roles]"): {"a", "b*"}}
				}
				spec.Users = append(spec.Users, u)
			}
			for _, key := range d.some("when", "request.headers[x]", "source.namespace", "request.auth.claims[a][b]") {
				spec.When = append(spec.When, intent.Condition{Key: key, NotValues: d.some("not", "v"), Values: []string{"w"}})
			}
			d.put(p+"/clients/"+intent.Path(name)+"/access-points/"+intent.Path(ap), spec)
		}
	}
}

// rules gives an inbound routing rules, as far as they are legal for it.
func (d *draw) rules(in intent.Path) {
	for _, name := range d.some("rules", "a", "b", "c") {
		spec := &intent.RoutingRuleSpec{Priority: rapid.IntRange(0, 1).Draw(d.rt, "priority")}
		if d.bool("match") {
			spec.Match = []intent.RouteMatch{{Path: &intent.StringMatch{Prefix: "/" + name}, Clients: d.some("matched", "one", "two")}}
		}
		version := func() *intent.RouteVersion {
			if v := d.one("version", "", "v1", "V.2"); v != "" {
				return &intent.RouteVersion{Labels: map[string]string{"version": v}}
			}
			return nil
		}
		for i, weight := range []int{1, 60, 39} {
			s := intent.RouteSplit{Weight: weight, Version: version(), Cluster: d.one("cluster", "", "edge/c0", "edge/c1", "edge/c2")}
			if s.Version == nil && s.Cluster == "" {
				s.Cluster = fmt.Sprint("edge/c", i)
			}
			spec.Split = append(spec.Split, s)
		}
		switch d.one("mirror", "", "version", "inbound") {
		case "version":
			if v := version(); v != nil {
				spec.Mirror = &intent.RouteMirror{Version: v}
			}
		case "inbound":
			spec.Mirror = &intent.RouteMirror{Inbound: d.one("mirrored", "In_0", "In_1")}
		}
		d.put(in+"/routing-rules/"+intent.Path(name), spec)
		// For services that can't have more.
		d.put(in+"/routing-rules/only", &intent.RoutingRuleSpec{Priority: spec.Priority, Split: spec.Split})
	}
}

func (d *draw) trafficPolicy() *intent.TrafficPolicy {
	t := &intent.TrafficPolicy{}
	switch d.one("locality", "", "none", "failover", "weighted") {
	case "none":
		t.Locality = &intent.Locality{Mode: "none"}
	case "failover":
		t.Locality = &intent.Locality{Failover: []intent.Failover{{From: "eu", To: "us"}}}
	case "weighted":
		t.Locality = &intent.Locality{Mode: "weighted", Weights: map[string]int{"edge/c0": 70, "edge/c1": 30, "edge/c2": 0}}
	}
	if d.bool("circuit breaking") {
		t.CircuitBreaking = &intent.CircuitBreaking{MaxConnections: rapid.IntRange(0, 9).Draw(d.rt, "connections"), Interval: d.one("interval", "", "10s")}
	}
	switch d.one("balancing", "", "type", "cookie", "header") {
	case "type":
		t.LoadBalancing = &intent.LoadBalancing{Type: d.one("type", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PASSTHROUGH")}
	case "cookie":
		t.LoadBalancing = &intent.LoadBalancing{ConsistentHash: &intent.ConsistentHash{HTTPCookie: &intent.HTTPCookie{Name: "c"}}}
	case "header":
		t.LoadBalancing = &intent.LoadBalancing{ConsistentHash: &intent.ConsistentHash{HTTPHeader: "x-user", MinimumRingSize: 16}}
	}
	return t
}
