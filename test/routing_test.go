package test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/grpcecho"
	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

// routedServices are services of each protocol that routing rules divide by
// version.
var routedServices = map[string]struct {
	protocol string
	port     int
}{
	"pages": {"HTTP", 8080}, "prices": {"GRPC", 9090}, "stock": {"TCP", 5432}, "vault": {"TLS", 8443},
}

// canary is a routing rule that gives version v1 a share of all calls.
func canary(t *testing.T, h *hub.Hub, service string, v1 int) {
	t.Helper()
	h.Put(t, webIntents+"/inbound-intents/"+service+"/routing-rules/canary", fmt.Sprintf(`
metadata: {name: canary}
spec: {split: [{weight: %d, version: {labels: {version: v1}}}, {weight: %d, version: {labels: {version: v2}}}]}`, v1, 100-v1))
}

// versions gives a service a pod of each version on shop-1, as a Kubernetes
// registry would.
func versions(t *testing.T, h *hub.Hub, name, protocol string, port int, v1, v2 string, podPort uint32) {
	t.Helper()
	raw := func(kind, name, spec string) {
		intent, body := hub.Raw(t, "edge/shop-1", fmt.Sprintf("{apiVersion: networking.istio.io/v1, kind: %s, metadata: {name: %s, namespace: shop}, spec: %s}", kind, name, spec))
		h.Put(t, webIntents+"/istio-resources/"+intent, body)
	}
	raw("ServiceEntry", name, fmt.Sprintf(`{hosts: [%[1]s.shop.svc.cluster.local], location: MESH_INTERNAL, resolution: STATIC,
  ports: [{number: %[3]d, targetPort: %[4]d, name: port, protocol: %[2]s}], workloadSelector: {labels: {app: %[1]s}}}`, name, protocol, port, podPort))
	for version, address := range map[string]string{"v1": v1, "v2": v2} {
		raw("WorkloadEntry", name+"-"+version, fmt.Sprintf(`{address: %s, labels: {app: %s, version: %s, security.istio.io/tlsMode: istio}}`, address, name, version))
	}
}

// TestRoutingRules reads out of two real istiods how calls of each protocol are
// divided by version: in the cluster that serves, from another one, where the
// SNI tells the server's gateway which pods are meant, and from outside the
// mesh. A proxyless gRPC client then makes such calls.
func TestRoutingRules(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", `
metadata: {name: shop-1}
spec:
  authorities: [127.0.0.2]
  gateways:
    - {name: eastwestgateway, role: eastwest, addresses: [192.0.2.10]}
    - {name: ingressgateway, role: ingress, addresses: [203.0.113.10]}`)
	placed(t, h, map[string]string{"neighbour": edge1})
	one := grpcecho.StartServerAt(t, "v1", "127.0.3.1:0")
	two := grpcecho.StartServerAt(t, "v2", fmt.Sprintf("127.0.3.2:%d", one.Port()))
	for name, s := range routedServices {
		path := webIntents + "/inbound-intents/" + name
		h.Put(t, path, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: catalog, appLabel: app=%[1]s, serviceName: %[1]s, port: %[3]d, targetPort: %[4]d, protocol: %[2]s,
  externalSupport: true, externalName: %[1]s.example.com}`, name, s.protocol, s.port, one.Port()))
		for client, namespaces := range map[string]string{"frontend": "", "neighbour": "front"} {
			h.Put(t, path+"/clients/"+client, fmt.Sprintf("metadata: {name: %[1]s}\nspec: {app: %[1]s, appLabel: app=%[1]s, namespaces: [%[2]s], cidrs: []}", client, namespaces))
		}
		canary(t, h, name, 75)
		versions(t, h, name, s.protocol, s.port, one.Host(), two.Host(), one.Port())
	}
	h.Put(t, webIntents+"/inbound-intents/prices/routing-rules/testers", `
metadata: {name: testers}
spec: {priority: 1, match: [{headers: {x-tester: {exact: "yes"}}}], split: [{weight: 100, version: {labels: {version: v2}}}]}`)

	server := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2), ClusterID: "shop-1", Network: "shop-1"})
	client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3), ClusterID: "shop-2", Network: "shop-2"})
	sameAsBundle(t, h, server, "edge/shop-1")
	sameAsBundle(t, h, client, "edge/shop-2")
	r := routed{
		abroad:    proxy.Read(t, client.XDSAddr(), proxy.Node{Name: "frontend-1", Namespace: "shop", ClusterID: "shop-2", Network: "shop-2"}),
		neighbour: proxy.Read(t, server.XDSAddr(), proxy.Node{Name: "neighbour-1", Namespace: "front", ClusterID: "shop-1", Network: "shop-1"}),
		gateway: proxy.Read(t, server.XDSAddr(), proxy.Node{
			Type: "router", Name: "gateway-1", Namespace: "istio-system", Labels: map[string]string{"istio": "eastwestgateway"}, ClusterID: "shop-1", Network: "shop-1",
		}),
		ingress: proxy.Read(t, server.XDSAddr(), proxy.Node{
			Type: "router", Name: "ingress-1", Namespace: "istio-system", Labels: map[string]string{"istio": "ingressgateway"}, ClusterID: "shop-1", Network: "shop-1",
		}),
		pods: map[string]string{"v1": one.Addr(), "v2": two.Addr()},
	}
	t.Run("abroad", r.checkAbroad)
	t.Run("neighbour", r.checkNeighbour)
	t.Run("outside", r.checkOutside)
	checkRoutedCalls(t, h, server)
}

