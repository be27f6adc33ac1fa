package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pkg/config/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/meshwright/meshwright/intent"
)

// TestApportion divides weights in whole numbers.
func TestApportion(t *testing.T) {
	for _, test := range []struct {
		total  int
		shares []int
		want   []int
	}{
		{100, []int{90, 10}, []int{90, 10}},
		{100, []int{1, 1, 1}, []int{34, 33, 33}},
		{100, []int{50, 30}, []int{63, 37}}, // 62.5 and 37.5: the first of equal remainders
		{90, []int{67, 33}, []int{60, 30}},
		{10, []int{67, 33}, []int{7, 3}},
		{1, []int{1, 2}, []int{0, 1}},
		{0, []int{3, 2}, []int{0, 0}},
		{100, []int{7}, []int{100}},
		{100, nil, nil},
	} {
		if diff := cmp.Diff(test.want, apportion(test.total, test.shares)); diff != "" {
			t.Errorf("apportion(%d, %v) (-want +got):\n%s", test.total, test.shares, diff)
		}
	}
}

// TestSubsetNames holds that names are readable, without a hash where that is
// safe.
func TestSubsetNames(t *testing.T) {
	version := func(pairs ...string) *intent.RouteVersion {
		v := &intent.RouteVersion{Labels: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			v.Labels[pairs[i]] = pairs[i+1]
		}
		return v
	}
	for _, test := range []struct {
		version *intent.RouteVersion
		cluster string
		want    string
	}{
		{nil, "", ""},
		{version("version", "v2"), "", "version-v2"},
		{version("version", "v2-rc"), "", "version-v2-rc"},
		{version("version", "2.0"), "", "version-2-0--jnr3xmlv"},
		{version("app.kubernetes.io/version", "v2"), "", "version-v2--lbdv4jwb"},
		{version("version", "v2", "track", "beta"), "", "track-beta-version-v2--gzlouuuz"},
		{nil, "edge/shop-1", "on-edge-shop-1--iyzhugnm"},
		{version("version", "v2"), "edge/shop-1", "version-v2-on-edge-shop-1--pqiq4o5v"},
		{version("version", strings.Repeat("x", 63)), "", "version-" + strings.Repeat("x", 26) + "--oie3p7pb"},
	} {
		if got := subsetName(test.version, test.cluster); got != test.want {
			t.Errorf("subsetName(%v, %q) = %q, want %q", test.version, test.cluster, got, test.want)
		}
	}
}

// TestSubsetNamesDiffer holds that names are legal for Istio, and differ for
// whatever differs; so do the values of clusters' labels.
func TestSubsetNamesDiffer(t *testing.T) {
	names := map[string]string{}
	rapid.Check(t, func(rt *rapid.T) {
		v := &intent.RouteVersion{Labels: rapid.MapOfN(
			rapid.SampledFrom([]string{"a", "a-b", "b", "on", "x.io/a", "x.io/A-b", "c", "d", "e", "f", "g", "h"}),
			rapid.SampledFrom([]string{"", "v1", "b-v1", "V1", "1.0", "a--b", strings.Repeat("long-", 12) + "x"}), 1, 12).Draw(rt, "labels")}
		cluster := rapid.SampledFrom([]string{"", "edge/a", "edge.a/b", "edge/a.b", strings.Repeat("p", 63) + "/" + strings.Repeat("C", 63)}).Draw(rt, "cluster")
		name := subsetName(v, cluster)
		if !labels.IsDNS1123Label(name) || len(name) > 63 {
			rt.Fatalf("%q is no name for a subset", name)
		}
		meaning := fmt.Sprint(v.Labels, cluster)
		if other, ok := names[name]; ok && other != meaning {
			rt.Fatalf("%q means %s and %s", name, other, meaning)
		}
		names[name] = meaning
		if cluster != "" {
			if wrong := validation.IsValidLabelValue(clusterValue(cluster)); len(wrong) > 0 {
				rt.Fatalf("%q is no label's value: %v", clusterValue(cluster), wrong)
			}
		}
	})
	if clusterValue("a.b/c") == clusterValue("a/b.c") {
		t.Error("two clusters share a label's value")
	}
}

