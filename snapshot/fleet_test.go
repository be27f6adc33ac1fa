package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// randomFleet draws a fleet of a size: clusters, then groups, then what stands
// below them. Some clusters lose their gateways' addresses afterwards.
func randomFleet(t testing.TB, roll dice, size fleetSize, tally *tally) *draw {
	t.Helper()
	d := &draw{roll: roll, size: size, store: newMemory(), tally: tally}
	for i := range size.clusters {
		d.cluster(i)
	}
	for g := range size.groups {
		d.group(g)
	}
	for g := range size.groups {
		for i := range size.perGroup {
			d.inbound(g, i)
		}
		for i := range (size.perGroup + 1) / 2 {
			d.outbound(g, i)
			d.raw(g, i)
		}
	}
	return d
}

// unique is a name that no other draw of the fleet gets.
func (d *draw) unique() string {
	d.names++
	return fmt.Sprint("u", d.names)
}

// server is a cluster, provider/cluster, that the inbound which is drawn runs
// on.
func (d *draw) server(label string) string {
	on := d.store.Set().Placed(d.in.Path, "server")
	return on[d.roll(label, len(on))].ClusterName()
}

func (d *draw) cluster(i int) {
	d.number = i
	spec := fill(d, clusterPath(i), &intent.ClusterSpec{}, clusterFields)
	labels := map[string]string{"ring": fmt.Sprint(i % 5)}
	d.put(clusterPath(i), spec, labels)
	switch d.one("then", "stays", "stays", "loses its addresses", "loses its gateways") {
	case "loses its addresses":
		spec = copyOf(clusterPath(i), spec)
		for g := range spec.Gateways {
			spec.Gateways[g].Addresses = nil
			spec.Gateways[g].Ports.TLS += 1000 * d.roll("and moves", 2)
		}
		d.put(clusterPath(i), spec, labels)
	case "loses its gateways":
		spec = copyOf(clusterPath(i), spec)
		spec.Gateways = nil
		d.put(clusterPath(i), spec, labels)
	}
}

func (d *draw) group(g int) {
	spec := &intent.GroupSpec{Namespace: fmt.Sprint("ns", d.roll("namespace", d.size.namespaces))}
	for _, app := range []string{"server", "web", "job"} {
		p := intent.Placement{App: app}
		first, n := d.roll(app+" from", d.size.clusters), 1+d.roll(app+" on", 3)
		for i := range n {
			p.Clusters = append(p.Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: clusterPath((first + i) % d.size.clusters).Name()})
		}
		spec.Placements = append(spec.Placements, p)
	}
	d.put(groupPath(g), fill(d, groupPath(g), spec, groupFields), nil)
	d.put(groupPath(g)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}, nil)
}

func (d *draw) inbound(g, i int) {
	p := inboundPath(g, i)
	d.in = d.store.Set().Get(groupPath(g))
	spec := &intent.InboundSpec{
		App: "server", AppLabel: fmt.Sprintf("app.kubernetes.io/name=s%d", i), ServiceName: fmt.Sprintf("svc%d-%d", g, i), Port: 80, Protocol: "HTTP",
	}
	spec = fill(d, p, spec, inboundFields)
	if !d.put(p, spec, nil) {
		return
	}
	for _, name := range d.some("clients", "one", "ONE", "two-"+strings.Repeat("long-", 11)+"name") {
		client := p + "/clients/" + intent.Path(name)
		base := &intent.ClientSpec{App: "web", AppLabel: "app=web", Namespaces: []string{}, CIDRs: []string{}}
		d.put(client, fill(d, client, base, clientFields), nil)
		for _, name := range d.some("access points", "x", "y") {
			ap := client + "/access-points/" + intent.Path(name)
			base := &intent.AccessPointSpec{Action: intent.Allow, URL: []string{"*"}, Access: []string{"*"}}
			d.put(ap, fill(d, ap, base, accessPointFields), nil)
		}
	}
	for n, name := range d.some("routing rules", "r1", "r2") {
		d.routingRule(p+"/routing-rules/"+intent.Path(name), n, spec.Protocol.IsHTTP())
	}
}

// routingRule draws one for a service that proxies can read HTTP of; any other
// takes a split alone.
func (d *draw) routingRule(p intent.Path, n int, http bool) {
	spec := &intent.RoutingRuleSpec{Priority: 10 * (n + 1), Split: versions}
	if http {
		spec = &intent.RoutingRuleSpec{Priority: 10 * (n + 1), Match: []intent.RouteMatch{{Path: &intent.StringMatch{Prefix: "/" + p.Name()}}}, Timeout: "5s"}
		spec = fill(d, p, spec, routingRuleFields)
	}
	d.put(p, spec, nil)
}

func (d *draw) outbound(g, i int) {
	p := groupPath(g) + intent.Path(fmt.Sprint("/traffic-group-intents/tg/outbound-intents/out", i))
	spec := &intent.OutboundSpec{App: d.one("caller", "web", "job"), ExternalServiceName: d.unique() + ".example.net", Port: 443, Protocol: "TLS"}
	d.put(p, fill(d, p, spec, outboundFields), nil)
}

func (d *draw) raw(g, i int) {
	spec := rawSpec(d.one("name", "x", "y", "z"), d.roll("on", d.size.clusters))
	d.put(rawPath(g, i), fill(d, rawPath(g, i), spec, rawFields), nil)
}
