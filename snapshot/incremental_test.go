package snapshot

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

// TestIncrementalIsFull holds, for random writes, that views kept current step
// by step are those that a fresh start builds, and that Admit never refuses
// what is legal.
func TestIncrementalIsFull(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := fleet(t, 4)
		v := newViews(m)
		v.build(t.Context(), m.Set())
		for range rapid.IntRange(1, 15).Draw(rt, "writes") {
			var ops []intent.Op
			for range rapid.IntRange(1, 4).Draw(rt, "operations") {
				ops = append(ops, randomOp(t, rt, m.Set())...)
			}
			old := m.Set()
			if len(ops) == 0 || m.apply(ops...) != nil {
				continue
			}
			transactions, _ := m.Since(old.Revision())
			changes := changesOf(transactions)
			if _, err := Admit(old, m.Set(), changes); err != nil {
				rt.Fatalf("%v: %v", ops[0].Path, err)
			}
			if _, err := Preview(old, m.Set(), changes); err != nil {
				rt.Fatalf("%v: %v", ops[0].Path, err)
			}
			if rapid.IntRange(0, 9).Draw(rt, "forget") == 0 {
				m.forget()
			}
			if rapid.Bool().Draw(rt, "build") {
				v.build(t.Context(), m.Set())
				checkFresh(t, rt, m, v)
			}
		}
		v.build(t.Context(), m.Set())
		checkFresh(t, rt, m, v)
	})
}

// checkFresh compares views with those that a fresh start builds.
func checkFresh(t *testing.T, rt *rapid.T, m *memory, v *Views) {
	fresh := newViews(m)
	fresh.build(t.Context(), m.Set())
	for i := range 5 {
		got, want := v.View(clusterPath(i)), fresh.View(clusterPath(i))
		if (got == nil) != (want == nil) {
			rt.Fatalf("cluster %d: view exists: %v, want %v", i, got != nil, want != nil)
		}
		if got == nil {
			continue
		}
		if diff := cmp.Diff(listing(want), listing(got)); diff != "" {
			rt.Fatalf("cluster %d (-fresh +kept current):\n%s", i, diff)
		}
		if diff := cmp.Diff(want.Problems(""), got.Problems("")); diff != "" {
			rt.Fatalf("cluster %d problems (-fresh +kept current):\n%s", i, diff)
		}
	}
	if diff := cmp.Diff(gauges(t, fresh.metrics), gauges(t, v.metrics)); diff != "" {
		rt.Fatalf("metrics (-fresh +kept current):\n%s", diff)
	}
}

// gauges are the metrics that say how things stand, by name.
func gauges(t testing.TB, m *metrics) map[string]float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.clusters, m.objects, m.problems, m.revision)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		out[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	return out
}

func listing(v *View) []string {
	out := []string{"delivery " + string(v.Delivery)}
	for o := range v.Objects() {
		out = append(out, o.Type.Kind+" "+o.FullName()+" "+o.Version)
	}
	for id := range typeCount {
		out = append(out, fmt.Sprint(Types[id].Kind, " ", v.Type(id).Version(), " ", v.Type(id).Len(), " over xDS ", v.OverXDS(id).Len()))
	}
	for _, made := range v.below("") {
		for _, o := range made.objects {
			out = append(out, o.FullName()+" by "+fmt.Sprint(o.Origins))
		}
	}
	return out
}