// TestRouteWarnings finds rules that no call can reach, and no others; each is
// told of at both rules.
func TestRouteWarnings(t *testing.T) {
	for _, test := range []struct {
		name  string
		ports string
		rules map[string]string
		want  []string // "shadowed by"
	}{
		{"none", "", map[string]string{"a": `{match: [{path: {prefix: /a}}]}`, "b": `{}`}, nil},
		{"all is first", "", map[string]string{"a": `{priority: 2}`, "b": `{priority: 1, match: [{path: {exact: /a}}]}`, "c": `{}`}, []string{"b a", "c a"}},
		{"a prefix covers", "", map[string]string{
			"a": `{priority: 2, match: [{path: {prefix: /a}}]}`,
			"b": `{priority: 1, match: [{path: {exact: /a/b}}, {path: {prefix: /a/}, methods: [GET]}]}`,
			"c": `{priority: 1, match: [{path: {prefix: /b}}, {path: {prefix: /a/}}]}`,
			"d": `{match: [{path: {regex: /a/b}}]}`,
		}, []string{"b a"}},
		{"the more specific goes first by itself", "", map[string]string{"a": `{match: [{path: {prefix: /}}]}`, "b": `{match: [{path: {exact: /a}}]}`}, nil},
		{"conditions", "", map[string]string{
			"a": `{priority: 1, match: [{headers: {X-A: {prefix: b}}, methods: [GET, POST], clients: [web]}]}`,
			"b": `{match: [{headers: {x-a: {exact: bc}, x-d: {exact: e}}, methods: [GET], clients: [web]}]}`,
			"c": `{match: [{headers: {x-a: {exact: bc}}, methods: [GET]}]}`,
			"d": `{match: [{headers: {x-a: {exact: c}}, methods: [GET], clients: [web]}]}`,
			"e": `{match: [{queryParams: {x-a: {exact: bc}}, methods: [GET], clients: [web]}]}`,
		}, []string{"b a"}},
		{"connections go on", ", ports: [{port: 5432, protocol: TCP}]", map[string]string{
			"a": `{priority: 1, timeout: 1s}`,
			"b": `{split: [{weight: 100, version: {labels: {version: v1}}}]}`,
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			const group = "/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g"
			const in = group + "/traffic-group-intents/t/inbound-intents/in"
			set := intent.NewSet()
			n := 0
			put := func(path, spec string) {
				t.Helper()
				body, err := yaml.YAMLToJSON([]byte("{metadata: {}, spec: " + spec + "}"))
				if err != nil {
					t.Fatal(err)
				}
				n++
				set = stored(t, set, n, path, body)
			}
			put(group, `{namespace: shop}`)
			put(group+"/traffic-group-intents/t", `{}`)
			put(in, `{app: a, appLabel: app=a, serviceName: a, port: 80, protocol: HTTP`+test.ports+`}`)
			put(in+"/clients/web", `{app: web, appLabel: app=web, namespaces: [], cidrs: []}`)
			for name, spec := range test.rules {
				put(in+"/routing-rules/"+name, spec)
			}
			var shadowed, shadows []string
			for _, p := range routeWarnings(set, set.Get(in)) {
				_, other, _ := strings.Cut(p.Message, "/routing-rules/")
				if strings.HasPrefix(p.Message, "it is shadowed") {
					shadowed = append(shadowed, p.Intent.Name()+" "+other[:1])
				} else {
					shadows = append(shadows, other[:1]+" "+p.Intent.Name())
				}
			}
			slices.Sort(shadowed)
			slices.Sort(shadows)
			if diff := cmp.Diff([][]string{test.want, test.want}, [][]string{shadowed, shadows}); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMirrorFollows holds that an inbound which mirrors calls to another is
// made anew when the other's callers come, lose their way and go, wherever the
// change is.
func TestMirrorFollows(t *testing.T) {
	m := fleet(t, 3) // in0 is served on c0 and called on c1
	copies, other := inboundPath(0, 0), inboundPath(0, 2)
	spec := groupSpec("shop", 0, 1)
	spec.Placements = append(spec.Placements, intent.Placement{App: "other", Clusters: []intent.ClusterRef{{ClusterProvider: "edge", Cluster: "c2"}}})
	in := inboundSpec(2)
	in.App = "other"
	m.mustApply(t, putOp(t, groupPath(0), spec))
	m.mustApply(t, putOp(t, other, in))
	m.mustApply(t, putOp(t, copies+"/routing-rules/copy", &intent.RoutingRuleSpec{Mirror: &intent.RouteMirror{Inbound: other.Name()}}))
	v := newViews(m)
	v.build(t.Context(), m.Set())
	mirrored := func() bool {
		for o := range v.View(clusterPath(1)).Objects() {
			if o.Type.ID != VirtualService || !slices.Contains(o.Origins, copies) {
				continue
			}
			spec, err := o.Spec()
			if err != nil {
				t.Fatal(err)
			}
			if spec.(*networking.VirtualService).Http[0].Mirror != nil {
				return true
			}
		}
		return false
	}
	if mirrored() {
		t.Error("calls are mirrored to a service that the callers don't know")
	}
	lost := clusterSpec(2)
	lost.Gateways = nil
	for _, step := range []struct {
		ops  []intent.Op
		want bool
	}{
		{[]intent.Op{putOp(t, other+"/clients/c", clientSpec())}, true},
		{[]intent.Op{removeOp(clusterPath(2)), putOp(t, clusterPath(2), lost)}, false}, // with no last gateways
		{[]intent.Op{putOp(t, clusterPath(2), clusterSpec(2))}, true},
		{[]intent.Op{removeOp(other + "/clients/c")}, false},
	} {
		old := m.Set()
		m.mustApply(t, step.ops...)
		v.build(t.Context(), m.Set())
		if mirrored() != step.want {
			t.Errorf("after %s, calls are mirrored: %v", step.ops[0].Path, !step.want)
		}
		transactions, _ := m.Since(old.Revision())
		diff, err := Preview(old, m.Set(), changesOf(transactions))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(diff.Clusters, func(c ClusterDiff) bool { return c.Cluster == "edge/c1" }) {
			t.Errorf("the preview of %s says nothing of the caller's cluster", step.ops[0].Path)
		}
	}
}
