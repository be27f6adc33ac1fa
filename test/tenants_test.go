package test

import (
	"testing"

	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
)

// TestAddressesBehindGateways holds that a client's CIDR lets in who has such
// an address, and not whoever calls through a gateway that has one.
func TestAddressesBehindGateways(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", `
metadata: {name: shop-1}
spec:
  network: shop-1
  authorities: [127.0.0.2]
  gateways:
    - {name: eastwestgateway, role: eastwest, namespace: gateways, addresses: [192.0.2.10]}
    - {name: ingressgateway, role: ingress, namespace: gateways, addresses: [192.0.2.11]}`)
	placed(t, h, nil)
	h.Put(t, catalog, `
metadata: {name: catalog}
spec: {app: catalog, appLabel: app=catalog, serviceName: catalog, port: 8080, protocol: HTTP, ports: [{name: tcp-feed, port: 9000, protocol: TCP}]}`)
	declare(t, h, "batch", "cidrs: [10.7.0.0/16]")
	may(t, h, "batch", "all", `action: ALLOW, url: [], access: ["*"]`)
	node := pods(t, h, "catalog", "10.1.0.5", "{number: 8080, name: http, protocol: HTTP}, {number: 9000, name: tcp-feed, protocol: TCP}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")

	const stranger, ingress = "cluster.local/ns/bank/sa/stranger", "cluster.local/ns/gateways/sa/ingressgateway"
	request := func(from, ip, sni string) proxy.Call {
		return proxy.Call{From: from, IP: ip, SNI: sni, Port: 8080, Method: "GET", Path: "/"}
	}
	feed := request(stranger, "10.7.0.1", "outbound_.9000_._.catalog.shop.global")
	feed.Port, feed.Method = 9000, ""
	judged(t, i, node, []trial{
		{"a stranger with an address of the network", request(stranger, "10.7.0.1", "outbound_.8080_._.catalog.shop.svc.cluster.local"), true},
		{"one without an identity", request("", "10.7.0.1", ""), true},
		{"a stranger with another address", request(stranger, "10.8.0.1", ""), false},
		{"a stranger by an east-west gateway of the network", request(stranger, "10.7.0.1", "outbound_.8080_._.catalog.shop.global"), false},
		{"the same, of a subset", request(stranger, "10.7.0.1", "outbound_.8080_.v1_.catalog.shop.global"), false},
		{"the same, to a TCP port", feed, false},
		{"an ingress gateway of the network", request(ingress, "10.7.0.1", "outbound_.8080_._.catalog.shop.svc.cluster.local"), false},
		{"the frontend by the east-west gateway", proxy.Call{From: "cluster.local/ns/shop/sa/frontend", IP: "10.7.0.1", SNI: "outbound_.8080_._.catalog.shop.global", Port: 8080, Method: "GET", Path: "/items"}, true},
	})
}

// TestSharedPods holds that of two services of the same pods, in two projects,
// neither's clients may call the other's ports.
func TestSharedPods(t *testing.T) {
	t.Parallel()
	h := example(t)
	placed(t, h, map[string]string{"orders": edge1})
	declare(t, h, "orders", "cidrs: []")
	may(t, h, "orders", "all", `action: ALLOW, url: [], access: ["*"]`)
	may(t, h, "orders", "no-drafts", `action: DENY, url: ["/drafts"], access: ["*"]`)
	const other = "/v2/projects/ops/composite-apps/watch/v1/deployment-intent-groups/prod"
	h.Put(t, other, `
metadata: {name: prod}
spec: {namespace: shop, placements: [{app: metrics, clusters: [`+edge1+`]}, {app: scraper, clusters: [`+edge1+`]}, {app: orders, clusters: [`+edge1+`]}]}`)
	h.Put(t, other+"/traffic-group-intents/tg", "metadata: {name: tg}\nspec: {}")
	const metrics = other + "/traffic-group-intents/tg/inbound-intents/metrics"
	h.Put(t, metrics, `
metadata: {name: metrics}
spec: {app: metrics, appLabel: app=catalog, serviceName: metrics, port: 9090, protocol: HTTP, authorization: clients, management: {tlsType: NONE}}`)
	for _, name := range []string{"scraper", "orders"} {
		h.Put(t, metrics+"/clients/"+name, `
metadata: {name: `+name+`}
spec: {app: `+name+`, appLabel: app=`+name+`, namespaces: [], cidrs: [], serviceAccount: `+name+`}`)
	}
	node := pods(t, h, "catalog", "10.1.0.5", "{number: 8080, name: http, protocol: HTTP}, {number: 9090, name: http-metrics, protocol: HTTP}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")

	call := func(from string, port int, path string) proxy.Call {
		return proxy.Call{From: "cluster.local/ns/shop/sa/" + from, Port: port, Method: "GET", Path: path}
	}
	judged(t, i, node, []trial{
		{"orders", call("orders", 8080, "/items"), true},
		{"orders reads drafts", call("orders", 8080, "/drafts"), false},
		{"orders reads drafts of the other service", call("orders", 9090, "/drafts"), true},
		{"the scraper", call("scraper", 9090, "/metrics"), true},
		{"the scraper at the other service", call("scraper", 8080, "/items"), false},
		{"the frontend at the other service", call("frontend", 9090, "/items"), false},
		{"a port of neither", call("orders", 7777, "/"), false},
	})
}