// randomOp draws a write: most are one operation, some belong together. What
// is not in the set is not removed: that would refuse the whole transaction.
func randomOp(t *testing.T, rt *rapid.T, set *intent.Set) []intent.Op {
	remove := func(p intent.Path) []intent.Op {
		if set.Get(p) == nil {
			return nil
		}
		return []intent.Op{removeOp(p)}
	}
	i := rapid.IntRange(0, 4).Draw(rt, "cluster")
	n := rapid.IntRange(0, 2).Draw(rt, "number")
	group, in := groupPath(n), inboundPath(n%2, n)
	switch rapid.IntRange(0, 16).Draw(rt, "op") {
	case 0, 1:
		return []intent.Op{randomCluster(t, rt, i)}
	case 2:
		return remove(clusterPath(i))
	case 3:
		return append(remove(clusterPath(i)), randomCluster(t, rt, i))
	case 4, 5:
		return []intent.Op{randomGroup(t, rt, group)}
	case 6:
		return []intent.Op{putOp(t, in.Group()+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}), putOp(t, in, randomInbound(rt, in, n))}
	case 7:
		return append(remove(in), putOp(t, in, inboundSpec(n)))
	case 8:
		spec := clientSpec()
		if rapid.Bool().Draw(rt, "guest") {
			spec.Group = &intent.GroupRef{Project: "p", CompositeApp: "ca", Version: "v1", Group: rapid.SampledFrom([]string{"g0", "g1", "g2"}).Draw(rt, "guest of")}
		}
		spec.Namespaces = rapid.SampledFrom([][]string{{}, {"shop"}, {"bank", "shop"}}).Draw(rt, "client namespaces")
		spec.ServiceAccount = rapid.SampledFrom([]string{"", "client"}).Draw(rt, "account")
		return []intent.Op{putOp(t, in+"/clients/c", spec)}
	case 9:
		spec := accessPointSpec(rapid.SampledFrom([]string{"GET", "POST"}).Draw(rt, "method"))
		if rapid.Bool().Draw(rt, "users") {
			spec.Users = []intent.User{{Issuer: "i"}}
		}
		return []intent.Op{putOp(t, in+"/clients/c/access-points/ap", spec)}
	case 10:
		return remove(rapid.SampledFrom([]intent.Path{in, group, in + "/clients/c", rawPath(n%2, n), outboundPath(n%2, n)}).Draw(rt, "removed"))
	case 11: // an object passes from one intent to another
		was, is := rawPath(n%2, n), rawPath(0, rapid.IntRange(0, 2).Draw(rt, "heir"))
		if o := set.Get(was); o != nil && is != was {
			heir := *o
			heir.Path, heir.Metadata = is, intent.Metadata{Name: is.Name()}
			return []intent.Op{removeOp(was), {Method: intent.Put, Path: is, Object: &heir}}
		}
	case 14, 15:
		return []intent.Op{randomRule(t, rt, in)}
	case 12:
		return []intent.Op{putOp(t, group+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}), putOp(t, outboundPath(n%2, n), randomOutbound(rt))}
	case 13: // two of one host
		one := randomOutbound(rt)
		two := *one
		two.Port = 8080
		tg := outboundPath(0, 0).Parent()
		return []intent.Op{putOp(t, tg, &intent.TrafficGroupSpec{}), putOp(t, outboundPath(0, 0), one), putOp(t, outboundPath(0, 2), &two)}
	}
	return []intent.Op{randomRaw(t, rt, rawPath(n%2, n))}
}

// randomRule picks versions and clusters, and mirrors to its neighbour.
func randomRule(t *testing.T, rt *rapid.T, in intent.Path) intent.Op {
	spec := &intent.RoutingRuleSpec{}
	for _, weight := range []int{70, 30} {
		s := intent.RouteSplit{Weight: weight, Cluster: fmt.Sprint("edge/c", rapid.IntRange(0, 3).Draw(rt, "split"))}
		if rapid.Bool().Draw(rt, "versioned") {
			s.Version = &intent.RouteVersion{Labels: map[string]string{"version": rapid.SampledFrom([]string{"v1", "v2"}).Draw(rt, "version")}}
		}
		spec.Split = append(spec.Split, s)
	}
	if other := rapid.SampledFrom([]intent.Path{inboundPath(0, 0), inboundPath(0, 2), inboundPath(1, 1)}).Draw(rt, "mirrored"); other.Group() == in.Group() && other != in {
		spec.Mirror = &intent.RouteMirror{Inbound: other.Name()}
	}
	return putOp(t, in+"/routing-rules/r", spec)
}

func outboundPath(group, n int) intent.Path {
	return groupPath(group) + intent.Path(fmt.Sprintf("/traffic-group-intents/tg/outbound-intents/o%d", n))
}

func randomCluster(t *testing.T, rt *rapid.T, i int) intent.Op {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }
	spec := clusterSpec(i)
	switch one("gateway", "there", "without address", "gone") {
	case "without address":
		spec.Gateways[0].Addresses = nil
	case "gone":
		spec.Gateways = nil
	}
	if rapid.Bool().Draw(rt, "egress") {
		spec.Gateways = append(spec.Gateways, intent.Gateway{Name: one("egress name", "out", "Out_1"), Role: intent.Egress})
	}
	spec.ClusterDomain = one("cluster domain", "", "k8s.local")
	spec.TrustDomain = one("trust domain", "", "td.example.com")
	switch one("families", "shown", "IPv6", "both") {
	case "IPv6":
		spec.IPFamilies = []intent.IPFamily{intent.IPv6}
	case "both":
		spec.IPFamilies = []intent.IPFamily{intent.IPv4, intent.IPv6}
	}
	entered(one, i, spec)
	if rapid.Bool().Draw(rt, "revision") {
		spec.Istio = &intent.IstioInstall{Revision: "canary"}
	}
	return putOp(t, clusterPath(i), spec, "index", one("index", "0", "1", "2"), "tier", one("tier", "a", "b"))
}

