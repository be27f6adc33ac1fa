package snapshot

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshwright/meshwright/intent"
)

// TestWriteRebuildsWhatItConcerns holds, in a fleet where each cluster serves
// one group and calls the services of the one before it, that a write gives a
// new view to the clusters that see a difference, and leaves every other
// cluster the very view it had.
func TestWriteRebuildsWhatItConcerns(t *testing.T) {
	const clusters = 30
	m := largeFleet(t, 10*3*clusters, clusters)
	v := newViews(m)
	v.build(t.Context(), m.Set())
	in := inboundPath(7, 3)
	policy := inboundSpec(3)
	policy.TrafficPolicy = &intent.TrafficPolicy{CircuitBreaking: &intent.CircuitBreaking{MaxConnections: 9}}
	moved := clusterSpec(7)
	moved.Gateways[0].Addresses = []string{"10.99.99.99"}
	withdrawn := clusterSpec(7)
	withdrawn.Gateways = nil
	for _, test := range []struct {
		write string
		op    intent.Op
		views []string // that are new
		units float64  // that were generated, once per cluster: two groups of ten services are 44
	}{
		{"what a client may call", putOp(t, in+"/clients/c/access-points/ap", accessPointSpec("POST")), []string{"edge/c7"}, 2},
		{"how clients balance", putOp(t, in, policy), []string{"edge/c7", "edge/c8"}, 2},
		{"one service less", removeOp(inboundPath(7, 4)), []string{"edge/c7", "edge/c8"}, 0},
		{"a gateway's address", putOp(t, clusterPath(7), moved), []string{"edge/c8"}, 42},
		{"a cluster's gateway", putOp(t, clusterPath(7), withdrawn), []string{"edge/c7", "edge/c8"}, 42},
		{"a cluster's labels", putOp(t, clusterPath(9), clusterSpec(9), "tier", "shop"), nil, 0},
		{"a new cluster", putOp(t, clusterPath(clusters), clusterSpec(clusters)), []string{fmt.Sprint("edge/c", clusters)}, 0},
	} {
		before := viewsOf(m.Set(), v)
		counted := counters(t, v.metrics)
		m.mustApply(t, test.op)
		v.build(t.Context(), m.Set())
		var got []string
		for cluster, view := range viewsOf(m.Set(), v) {
			if before[cluster] != view {
				got = append(got, cluster.ClusterName())
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.views, got); diff != "" {
			t.Errorf("%s: clusters with a new view (-want +got):\n%s", test.write, diff)
		}
		now := counters(t, v.metrics)
		if rebuilt := now["meshwright_snapshot_views_changed_total"] - counted["meshwright_snapshot_views_changed_total"]; int(rebuilt) != len(test.views) {
			t.Errorf("%s: %v views were rebuilt, want %d", test.write, rebuilt, len(test.views))
		}
		if units := now["meshwright_snapshot_intents_built_total"] - counted["meshwright_snapshot_intents_built_total"]; units != test.units {
			t.Errorf("%s: %v intents were generated, want %v", test.write, units, test.units)
		}
	}
}

func viewsOf(set *intent.Set, v *Views) map[intent.Path]*View {
	out := map[intent.Path]*View{}
	for cluster := range set.List(intent.KindCluster, "") {
		out[cluster.Path] = v.View(cluster.Path)
	}
	return out
}

// counters are the metrics that say how much was built, by name.
func counters(t testing.TB, m *metrics) map[string]float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.units, m.rebuilt)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		out[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	return out
}

