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

const prodGroup = `
metadata: {name: prod}
spec:
  namespace: shop
  sidecarScope: %v
  placements:
  - {app: catalog, clusters: [{clusterProvider: edge, cluster: shop-1}]}
  - {app: frontend, clusters: [{clusterProvider: edge, cluster: shop-2}]}`

// TestSidecarScope holds that a client's proxy hears of all that its cluster
// knows without sidecarScope, and with it of what intents let its namespace
// call, by the same names, endpoints and routes as before.
func TestSidecarScope(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, webIntents+"/inbound-intents/stock", `
metadata: {name: stock}
spec: {app: catalog, appLabel: app=stock, serviceName: stock, port: 5432, protocol: TCP}`)
	h.Put(t, webIntents+"/inbound-intents/stock/clients/frontend", `
metadata: {name: frontend}
spec: {app: frontend, appLabel: app=frontend, namespaces: [], cidrs: [], serviceAccount: frontend}`)
	for namespace, host := range map[string]string{"tools": "undeclared.example.com", "shop": "mail.example.com", "istio-system": "telemetry.example.com"} {
		name, body := hub.Raw(t, "edge/shop-2", fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %s, namespace: %s}
spec: {hosts: [%s], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP}]}`, namespace, namespace, host))
		h.Put(t, webIntents+"/istio-resources/"+name, body)
	}
	client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3), ClusterID: "shop-2", Network: "shop-2"})
	sidecar := proxy.Node{
		Name: "frontend-1", Namespace: "shop", Labels: map[string]string{"app": "frontend"},
		ServiceAccount: "frontend", ClusterID: client.Config.ClusterID, Network: client.Config.Network,
	}
	declared := []string{
		"catalog.shop.global", "catalog.shop.svc.cluster.local", "mail.example.com", "stock.shop.global", "telemetry.example.com",
	}
	open := hears(t, client, sidecar, append(declared, "undeclared.example.com"))
	h.Put(t, strings.TrimSuffix(webIntents, "/traffic-group-intents/web"), fmt.Sprintf(prodGroup, true))
	sameAsBundle(t, h, client, "edge/shop-2")
	scoped := hears(t, client, sidecar, declared)
	for _, host := range []string{"catalog.shop.global", "stock.shop.global"} {
		if diff := cmp.Diff(reached(open, host), reached(scoped, host)); diff != "" {
			t.Errorf("how %s is reached (-without scope +with it):\n%s", host, diff)
		}
	}
	if got, want := routedTo(scoped, "catalog.shop.svc.cluster.local"), []string{"outbound|8080||catalog.shop.global"}; !slices.Equal(got, want) {
		t.Errorf("the old name is routed to %q, want %q", got, want)
	}
	h.Put(t, strings.TrimSuffix(webIntents, "/traffic-group-intents/web"), fmt.Sprintf(prodGroup, false))
	hears(t, client, sidecar, append(declared, "undeclared.example.com"))
}

// hears waits until a proxy has outbound clusters for the hosts alone.
func hears(t *testing.T, i *istiod.Istiod, node proxy.Node, hosts []string) *proxy.Config {
	t.Helper()
	want := slices.Sorted(slices.Values(hosts))
	var config *proxy.Config
	wait.Until(t, "the proxy to hear of "+strings.Join(want, ", "), func() (err error) {
		if config, err = proxy.Fetch(t.Context(), i.XDSAddr(), node); err != nil {
			return err
		}
		var got []string
		for name := range config.Clusters {
			if strings.HasPrefix(name, "outbound|") {
				got = append(got, name[strings.LastIndexByte(name, '|')+1:])
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
			return fmt.Errorf("hosts (-want +got):\n%s", diff)
		}
		return nil
	})
	return config
}

// reached is how a proxy gets to a host: SNIs, then endpoints by cluster.
func reached(c *proxy.Config, host string) []string {
	out := c.OutboundSNIs(host)
	for _, cluster := range c.OutboundClusters(host) {
		out = append(out, cluster+" at "+strings.Join(c.EndpointAddrs(cluster), " "))
	}
	return out
}

// routedTo are the clusters that HTTP calls of a host are routed to.
func routedTo(c *proxy.Config, host string) []string {
	var out []string
	for _, config := range c.Routes {
		for _, vhost := range config.GetVirtualHosts() {
			if !slices.Contains(vhost.GetDomains(), host) {
				continue
			}
			for _, route := range vhost.GetRoutes() {
				out = append(out, route.GetRoute().GetCluster())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