// routed is what proxies are told of the routed services.
type routed struct {
	abroad, neighbour, gateway, ingress *proxy.Config

	pods map[string]string // host:port by version
}

// divided is how a route to two versions reads.
func divided(port int, host string, v1 int) string {
	return fmt.Sprintf("%s x %d %s x %d", proxy.Cluster(port, "version-v1", host), v1, proxy.Cluster(port, "version-v2", host), 100-v1)
}

// leads are the routes that a sidecar has for a service's name: of HTTP by the
// virtual host, of others by the listeners at its port.
func leads(c *proxy.Config, port int, host string) []string {
	if vh := c.VirtualHost(fmt.Sprint(port), host); vh != nil {
		return vh.Routes
	}
	var out []string
	for _, name := range listenersAt(c, port) {
		for _, to := range c.TCPClusters(name) {
			if strings.Contains(to, "|"+host) {
				out = append(out, to)
			}
		}
	}
	slices.Sort(out)
	return out
}

// checkAbroad holds that callers on another cluster divide their calls by H's
// subsets, whose SNIs the server's gateway leads to the pods of that version.
func (r *routed) checkAbroad(t *testing.T) {
	for name, s := range routedServices {
		host := name + ".shop.global"
		want := []string{divided(s.port, host, 75)}
		switch s.protocol {
		case "TLS": // told by the server name, the old one too
			want[0] += " " + host + " " + name + ".shop.svc.cluster.local"
		case "GRPC":
			want = append([]string{proxy.Cluster(s.port, "version-v2", host)}, want...)
		}
		if diff := cmp.Diff(want, leads(r.abroad, s.port, host)); diff != "" {
			t.Errorf("routes to %s (-want +got):\n%s", name, diff)
		}
		for version, pod := range r.pods {
			cluster, sni := proxy.Cluster(s.port, "version-"+version, host), fmt.Sprintf("outbound_.%d_.version-%s_.%s", s.port, version, host)
			if diff := cmp.Diff([]proxy.Socket{{For: "all", Kind: "mutual TLS", SNI: sni}}, r.abroad.Sockets(cluster)); diff != "" {
				t.Errorf("how %s is called (-want +got):\n%s", cluster, diff)
			}
			if diff := cmp.Diff([]string{"192.0.2.10:15443"}, r.abroad.EndpointAddrs(cluster)); diff != "" {
				t.Errorf("where %s is (-want +got):\n%s", cluster, diff)
			}
			if diff := cmp.Diff([]string{pod}, r.gateway.EndpointAddrs(sni)); diff != "" {
				t.Errorf("where the gateway leads %s (-want +got):\n%s", sni, diff)
			}
		}
	}
	// What is sent is what is taken: each version, and each service as a whole.
	sent := r.abroad.OutboundSNIs("catalog.shop.global")
	for name := range routedServices {
		sent = append(sent, r.abroad.OutboundSNIs(name+".shop.global")...)
	}
	slices.Sort(sent)
	if diff := cmp.Diff(sent, r.gateway.FilterChainServerNames(15443)); diff != "" {
		t.Errorf("SNIs (-sent +taken):\n%s", diff)
	}
}