// TestEachKindConcerns holds, for a write of each kind of intent in such a
// fleet, which types of which clusters see a new version: no others are pushed.
func TestEachKindConcerns(t *testing.T) {
	m := largeFleet(t, 10*3*10, 10)
	for cluster, more := range map[int]intent.Gateway{
		7: {Name: "ingress", Role: intent.Ingress, Addresses: []string{"203.0.113.7"}}, 8: {Name: "egress", Role: intent.Egress},
	} {
		spec := clusterSpec(cluster)
		spec.Gateways = append(spec.Gateways, more)
		m.mustApply(t, putOp(t, clusterPath(cluster), spec))
	}
	v := newViews(m)
	v.build(t.Context(), m.Set())
	before := versionsOf(m.Set(), v)
	for _, test := range kindWrites(t) {
		m.mustApply(t, test.op)
		v.build(t.Context(), m.Set())
		after := versionsOf(m.Set(), v)
		var got []string
		for is, version := range after {
			if before[is] != version {
				got = append(got, is)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.changed, got); diff != "" {
			t.Errorf("%s: new versions (-want +got):\n%s", test.write, diff)
		}
		before = after
	}
}

type kindWrite struct {
	write   string
	op      intent.Op
	changed []string // "cluster Kind" with a new version
}

// kindWrites are writes of each kind in group 7, which cluster 7 serves and
// cluster 8 calls, each on top of those before it.
func kindWrites(t *testing.T) []kindWrite {
	in, tg := inboundPath(7, 3), inboundPath(7, 3).Parent()
	rule := &intent.RoutingRuleSpec{Split: []intent.RouteSplit{{Weight: 100, Version: &intent.RouteVersion{Labels: map[string]string{"version": "v1"}}}}}
	denied := accessPointSpec("GET")
	denied.Action = intent.Deny
	tokens := inboundSpec(3)
	tokens.JWT = []intent.JWTRule{{Issuer: "i", JWKSURI: "https://i.example/keys"}}
	outside := *tokens
	outside.ExternalSupport, outside.ExternalName = true, "svc3.example.com"
	meshless, headless := inboundSpec(5), inboundSpec(6)
	meshless.ServiceMesh = "none"
	headless.Headless, headless.TargetPort = true, 80
	api := &intent.OutboundSpec{App: "client", ExternalServiceName: "api.example.com", Port: 443, Protocol: "TLS"}
	through := *api
	through.EgressGateway = true
	scoped, spread := groupSpec("ns7", 7, 8), groupSpec("ns7", 7, 8)
	scoped.SidecarScope, spread.SidecarScope = true, true
	spread.Placements[1].Clusters = append(spread.Placements[1].Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: "c2"})
	on := func(cluster string, kinds ...string) (out []string) {
		for _, kind := range kinds {
			out = append(out, cluster+" "+kind)
		}
		return out
	}
	return []kindWrite{
		{"a rule", putOp(t, in+"/routing-rules/r", rule), slices.Concat(
			on("c7", "DestinationRule", "ServiceEntry", "VirtualService"), on("c8", "DestinationRule", "VirtualService"))},
		{"no rule", removeOp(in + "/routing-rules/r"), slices.Concat(
			on("c7", "DestinationRule", "ServiceEntry", "VirtualService"), on("c8", "DestinationRule", "VirtualService"))},
		{"what a client may not call", putOp(t, in+"/clients/c/access-points/never", denied), on("c7", "AuthorizationPolicy")},
		{"whose tokens are taken", putOp(t, in, tokens), on("c7", "RequestAuthentication")},
		{"clients outside the mesh", putOp(t, in, &outside), on("c7", "AuthorizationPolicy", "Gateway", "VirtualService")},
		{"no mesh", putOp(t, inboundPath(7, 5), meshless), slices.Concat(
			on("c7", "AuthorizationPolicy", "DestinationRule", "Gateway", "NetworkPolicy", "PeerAuthentication", "Service", "ServiceEntry"),
			on("c8", "DestinationRule", "EndpointSlice", "Service", "ServiceEntry", "VirtualService"))},
		{"headless", putOp(t, inboundPath(7, 6), headless), on("c7", "ServiceEntry")},
		{"a service outside the mesh", putOp(t, tg+"/outbound-intents/o", api), on("c8", "ServiceEntry")},
		{"through the egress gateway", putOp(t, tg+"/outbound-intents/o", &through), on("c8", "AuthorizationPolicy", "DestinationRule", "Gateway", "ServiceEntry", "VirtualService")},
		{"no service outside the mesh", removeOp(tg + "/outbound-intents/o"), on("c8", "AuthorizationPolicy", "DestinationRule", "Gateway", "ServiceEntry", "VirtualService")},
		{"an Istio object", putOp(t, tg+"/istio-resources/r", rawSpec("r", 2)), on("c2", "VirtualService")},
		{"no Istio object", removeOp(tg + "/istio-resources/r"), on("c2", "VirtualService")},
		{"what proxies hear of", putOp(t, groupPath(7), scoped), slices.Concat(on("c7", "Sidecar"), on("c8", "Sidecar"))},
		{"where a client runs", putOp(t, groupPath(7), spread), on("c2", "DestinationRule", "EndpointSlice", "Namespace", "Service", "ServiceEntry", "Sidecar", "VirtualService")},
		{"no service", removeOp(inboundPath(7, 4)), slices.Concat(
			on("c2", "DestinationRule", "ServiceEntry", "Sidecar", "VirtualService"),
			on("c7", "AuthorizationPolicy", "DestinationRule", "Gateway", "PeerAuthentication", "ServiceEntry"),
			on("c8", "DestinationRule", "ServiceEntry", "Sidecar", "VirtualService"))},
	}
}

// versionsOf are the versions of all types of all clusters, by "cluster Kind".
func versionsOf(set *intent.Set, v *Views) map[string]string {
	out := map[string]string{}
	for cluster := range set.List(intent.KindCluster, "") {
		view := v.View(cluster.Path)
		for id := range typeCount {
			if id != KubernetesGateway { // has the kind of another
				out[cluster.Path.Segment(4)+" "+Types[id].Kind] = view.Type(id).Version()
			}
		}
	}
	return out
}
