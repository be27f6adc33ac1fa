package server

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// fleetClusters are the clusters of a random fleet. Each may serve and call.
var fleetClusters = []string{"a", "b", "c"}

// meshless is the name of services without a mesh, which have no rules.
const meshless = "meshless"

// fleet makes random writes of intents. What the world is in the way of is
// refused, as it would be by REST.
type fleet struct {
	t      *testing.T
	random *rand.Rand
	store  *memory

	accepted map[intent.Kind]int
	writes   []string // what was written, for who reads a failure
}

func newFleet(t *testing.T, random *rand.Rand) *fleet {
	t.Helper()
	f := &fleet{t: t, random: random, store: newMemory(), accepted: map[intent.Kind]int{}}
	for i := range fleetClusters {
		f.write(f.cluster(i)...)
	}
	for range 60 {
		f.write(f.op()...)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, w := range f.writes {
				t.Log(w)
			}
		}
	})
	return f
}

func (f *fleet) odds(percent int) bool { return f.random.IntN(100) < percent }

func (f *fleet) one(of ...string) string { return pick(f.random, of) }

// some are a few of several, each with even odds.
func (f *fleet) some(of ...string) []string {
	out := []string{}
	for _, s := range of {
		if f.odds(50) {
			out = append(out, s)
		}
	}
	return out
}

// step makes one transaction of some operations.
func (f *fleet) step() {
	var ops []intent.Op
	for range pick(f.random, []int{1, 1, 2, 4}) {
		ops = append(ops, f.op()...)
	}
	f.write(ops...)
}

// write applies operations together or, where that is refused, one by one.
func (f *fleet) write(ops ...intent.Op) {
	if f.store.try(ops...) == nil {
		f.note(ops)
		return
	}
	for _, op := range ops {
		if f.store.try(op) == nil {
			f.note([]intent.Op{op})
		}
	}
}

func (f *fleet) note(ops []intent.Op) {
	line := fmt.Sprint("revision ", f.store.Set().Revision(), ":")
	for _, op := range ops {
		f.accepted[op.Path.Kind()]++
		line += fmt.Sprint("\n  ", op.Method, " ", op.Path)
		if op.Object != nil {
			line += fmt.Sprintf(" %+v", op.Object.Spec)
		}
	}
	f.writes = append(f.writes, line)
}

// put is the operation that stores a spec, or none when it is not legal by
// itself.
func (f *fleet) put(path intent.Path, spec intent.Spec) []intent.Op {
	o := &intent.Object{Path: path, Metadata: intent.Metadata{Name: path.Name()}, Spec: spec}
	if path.Kind() == intent.KindCluster {
		o.Metadata.Labels = map[string]string{"ring": f.one("0", "1")}
	}
	o.Normalize()
	if o.Validate() != nil {
		return nil
	}
	return []intent.Op{{Method: intent.Put, Path: path, Object: o}}
}

// op is one random operation, or two that belong together.
func (f *fleet) op() []intent.Op {
	group := f.group()
	tg := group + "/traffic-group-intents/tg"
	in := tg + "/inbound-intents/" + intent.Path(f.one("in0", "in1"))
	client := in + "/clients/" + intent.Path(f.one("c0", "c1"))
	rule := in + "/routing-rules/" + intent.Path(f.one("r0", "r1"))
	out := tg + "/outbound-intents/" + intent.Path(f.one("o0", "o1"))
	switch n := f.random.IntN(100); {
	case n < 8:
		return f.cluster(f.random.IntN(len(fleetClusters)))
	case n < 18:
		return append(f.put(group, f.groupSpec()), f.put(tg, &intent.TrafficGroupSpec{})...)
	case n < 38:
		return f.put(in, f.inbound(group, in))
	case n < 55:
		return append(f.put(client, f.client()), f.put(client+"/access-points/ap", f.accessPoint())...)
	case n < 73:
		return f.put(rule, f.rule(in))
	case n < 84:
		return f.put(out, f.outbound())
	case n < 85:
		return []intent.Op{remove(group)}
	case n < 88:
		return []intent.Op{remove(in)}
	case n < 92:
		return []intent.Op{remove(client)}
	case n < 96:
		return []intent.Op{remove(rule)}
	}
	return []intent.Op{remove(out)}
}

func (f *fleet) group() intent.Path {
	return intent.Path("/v2/projects/p/composite-apps/ca/v1/deployment-intent-groups/" + f.one("g0", "g1"))
}

func (f *fleet) cluster(i int) []intent.Op {
	name := fleetClusters[i]
	spec := &intent.ClusterSpec{
		Network: name, Region: f.one("eu", "us"), Zone: name, Authorities: []string{name + ".example"},
		Delivery: intent.Delivery(f.one("both", "both", "both", "xds", "bundle")),
	}
	east := intent.Gateway{
		Name: "eastwestgateway", Role: intent.EastWest, Namespace: f.one("istio-system", "istio-system", "ns1"),
		Addresses: []string{fmt.Sprintf("198.51.100.%d", 10*i+f.random.IntN(2))},
		Ports:     &intent.GatewayPorts{TLS: pick(f.random, []int{15443, 15444})},
	}
	if f.odds(20) {
		east.Addresses = nil
	}
	if f.odds(85) {
		spec.Gateways = append(spec.Gateways, east)
	}
	for _, g := range []intent.Gateway{{Name: "out", Role: intent.Egress}, {Name: "door", Role: intent.Ingress}} {
		g.Addresses = []string{fmt.Sprintf("203.0.113.%d", i)}
		g.Ports = &intent.GatewayPorts{HTTPS: pick(f.random, []int{443, 8443})}
		if f.odds(70) {
			spec.Gateways = append(spec.Gateways, g)
		}
	}
	return f.put(clusterPath(name), spec)
}

