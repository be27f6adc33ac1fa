package test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
)

// TestEachKindComesAndGoes writes an object of each kind, and deletes it again:
// what it made arrives at the istiods that it concerns and leaves them, and
// nothing else of what they hold is touched.
func TestEachKindComesAndGoes(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", `
metadata: {name: shop-1}
spec:
  authorities: [127.0.0.2]
  gateways:
    - {name: eastwestgateway, role: eastwest, addresses: [192.0.2.10]}
    - {name: ingressgateway, role: ingress, addresses: [203.0.113.10]}`)
	h.Put(t, shopTwo, egressShop)
	h.Put(t, group, `
metadata: {name: prod}
spec:
  namespace: shop
  placements:
    - {app: catalog, clusters: [`+edge1+`], selector: {matchLabels: {tier: extra}}}
    - {app: frontend, clusters: [`+edge2+`]}`)
	istiods := map[string]*istiod.Istiod{
		"edge/shop-1": istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)}),
		"edge/shop-2": istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3)}),
	}
	start := heldVersions(t, h, istiods)
	resource, body := numbered(t, 1)
	for _, test := range []struct {
		kind, path, body string
		made             map[string]int // how many objects come to the clusters that it concerns
	}{
		{
			"cluster", "/v2/cluster-providers/edge/clusters/shop-3",
			"{metadata: {name: shop-3, labels: {tier: extra}}, spec: {gateways: [{name: ew, role: eastwest, addresses: [192.0.2.30]}]}}",
			map[string]int{"edge/shop-2": 0},
		},
		{"group", groups + "staging", "{metadata: {name: staging}, spec: {namespace: stage, sidecarScope: true, placements: [{app: a, clusters: [" + edge1 + "]}]}}", map[string]int{"edge/shop-1": 1}},
		{"inbound", webIntents + "/inbound-intents/stock", "{metadata: {name: stock}, spec: {app: catalog, appLabel: app=stock, serviceName: stock, port: 5432, protocol: TCP, externalSupport: true, externalName: stock.example.com}}", map[string]int{"edge/shop-1": 4}},
		{"client", catalog + "/clients/batch", "{metadata: {name: batch}, spec: {app: frontend, appLabel: app=batch, namespaces: [batch], cidrs: []}}", map[string]int{"edge/shop-2": 5}},
		{"access point", catalog + "/clients/frontend/access-points/never", `{metadata: {name: never}, spec: {action: DENY, url: ["/never"], access: ["*"]}}`, map[string]int{"edge/shop-1": 1}},
		{"routing rule", catalog + "/routing-rules/canary", "{metadata: {name: canary}, spec: {split: [{weight: 50, version: {labels: {version: v1}}}, {weight: 50, version: {labels: {version: v2}}}]}}", map[string]int{"edge/shop-1": 1, "edge/shop-2": 0}},
		{"outbound", webIntents + "/outbound-intents/api", "{metadata: {name: api}, spec: {app: frontend, externalServiceName: api.example.com, port: 80, protocol: HTTP, egressGateway: true, tls: {}}}", map[string]int{"edge/shop-2": 8}},
		{"Istio resource", resource, body, map[string]int{"edge/shop-1": 1}},
	} {
		h.Put(t, test.path, test.body)
		there := heldVersions(t, h, istiods)
		made := map[string]int{}
		for cluster := range istiods {
			if !cmp.Equal(start[cluster], there[cluster]) {
				made[cluster] = len(there[cluster]) - len(start[cluster])
			}
		}
		if diff := cmp.Diff(test.made, made); diff != "" {
			t.Errorf("%s: objects that came (-want +got):\n%s", test.kind, diff)
		}
		h.Delete(t, test.path)
		if diff := cmp.Diff(start, heldVersions(t, h, istiods)); diff != "" {
			t.Errorf("%s: versions before it came and after it went (-before +after):\n%s", test.kind, diff)
		}
	}
}

// heldVersions waits until istiods hold their clusters' bundles, and returns
// the version of each object, by cluster.
func heldVersions(t *testing.T, h *hub.Hub, istiods map[string]*istiod.Istiod) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for cluster, i := range istiods {
		sameAsBundle(t, h, i, cluster)
		out[cluster] = map[string]string{}
		for _, o := range i.Configz(t) {
			out[cluster][o.ID()] = o.ResourceVersion
		}
	}
	return out
}
