package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const emcoGroup = "projects/p/composite-apps/ca/v1/deployment-intent-groups"

func TestEMCODocuments(t *testing.T) {
	docs := read(t, strings.Join([]string{
		"version: emco/v2\nresourceContext: {anchor: " + emcoGroup + "/g/traffic-group-intents}\nmetadata: {name: tg}\n",
		"version: emco/v2\nresourceContext: {anchor: " + emcoGroup + "/g/traffic-group-intents/tg/inbound-intents/in}\nmetadata: {name: in}\nspec: {port: \"80\"}\n",
		"version: emco/v2\nresourceContext: {anchor: /v2/cluster-providers/p/clusters}\nmetadata: {name: c}\nfile: kubeconfig\n",
		"version: emco/v2\nresourceContext: {anchor: cluster-providers/p/clusters/c/kv-pairs}\nmetadata: {name: kv}\n" +
			"spec: {kv: [{istioingressgatewayaddress: 192.0.2.1}, {istioIngressGatewayPort: 15443, user: x}]}\n",
		"version: emco/v2\nresourceContext: {anchor: " + emcoGroup + "}\nmetadata: {name: g}\nspec: {namespace: n}\n",
	}, "---\n"))
	want := []plainDocument{
		{put, group + "/traffic-group-intents/tg", `{"metadata":{"name":"tg"},"spec":{}}`, "in.yaml:1 (document 1)"},
		{put, group + "/traffic-group-intents/tg/inbound-intents/in", `{"metadata":{"name":"in"},"spec":{"port":"80"}}`, "in.yaml:5 (document 2)"},
		{createIfAbsent, "/v2/cluster-providers/p/clusters/c", `{"metadata":{"name":"c"},"spec":{}}`, "in.yaml:10 (document 3)"},
		{keyValues, "/v2/cluster-providers/p/clusters/c", `{"metadata":{"name":"kv"},"spec":{"kv":[{"istioIngressGatewayAddress":"192.0.2.1"},{"istioIngressGatewayPort":"15443"}]}}`, "in.yaml:15 (document 4)"},
		{put, group, `{"metadata":{"name":"g"},"spec":{"namespace":"n"}}`, "in.yaml:20 (document 5)"},
	}
	if diff := cmp.Diff(want, plain(docs.objects)); diff != "" {
		t.Error(diff)
	}
}

func TestEMCOSkips(t *testing.T) {
	const none, group, kv = "Meshwright has no such resource",
		"an EMCO group says nothing of a namespace and placements: describe it with spec.namespace and spec.placements",
		"none of its keys describes an Istio gateway"
	for name, c := range map[string]struct{ anchor, rest, what, reason string }{
		"project":       {"projects", "metadata: {name: p}", "projects p", none},
		"controller":    {"controllers", "metadata: {name: rsync}\nspec: {host: h, port: 9031}", "controllers rsync", none},
		"provider":      {"cluster-providers", "metadata: {name: p}", "cluster-providers p", none},
		"label":         {"cluster-providers/p/clusters/c/labels", "clusterLabel: edge", "cluster-providers/p/clusters/c/labels", none},
		"logical cloud": {"projects/p/logical-clouds", "metadata: {name: lc}", "projects/p/logical-clouds lc", none},
		"instantiate":   {emcoGroup + "/g/instantiate", "", emcoGroup + "/g/instantiate", none},
		"group intents": {emcoGroup + "/g/intents", "metadata: {name: i}", emcoGroup + "/g/intents i", none},
		"group":         {emcoGroup, "metadata: {name: g}\nspec: {compositeProfile: x, version: r1}", emcoGroup + " g", group},
		"kv-pairs":      {"cluster-providers/p/clusters/c/kv-pairs", "metadata: {name: db}\nspec: {kv: [{user: x}]}", "cluster-providers/p/clusters/c/kv-pairs db", kv},
	} {
		t.Run(name, func(t *testing.T) {
			docs := read(t, "version: emco/v2\nresourceContext:\n  anchor: "+c.anchor+"\n"+c.rest+"\n")
			if len(docs.objects) != 0 || len(docs.skipped) != 1 {
				t.Fatalf("%d objects, %d skipped", len(docs.objects), len(docs.skipped))
			}
			got := docs.skipped[0]
			if diff := cmp.Diff([]string{"in.yaml:1 (document 1)", c.what, c.reason}, []string{got.place.String(), got.what, got.reason}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIllegalEMCODocuments(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"version":      {"version: emco/v3\nresourceContext: {anchor: projects}\n", "version is emco/v3"},
		"no anchor":    {"version: emco/v2\nresourceContext: {}\n", "resourceContext has no anchor"},
		"bad name":     {"version: emco/v2\nresourceContext: {anchor: cluster-providers/p/clusters}\nmetadata: {name: -}\n", "path segment {cluster}"},
		"bad provider": {"version: emco/v2\nresourceContext: {anchor: cluster-providers/-/clusters}\nmetadata: {name: c}\n", "path segment {provider}"},
		"kv no list":   {"version: emco/v2\nresourceContext: {anchor: cluster-providers/p/clusters/c/kv-pairs}\nspec: {kv: 1}\n", "spec.kv must be a list"},
		"kv no pair":   {"version: emco/v2\nresourceContext: {anchor: cluster-providers/p/clusters/c/kv-pairs}\nspec: {kv: [1]}\n", "spec.kv[0] must be a pair"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readDocuments([]source{{name: "in.yaml", data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestValues fills in a file as EMCO ships them, with placeholders.
func TestValues(t *testing.T) {
	dir := t.TempDir()
	values := dir + "/values.yaml"
	if err := os.WriteFile(values, []byte("Project: p\nApps: [a, b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := []source{{name: "in.yaml", data: []byte("{{ range .Apps }}{{ $.Project }}/{{ . }} {{ end }}")}}
	got, err := fillIn(in, values)
	if err != nil {
		t.Fatal(err)
	}
	if want := "p/a p/b "; string(got[0].data) != want {
		t.Errorf("%q, want %q", got[0].data, want)
	}
	for _, bad := range []string{"{{ .Absent }}", "{{ .Project"} {
		if _, err := fillIn([]source{{name: "in.yaml", data: []byte(bad)}}, values); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