func (f *fleet) groupSpec() *intent.GroupSpec {
	spec := &intent.GroupSpec{Namespace: f.one("ns0", "ns1"), GatewayAPI: f.odds(10), SidecarScope: f.odds(30)}
	for _, app := range []string{"server", "web"} {
		p := intent.Placement{App: app}
		if f.odds(30) {
			p.Selector = &intent.Selector{MatchLabels: map[string]string{"ring": f.one("0", "1")}}
		}
		for _, c := range f.some(fleetClusters...) {
			p.Clusters = append(p.Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: c})
		}
		spec.Placements = append(spec.Placements, p)
	}
	if f.odds(50) {
		spec.ServiceAccounts = map[string]string{"server": "server-sa", "web": "web-sa"}
	}
	return spec
}

func (f *fleet) inbound(group, in intent.Path) *intent.InboundSpec {
	service := group.Name() + in.Name()
	spec := &intent.InboundSpec{
		App: "server", AppLabel: "app=" + f.one(service, service, service+"x"), ServiceName: f.one(service, service, service+"x", "shared"),
		Port: pick(f.random, []int{80, 80, 8080}), Protocol: intent.Protocol(f.one("HTTP", "HTTP", "GRPC", "TCP", "TLS")), TargetPort: 8000,
		Authorization: f.one("access-points", "clients", "open"),
	}
	if f.odds(40) {
		spec.Ports = []intent.ServicePort{{Port: pick(f.random, []int{81, 82}), Protocol: intent.Protocol(f.one("HTTP", "TCP")), TargetPort: 8001}}
	}
	switch f.random.IntN(4) {
	case 0:
		spec.GlobalName = service + f.one(".one", ".two") + ".example"
	case 1:
		if spec.ServiceName != "shared" { // else the name could be another service's
			spec.GlobalName = spec.ServiceName + "." + f.one("ns0", "ns1") + ".svc.cluster.local"
		}
	}
	if f.odds(30) {
		spec.ExternalSupport, spec.ExternalName = true, service+f.one("1", "2")+".example.com"
	}
	if f.odds(40) {
		mode := f.one("local-first", "none", "weighted")
		spec.TrafficPolicy = &intent.TrafficPolicy{Locality: &intent.Locality{Mode: mode}}
		if mode == "weighted" {
			spec.TrafficPolicy.Locality.Weights = map[string]int{"edge/" + f.one(fleetClusters...): 100}
		}
	}
	switch f.random.IntN(12) {
	case 0:
		spec.ServiceMesh, spec.ServiceName = "none", meshless
	case 1:
		spec.Headless = true
	case 2:
		spec.Management = &intent.Management{SidecarProxy: "no"}
	case 3:
		spec.Management = &intent.Management{SidecarProxy: "yes", TLSType: f.one("SIMPLE", "NONE")}
	}
	return spec
}

func (f *fleet) client() *intent.ClientSpec {
	spec := &intent.ClientSpec{App: f.one("web", "web", "server"), AppLabel: "app=web", Namespaces: []string{}, CIDRs: []string{}}
	if f.odds(40) {
		spec.Namespaces = f.some("ns0", "ns1", "istio-system")
	}
	if f.odds(30) {
		spec.Group = &intent.GroupRef{Project: "p", CompositeApp: "ca", Version: "v1", Group: f.group().Name()}
	}
	return spec
}

func (f *fleet) accessPoint() *intent.AccessPointSpec {
	return &intent.AccessPointSpec{Action: pick(f.random, []intent.Action{intent.Allow, intent.Deny}), URL: []string{f.one("*", "/a")}, Access: []string{"*"}}
}

func (f *fleet) rule(in intent.Path) *intent.RoutingRuleSpec {
	spec := &intent.RoutingRuleSpec{Priority: f.random.IntN(2)}
	switch f.random.IntN(4) {
	case 0:
		spec.Match = []intent.RouteMatch{{Path: &intent.StringMatch{Prefix: f.one("/a", "/b")}}}
	case 1:
		spec.Match = []intent.RouteMatch{{Clients: []string{f.one("c0", "c1")}}}
	}
	version := func() *intent.RouteVersion {
		return &intent.RouteVersion{Labels: map[string]string{"version": f.one("v1", "v2", "v3")}}
	}
	for _, weight := range pick(f.random, [][]int{{100}, {70, 30}}) {
		s := intent.RouteSplit{Weight: weight}
		if f.odds(70) {
			s.Version = version()
		}
		if f.odds(50) || s.Version == nil {
			s.Cluster = "edge/" + f.one(fleetClusters...)
		}
		spec.Split = append(spec.Split, s)
	}
	switch f.random.IntN(5) {
	case 0:
		spec.Mirror = &intent.RouteMirror{Version: version()}
	case 1:
		if other := f.one("in0", "in1"); other != in.Name() {
			spec.Mirror = &intent.RouteMirror{Inbound: other}
		}
	}
	return spec
}

func (f *fleet) outbound() *intent.OutboundSpec {
	spec := &intent.OutboundSpec{
		App: f.one("web", "server"), AppLabel: f.one("app=web", "app=server"), ExternalServiceName: f.one("one.example.net", "two.example.net"),
		Port: pick(f.random, []int{80, 443, 8443}), Protocol: intent.Protocol(f.one("HTTP", "HTTP", "TLS")), EgressGateway: f.odds(50),
	}
	if spec.Protocol == "HTTP" && f.odds(60) {
		spec.TLS = &intent.OutboundTLS{Mode: f.one("SIMPLE", "MUTUAL", "NONE")}
		if spec.TLS.Mode == "MUTUAL" {
			spec.TLS.CredentialName = "theirs"
		}
	}
	return spec
}