// randomSelector asks for one label or two.
func randomSelector(rt *rapid.T) *intent.Selector {
	labels := map[string]string{"index": rapid.SampledFrom([]string{"0", "1", "2"}).Draw(rt, "select index")}
	if rapid.Bool().Draw(rt, "select tier") {
		labels["tier"] = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "tier selected")
	}
	return &intent.Selector{MatchLabels: labels}
}

func randomGroup(t *testing.T, rt *rapid.T, path intent.Path) intent.Op {
	spec := groupSpec(rapid.SampledFrom([]string{"shop", "bank"}).Draw(rt, "namespace"),
		rapid.IntRange(0, 4).Draw(rt, "server"), rapid.IntRange(0, 3).Draw(rt, "client"))
	for p := range spec.Placements {
		if rapid.Bool().Draw(rt, "by label") {
			spec.Placements[p].Clusters, spec.Placements[p].Selector = nil, randomSelector(rt)
		}
	}
	spec.GatewayAPI = rapid.Bool().Draw(rt, "gateway API")
	spec.SidecarScope = rapid.Bool().Draw(rt, "sidecar scope")
	spec.ServiceAccounts = map[string]string{}
	for _, app := range []string{"server", "client"} {
		if rapid.Bool().Draw(rt, app+" has an account") {
			spec.ServiceAccounts[app] = app + "-sa"
		}
	}
	return putOp(t, path, spec)
}

func randomRaw(t *testing.T, rt *rapid.T, path intent.Path) intent.Op {
	spec := rawSpec(rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "name"))
	switch rapid.IntRange(0, 3).Draw(rt, "raw kind") {
	case 0, 1:
		spec.Resource.Kind = "ServiceEntry"
		spec.Resource.Spec = json.RawMessage(`{"hosts":["` + rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "raw host") + `.example.com"],"resolution":"DNS","ports":[{"number":80,"name":"http","protocol":"HTTP"}]}`)
	case 2:
		spec.Resource.Kind = "Sidecar"
		spec.Resource.Spec = json.RawMessage(`{"egress":[{"hosts":["./*"]}]}`)
	}
	spec.Resource.Metadata.Namespace = rapid.SampledFrom([]string{"", "shop"}).Draw(rt, "raw namespace")
	if rapid.Bool().Draw(rt, "raw by label") {
		spec.Clusters.Selector = randomSelector(rt)
	} else {
		i := rapid.IntRange(0, 3).Draw(rt, "raw on")
		spec.Clusters.Clusters = []intent.ClusterRef{{ClusterProvider: "edge", Cluster: fmt.Sprint("c", i)}}
	}
	return putOp(t, path, spec)
}

// randomInbound has its own name, or shares its service's name with others.
func randomInbound(rt *rapid.T, in intent.Path, n int) *intent.InboundSpec {
	spec := inboundSpec(n)
	if rapid.Bool().Draw(rt, "namesake") {
		spec = inboundSpec(0)
		spec.GlobalName = in.Name() + "." + in.Group().Name() + ".example"
	}
	switch rapid.SampledFrom([]string{"", "no sidecar", "none"}).Draw(rt, "mesh") {
	case "no sidecar":
		spec.Management = &intent.Management{SidecarProxy: "no"}
	case "none":
		spec.ServiceMesh = "none"
	}
	if rapid.Bool().Draw(rt, "shared pods") {
		spec.AppLabel, spec.Port = "app=shared", 8080+n
	}
	spec.Headless = rapid.Bool().Draw(rt, "headless")
	if spec.Proxied() && rapid.Bool().Draw(rt, "tokens") {
		spec.JWT = []intent.JWTRule{{Issuer: "i", JWKSURI: "https://i.example/keys"}}
	}
	if spec.InMesh() {
		exposed(func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }, spec)
	}
	return spec
}
