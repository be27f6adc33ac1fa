package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

// TestEverySNIHasItsFilterChain reads out of two real istiods, one for the
// cluster that serves and one for the cluster that calls, that each SNI which
// the client's proxies send is accepted by the server's east-west gateway, and
// that the client's endpoints are that gateway.
func TestEverySNIHasItsFilterChain(t *testing.T) {
	t.Parallel()
	h := example(t)
	extra := func(name, protocol string, port int) {
		h.Put(t, webIntents+"/inbound-intents/"+name, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: catalog, appLabel: app=%[1]s, serviceName: %[1]s, port: %[3]d, protocol: %[2]s}`, name, protocol, port))
		h.Put(t, webIntents+"/inbound-intents/"+name+"/clients/frontend", `
metadata: {name: frontend}
spec: {app: frontend, appLabel: app=frontend, namespaces: [], cidrs: []}`)
	}
	extra("prices", "GRPC", 9090)
	extra("stock", "TCP", 5432)
	extra("vault", "TLS", 8443)

	server := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2), ClusterID: "shop-1", Network: "shop-1"})
	client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3), ClusterID: "shop-2", Network: "shop-2"})
	sameAsBundle(t, h, server, "edge/shop-1")
	sameAsBundle(t, h, client, "edge/shop-2")

	sidecar := proxy.Node{
		Name: "frontend-1", Namespace: "shop", Labels: map[string]string{"app": "frontend"},
		ServiceAccount: "frontend", ClusterID: client.Config.ClusterID, Network: client.Config.Network,
	}
	gateway := proxy.Node{
		Type: "router", Name: "gateway-1", Namespace: "istio-system", Labels: map[string]string{"istio": "eastwestgateway"},
		ClusterID: server.Config.ClusterID, Network: server.Config.Network,
	}
	hosts := []string{"catalog.shop.global", "prices.shop.global", "stock.shop.global", "vault.shop.global"}
	wait.Until(t, "the gateway to accept each of the clients' SNIs", func() error {
		return accepted(t, hosts, server, gateway, client, sidecar)
	})
}

// accepted compares what a sidecar sends with what a gateway takes.
func accepted(t *testing.T, hosts []string, server *istiod.Istiod, gateway proxy.Node, client *istiod.Istiod, sidecar proxy.Node) error {
	sent, err := proxy.Fetch(t.Context(), client.XDSAddr(), sidecar)
	if err != nil {
		return err
	}
	taken, err := proxy.Fetch(t.Context(), server.XDSAddr(), gateway)
	if err != nil {
		return err
	}
	chains := taken.FilterChainServerNames(15443)
	for _, host := range hosts {
		clusters := sent.OutboundClusters(host)
		if len(clusters) == 0 {
			return fmt.Errorf("the sidecar has no cluster for %s", host)
		}
		for _, cluster := range clusters {
			if got, want := sent.EndpointAddrs(cluster), []string{"192.0.2.10:15443"}; !slices.Equal(got, want) {
				return fmt.Errorf("endpoints of %s = %q, want %q", cluster, got, want)
			}
		}
		snis := sent.OutboundSNIs(host)
		if len(snis) < len(clusters) {
			return fmt.Errorf("clusters %q of %s send the SNIs %q only", clusters, host, snis)
		}
		for _, sni := range snis {
			if !slices.Contains(chains, sni) {
				return fmt.Errorf("the gateway takes %q, and not %s", chains, sni)
			}
		}
	}
	for _, chain := range chains {
		if !slices.ContainsFunc(hosts, func(host string) bool { return strings.HasSuffix(chain, "_."+host) }) {
			return fmt.Errorf("the gateway takes %s, which no intent exposes", chain)
		}
	}
	return nil
}

// TestWithdrawnClient holds that a client that is taken away loses its route,
// and the gateway its exposure.
func TestWithdrawnClient(t *testing.T) {
	t.Parallel()
	h := example(t)
	server := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	client := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3)})
	sameAsBundle(t, h, client, "edge/shop-2")
	h.Delete(t, webIntents+"/inbound-intents/catalog/clients/frontend?cascade=true")
	sameAsBundle(t, h, server, "edge/shop-1")
	sameAsBundle(t, h, client, "edge/shop-2")
	if left := h.Bundle(t, "edge/shop-2"); len(left) != 0 {
		t.Errorf("the client's cluster still gets %d objects", len(left))
	}
	for _, o := range h.Bundle(t, "edge/shop-1") {
		if o.Kind == "Gateway" {
			t.Errorf("the server's cluster still has %s", o.ID())
		}
	}
}
