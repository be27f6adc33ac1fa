package intent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePath(t *testing.T) {
	group := testGroup + "web"
	tg := group + "/traffic-group-intents/t"
	type facts struct {
		Path, Parent, Group, Inbound Path
		Collection, Name             string
		Kind, ParentKind             Kind
	}
	for in, want := range map[string]facts{
		"/v2/cluster-providers/acme/clusters/a.B_1": {
			Path: "/v2/cluster-providers/acme/clusters/a.B_1",
			Kind: KindCluster, Collection: "/v2/cluster-providers/acme/clusters", Name: "a.B_1",
		},
		strings.Trim(group, "/") + "/": {
			Path: Path(group), Kind: KindGroup, Group: Path(group),
			Collection: strings.TrimSuffix(testGroup, "/"), Name: "web",
		},
		group + "/traffic-group-intent/t": {
			Path: Path(tg), Kind: KindTrafficGroup, ParentKind: KindGroup, Parent: Path(group), Group: Path(group),
			Collection: group + "/traffic-group-intents", Name: "t",
		},
		group + "/traffic-group-intent/t/inbound-intents/cart": {
			Path: Path(tg + "/inbound-intents/cart"), Kind: KindInbound, ParentKind: KindTrafficGroup,
			Parent: Path(tg), Group: Path(group), Inbound: Path(tg + "/inbound-intents/cart"), Collection: tg + "/inbound-intents", Name: "cart",
		},
		tg + "/inbound-intents/cart/clients/front": {
			Path: Path(tg + "/inbound-intents/cart/clients/front"), Kind: KindClient, ParentKind: KindInbound,
			Parent: Path(tg + "/inbound-intents/cart"), Group: Path(group), Inbound: Path(tg + "/inbound-intents/cart"),
			Collection: tg + "/inbound-intents/cart/clients", Name: "front",
		},
		// A name may read like a segment: only the segment is an alias.
		tg + "/inbound-intents/cart/clients/security/security/x": {
			Path: Path(tg + "/inbound-intents/cart/clients/security/access-points/x"),
			Kind: KindAccessPoint, ParentKind: KindClient, Parent: Path(tg + "/inbound-intents/cart/clients/security"), Group: Path(group),
			Inbound: Path(tg + "/inbound-intents/cart"), Collection: tg + "/inbound-intents/cart/clients/security/access-points", Name: "x",
		},
		tg + "/inbound-intents/cart/routing-rules/r": {
			Path: Path(tg + "/inbound-intents/cart/routing-rules/r"), Kind: KindRoutingRule, ParentKind: KindInbound,
			Parent: Path(tg + "/inbound-intents/cart"), Group: Path(group), Inbound: Path(tg + "/inbound-intents/cart"),
			Collection: tg + "/inbound-intents/cart/routing-rules", Name: "r",
		},
		tg + "/outbound-intents/pay": {
			Path: Path(tg + "/outbound-intents/pay"), Kind: KindOutbound, ParentKind: KindTrafficGroup, Parent: Path(tg), Group: Path(group),
			Collection: tg + "/outbound-intents", Name: "pay",
		},
		tg + "/istio-resources/vs": {
			Path: Path(tg + "/istio-resources/vs"), Kind: KindIstioResource, ParentKind: KindTrafficGroup, Parent: Path(tg), Group: Path(group),
			Collection: tg + "/istio-resources", Name: "vs",
		},
	} {
		p, kind, err := ParsePath(in)
		if err != nil {
			t.Errorf("ParsePath(%q): %v", in, err)
			continue
		}
		got := facts{Path: p, Parent: p.Parent(), Group: p.Group(), Inbound: p.Inbound(), Collection: p.Collection(), Name: p.Name(), Kind: kind, ParentKind: kind.Parent()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParsePath(%q) (-want +got):\n%s", in, diff)
		}
		if p.Kind() != kind {
			t.Errorf("%q: kind %q by its layout, %q by its path", p, kind, p.Kind())
		}
		if again, _, err := ParsePath(string(p)); again != p || err != nil {
			t.Errorf("%q is not canonical: %q, %v", p, again, err)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	tree := "is not the path of an object: see the OpenAPI document for the resource tree"
	for in, want := range map[string]string{
		"":                                      `"" ` + tree,
		"/v2/cluster-providers/a/clusters":      `"/v2/cluster-providers/a/clusters" ` + tree,
		"/v3/cluster-providers/a/clusters/b":    `"/v3/cluster-providers/a/clusters/b" ` + tree,
		"/v2/cluster-providers//clusters/b":     "path segment {provider}: must not be empty",
		"/v2/cluster-providers/a/clusters/b%2f": `path segment {cluster}: "b%2f" must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'`,
		"/v2/cluster-providers/a/clusters/..":   `path segment {cluster}: ".." must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'`,
		"/v2/cluster-providers/a/clusters/b\n":  `path segment {cluster}: "b\n" must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'`,
		"/v2/cluster-providers/a/clusters/" + strings.Repeat("b", 64): "path segment {cluster}: must be at most 63 characters, has 64",
		testGroup + "web/traffic-group-intents/t/security/x":          `"` + testGroup + `web/traffic-group-intents/t/security/x" ` + tree,
		strings.Repeat("/x", 150):                                     `"` + strings.Repeat("/x", 100) + `…" ` + tree,
	} {
		p, kind, err := ParsePath(in)
		if p != "" || kind != "" || err == nil || err.(*Error).Kind != Malformed || err.Error() != want {
			t.Errorf("ParsePath(%q) = %q, %q, %v\nwant %s", in, p, kind, err, want)
		}
	}
}

// TestStrayPaths asks paths that ParsePath never made: none may panic.
func TestStrayPaths(t *testing.T) {
	s := NewSet()
	for _, p := range []Path{"", "/", "x", "//", "/v2/projects/", Path(strings.Repeat("/", 12)), Path(strings.Repeat("/", 40))} {
		if s.Get(p) != nil || s.Get(p.Parent()) != nil || s.Namespace(p) != "" || p.ClusterName() != "" && p.Kind() != KindCluster {
			t.Errorf("%q names something", p)
		}
		_, _, _, _, _ = p.Group(), p.Inbound(), p.Name(), p.Collection(), p.Segment(9)
	}
}

func TestTemplates(t *testing.T) {
	for _, k := range Kinds {
		example := strings.NewReplacer("{", "", "}", "").Replace(k.Template())
		if p, got, err := ParsePath(example); err != nil || got != k || string(p) != example {
			t.Errorf("%s: ParsePath(%q) = %q, %q, %v", k, example, p, got, err)
		}
		if NewSpec(k) == nil || k.Noun() == "" {
			t.Errorf("%s has no spec or no noun", k)
		}
	}
}

func TestNormalizeAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"mesh.example":         "mesh.example",
		"Mesh.Example:15012":   "mesh.example",
		"mesh.example.":        "mesh.example",
		"mesh.example.:15012":  "mesh.example",
		" mesh.example ":       "mesh.example",
		"192.0.2.1":            "192.0.2.1",
		"192.0.2.1:15010":      "192.0.2.1",
		"[2001:DB8::1]:15010":  "2001:db8::1",
		"[2001:db8::1]":        "2001:db8::1",
		"2001:db8:0:0::1":      "2001:db8::1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"fe80::1%eth0":         "fe80::1",
		"localhost:0":          "localhost",
		"":                     "",
		":15010":               "",
		"https://mesh.example": "https://mesh.example", // for validation to refuse
		"[mesh.example]:15010": "[mesh.example]:15010",
	} {
		if got := NormalizeAuthority(in); got != want {
			t.Errorf("NormalizeAuthority(%q) = %q, want %q", in, got, want)
		}
	}
}