// checkNeighbour holds that callers on the serving cluster divide their calls
// by pods, whichever name they call.
func (r *routed) checkNeighbour(t *testing.T) {
	for name, s := range routedServices {
		service := name + ".shop.svc.cluster.local"
		to := divided(s.port, service, 75)
		want := map[string][]string{service: {to}, name + ".shop.global": {to}}
		switch s.protocol {
		case "GRPC":
			for host := range want {
				want[host] = []string{proxy.Cluster(s.port, "version-v2", service), to}
			}
		case "TCP": // told apart by address, and both lead to the same clusters
			want = map[string][]string{service: {to, to}}
		case "TLS":
			want = map[string][]string{service: {to + fmt.Sprintf(" %[1]s.shop %[1]s.shop.svc %[1]s.shop.svc.cluster.local", name), to + " " + name + ".shop.global"}}
		}
		for host, routes := range want {
			if diff := cmp.Diff(routes, leads(r.neighbour, s.port, host)); diff != "" {
				t.Errorf("routes to %s (-want +got):\n%s", host, diff)
			}
		}
		for version, pod := range r.pods {
			if diff := cmp.Diff([]string{pod}, r.neighbour.EndpointAddrs(proxy.Cluster(s.port, "version-"+version, service))); diff != "" {
				t.Errorf("pods of %s %s (-want +got):\n%s", name, version, diff)
			}
		}
	}
}

// checkOutside holds that ingress gateways follow the rules, too.
func (r *routed) checkOutside(t *testing.T) {
	to := func(name string) string {
		return divided(routedServices[name].port, name+".shop.svc.cluster.local", 75)
	}
	want := []proxy.Entrance{
		{Port: 80, Leads: []string{
			"pages.example.com " + to("pages"),
			"prices.example.com " + to("prices"),
			"prices.example.com " + proxy.Cluster(9090, "version-v2", "prices.shop.svc.cluster.local"),
		}},
		{Port: 443, ServerNames: "vault.example.com", Leads: []string{to("vault")}},
		{Port: 5432, Leads: []string{to("stock")}},
	}
	if diff := cmp.Diff(want, r.ingress.Entrances()); diff != "" {
		t.Errorf("what the ingress gateway takes (-want +got):\n%s", diff)
	}
}

// checkRoutedCalls lets a proxyless gRPC client call by both names, and holds
// that its calls follow the rules, and a change of them.
func checkRoutedCalls(t *testing.T, h *hub.Hub, i *istiod.Istiod) {
	t.Helper()
	node := proxy.Node{Namespace: "front", ClusterID: "shop-1", Network: "shop-1"}
	clients := map[string]*grpcecho.Client{}
	for _, host := range []string{"prices.shop.svc.cluster.local", "prices.shop.global"} {
		clients[host] = grpcecho.DialAs(t, i.XDSAddr(), host+":9090", node)
	}
	follow := func(what string, share float64) {
		for host, c := range clients {
			wait.Until(t, "calls of "+host+" to follow "+what, func() error {
				const calls = 400
				got := c.Calls(calls)
				if first := float64(got["v1"]) / calls; got["v1"]+got["v2"] != calls || math.Abs(first-share) > 0.1 {
					return fmt.Errorf("answers of %d calls: %v, want a share of %.2f from v1", calls, got, share)
				}
				return nil
			})
		}
	}
	follow("the rule", 0.75)
	for host, c := range clients {
		for range 20 {
			if got, err := c.Call("x-tester", "yes"); got != "v2" || err != nil {
				t.Fatalf("a tester's call of %s is answered by %q, %v, want v2", host, got, err)
			}
		}
	}
	canary(t, h, "prices", 20)
	follow("the changed rule", 0.20)
}
