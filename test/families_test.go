package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

// dualGateway is the example's serving cluster with a gateway of both IP
// families.
const dualGateway = `
metadata: {name: shop-1}
spec:
  authorities: [127.0.0.2]
  ipFamilies: [IPv4, IPv6]
  gateways: [{name: eastwestgateway, role: eastwest, addresses: [192.0.2.10, "2001:db8::10"]}]`

// putStock adds a TCP service to the example, with the frontend as its client.
func putStock(t *testing.T, h *hub.Hub, more string) {
	t.Helper()
	h.Put(t, webIntents+"/inbound-intents/stock", `
metadata: {name: stock}
spec: {app: catalog, appLabel: app=stock, serviceName: stock, port: 5432, targetPort: 15432, protocol: TCP`+more+`}`)
	h.Put(t, webIntents+"/inbound-intents/stock/clients/frontend", `
metadata: {name: frontend}
spec: {app: frontend, appLabel: app=frontend, namespaces: [], cidrs: []}`)
}

// TestFamilies reads out of real istiods that proxies listen for a virtual
// address of each family that their cluster states, and call the gateway
// addresses of those families and no others.
func TestFamilies(t *testing.T) {
	t.Parallel()
	const (
		v4, v6     = "240.240.0.2_5432", "2001:2:0:f0f0::2_5432"
		gw4, gw6   = "192.0.2.10:15443", "[2001:db8::10]:15443"
		stock, web = "stock.shop.global", "catalog.shop.global"
	)
	for _, test := range []struct {
		name, stated, ips, dualStack string
		listeners, endpoints         []string
	}{
		{"IPv4", "[IPv4]", "10.0.0.1", "false", []string{v4}, []string{gw4}},
		{"IPv6", "[IPv6]", "fd00::1", "false", []string{v6}, []string{gw6}},
		{"dual stack", "[IPv4, IPv6]", "10.0.0.1,fd00::1", "true", []string{v6, v4}, []string{gw4, gw6}},
		// What a stock istiod, with dual stack off, needs of a dual-stack
		// cluster: nothing stated, and so one address, which it captures.
		{"not stated", "[]", "10.0.0.1,fd00::1", "false", []string{v4}, []string{gw4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := example(t)
			h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", dualGateway)
			h.Put(t, "/v2/cluster-providers/edge/clusters/shop-2", `
metadata: {name: shop-2}
spec: {authorities: [127.0.0.3], ipFamilies: `+test.stated+`}`)
			putStock(t, h, "")
			client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3), ClusterID: "shop-2", Env: []string{"ISTIO_DUAL_STACK=" + test.dualStack}})
			sameAsBundle(t, h, client, "edge/shop-2")
			sidecar := proxy.Node{Name: "frontend-1", Namespace: "shop", ClusterID: "shop-2", Metadata: map[string]any{"INSTANCE_IPS": test.ips}}
			wait.Until(t, "the proxy to have its listeners and endpoints", func() error {
				got, err := proxy.Fetch(t.Context(), client.XDSAddr(), sidecar)
				if err != nil {
					return err
				}
				if diff := cmp.Diff(test.listeners, listenersAt(got, 5432)); diff != "" {
					return fmt.Errorf("listeners (-want +got):\n%s", diff)
				}
				for host, port := range map[string]int{stock: 5432, web: 8080} {
					// istiod repeats the endpoints for each address of the host.
					endpoints := slices.Compact(got.EndpointAddrs(proxy.Cluster(port, "", host)))
					if diff := cmp.Diff(test.endpoints, endpoints); diff != "" {
						return fmt.Errorf("endpoints of %s (-want +got):\n%s", host, diff)
					}
				}
				return nil
			})
		})
	}
}

// listenersAt are the sorted names of a proxy's outbound listeners at a port.
func listenersAt(c *proxy.Config, port int) []string {
	var names []string
	for name := range c.Listeners {
		if strings.HasSuffix(name, fmt.Sprint("_", port)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestHeadless holds that a headless service is reached from another cluster by
// its global name: the gateway accepts the SNI, without a wildcard that Envoy
// would refuse the listener for, and leads it to the pods' own port.
func TestHeadless(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", dualGateway)
	putStock(t, h, ", headless: true")
	server := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2), ClusterID: "shop-1", Network: "shop-1"})
	client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3), ClusterID: "shop-2", Network: "shop-2"})
	sameAsBundle(t, h, server, "edge/shop-1")
	sameAsBundle(t, h, client, "edge/shop-2")
	gateway := proxy.Node{
		Type: "router", Name: "gateway-1", Namespace: "istio-system", Labels: map[string]string{"istio": "eastwestgateway"}, ClusterID: "shop-1",
	}
	sidecar := proxy.Node{Name: "frontend-1", Namespace: "shop", ClusterID: "shop-2"}
	wait.Until(t, "the gateway to lead the client's SNI to the pods", func() error {
		sent, err := proxy.Fetch(t.Context(), client.XDSAddr(), sidecar)
		if err != nil {
			return err
		}
		taken, err := proxy.Fetch(t.Context(), server.XDSAddr(), gateway)
		if err != nil {
			return err
		}
		snis := sent.OutboundSNIs("stock.shop.global")
		if diff := cmp.Diff([]string{"outbound_.5432_._.stock.shop.global"}, snis); diff != "" {
			return fmt.Errorf("SNIs (-want +got):\n%s", diff)
		}
		chains := taken.FilterChainServerNames(15443)
		if diff := cmp.Diff([]string{"outbound_.5432_._.stock.shop.global", "outbound_.8080_._.catalog.shop.global"}, chains); diff != "" {
			return fmt.Errorf("the gateway's server names (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"stock.shop.svc.cluster.local:15432"}, taken.EndpointAddrs(snis[0])); diff != "" {
			return fmt.Errorf("where the gateway leads (-want +got):\n%s", diff)
		}
		return nil
	})
}
