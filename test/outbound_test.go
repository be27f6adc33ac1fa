package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

const (
	groups     = "/v2/projects/shop/composite-apps/store/v1/deployment-intent-groups/"
	shopTwo    = "/v2/cluster-providers/edge/clusters/shop-2"
	egressShop = `
metadata: {name: shop-2}
spec:
  network: shop-2
  authorities: [127.0.0.3]
  gateways:
    - {name: istio-egressgateway, role: egress, selector: {istio: egressgateway}}`
)

// outbound stores an outbound intent of a group's frontend.
func outbound(t *testing.T, h *hub.Hub, group, name, spec string) {
	t.Helper()
	h.Put(t, groups+group+"/traffic-group-intents/web/outbound-intents/"+name,
		fmt.Sprintf("{metadata: {name: %s}, spec: {app: frontend, %s}}", name, spec))
}

// opened is the TLS that a proxy opens for a cluster.
type opened struct {
	SNI, Certificate, CA string
	Names                []string // that the server has to prove
}

// opens reads what a proxy opens for each outbound cluster of a host; nil
// stands for plain text.
func opens(c *proxy.Config, host string) map[string]*opened {
	out := map[string]*opened{}
	for _, name := range c.OutboundClusters(host) {
		var tls tlsv3.UpstreamTlsContext
		if c.Clusters[name].GetTransportSocket().GetTypedConfig().UnmarshalTo(&tls) != nil {
			out[name] = nil
			continue
		}
		common := tls.GetCommonTlsContext()
		o := &opened{SNI: tls.GetSni(), CA: common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName()}
		for _, s := range common.GetTlsCertificateSdsSecretConfigs() {
			o.Certificate = s.GetName()
		}
		for _, m := range common.GetCombinedValidationContext().GetDefaultValidationContext().GetMatchSubjectAltNames() { //nolint:staticcheck // the field that istiod sets
			o.Names = append(o.Names, m.GetExact())
		}
		out[name] = o
	}
	return out
}

// TestOutboundTLS reads out of a real istiod what TLS the sidecars open
// towards outside services, that it is verified, and that proxies without the
// credentials send no plain text.
func TestOutboundTLS(t *testing.T) {
	t.Parallel()
	h := example(t)
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3)})
	outbound(t, h, "prod", "web", "externalServiceName: api.example.com, port: 80, protocol: HTTP, tls: {}")
	outbound(t, h, "prod", "plain", "externalServiceName: api.example.com, port: 8080, protocol: HTTP")
	outbound(t, h, "prod", "partner", "externalServiceName: api.example.com, port: 8443, protocol: HTTP, appLabel: app=frontend, tls: {mode: MUTUAL, credentialName: partner, sni: partner.example.com}")
	outbound(t, h, "prod", "other", "externalServiceName: api.example.com, port: 9443, protocol: HTTP, appLabel: app=other, tls: {credentialName: other}")
	outbound(t, h, "prod", "db", `externalServiceName: db.example.com, port: 3306, protocol: MYSQL, resolution: STATIC, endpoints: [192.0.2.1, 192.0.2.2]`)

	verified := &opened{SNI: "api.example.com", CA: "file-root:system", Names: []string{"api.example.com"}}
	withoutKey := &opened{SNI: "partner.example.com", CA: "file-root:system", Names: []string{"partner.example.com"}}
	want := map[string]*opened{
		"outbound|80||api.example.com":   verified,
		"outbound|8080||api.example.com": nil,
		"outbound|8443||api.example.com": {
			SNI: "partner.example.com", Certificate: "kubernetes://partner", CA: "kubernetes://partner-cacert", Names: []string{"partner.example.com"},
		},
		"outbound|9443||api.example.com": verified,
	}
	sidecar := func(app string) proxy.Node {
		return proxy.Node{Name: app + "-1", Namespace: "shop", Labels: map[string]string{"app": app}}
	}
	check := func(app string, want map[string]*opened) {
		wait.Until(t, "the sidecar of "+app+" to open the right TLS", func() error {
			c, err := proxy.Fetch(t.Context(), i.XDSAddr(), sidecar(app))
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, opens(c, "api.example.com")); diff != "" {
				return fmt.Errorf("TLS (-want +got):\n%s", diff)
			}
			if got := c.EndpointAddrs("outbound|80||api.example.com"); !slices.Equal(got, []string{"api.example.com:443"}) {
				return fmt.Errorf("port 80 leads to %q", got)
			}
			for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
				if c.Listeners[address+"_3306"] == nil {
					return fmt.Errorf("nothing listens for %s", address)
				}
			}
			return nil
		})
	}
	check("frontend", want)
	want["outbound|8443||api.example.com"] = withoutKey
	check("stranger", want)
	want["outbound|9443||api.example.com"] = &opened{SNI: "api.example.com", CA: "kubernetes://other-cacert", Names: []string{"api.example.com"}}
	check("other", want)
}

// TestEgressGateway reads out of a real istiod that calls to outside services
// lead to the egress gateway and on from there, and that two namespaces that
// call the same one share nothing on the way.
func TestEgressGateway(t *testing.T) {
	t.Parallel()
	h := example(t)
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(3)})
	h.Put(t, shopTwo, egressShop)
	h.Put(t, groups+"bank", `
metadata: {name: bank}
spec: {namespace: bank, placements: [{app: frontend, clusters: [{clusterProvider: edge, cluster: shop-2}]}]}`)
	h.Put(t, groups+"bank/traffic-group-intents/web", "{metadata: {name: web}, spec: {}}")
	outbound(t, h, "prod", "web", "externalServiceName: api.example.com, port: 80, protocol: HTTP, egressGateway: true, tls: {}")
	outbound(t, h, "prod", "tls", "externalServiceName: api.example.com, port: 443, protocol: TLS, egressGateway: true")
	outbound(t, h, "prod", "db", "externalServiceName: db.example.com, port: 5432, protocol: TCP, egressGateway: true")
	outbound(t, h, "bank", "web", "externalServiceName: api.example.com, port: 80, protocol: HTTP, egressGateway: true, tls: {mode: MUTUAL, credentialName: bank}")
	sameAsBundle(t, h, i, "edge/shop-2")

	prod := map[string]leg{}
	bank := map[string]leg{}
	wait.Until(t, "the sidecars to lead to the gateway alone", func() error {
		for namespace, legs := range map[string]map[string]leg{"shop": prod, "bank": bank} {
			c, err := proxy.Fetch(t.Context(), i.XDSAddr(), proxy.Node{Name: "frontend-1", Namespace: namespace, Labels: map[string]string{"app": "frontend"}})
			if err != nil {
				return err
			}
			if err := readLegs(c, legs, "api.example.com", "db.example.com"); err != nil {
				return fmt.Errorf("namespace %s: %w", namespace, err)
			}
		}
		if len(prod) != 3 || len(bank) != 1 {
			return fmt.Errorf("clusters of shop %v, of bank %v", prod, bank)
		}
		return nil
	})
	web, db, other := prod["outbound|80||api.example.com"], prod["outbound|5432||db.example.com"], bank["outbound|80||api.example.com"]
	passed := prod["outbound|443||api.example.com"]
	want := map[string]exit{
		web.SNI:    {To: "outbound|80||" + web.SNI, Host: "api.example.com", Address: "api.example.com:443", TLS: &opened{SNI: "api.example.com", CA: "file-root:system", Names: []string{"api.example.com"}}, Guarded: true},
		passed.SNI: {To: "outbound|443||" + passed.SNI, Address: "api.example.com:443", Guarded: true},
		db.SNI:     {To: "outbound|5432||" + db.SNI, Address: "db.example.com:5432", Guarded: true},
		other.SNI: {To: "outbound|80||" + other.SNI, Host: "api.example.com", Address: "api.example.com:443", TLS: &opened{
			SNI: "api.example.com", Certificate: "kubernetes://bank", CA: "kubernetes://bank-cacert", Names: []string{"api.example.com"},
		}, Guarded: true},
	}
	wait.Until(t, "the gateway to lead on", func() error {
		c, err := proxy.Fetch(t.Context(), i.XDSAddr(), proxy.Node{
			Type: "router", Name: "egress-1", Namespace: "istio-system", Labels: map[string]string{"istio": "egressgateway"},
		})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, exits(c)); diff != "" {
			return fmt.Errorf("ways out (-want +got):\n%s", diff)
		}
		return nil
	})
	if web.Host != web.SNI || other.Host != other.SNI || db.Host != "" {
		t.Errorf("sidecars call the gateway as %q, %q and %q", web.Host, other.Host, db.Host)
	}
}

// leg is how a sidecar leads an outside host's port to the gateway.
type leg struct {
	SNI  string
	Host string // that it calls HTTP services by
}

// readLegs fails unless each cluster of the hosts leads to the gateway by
// mutual TLS, and notes how.
func readLegs(c *proxy.Config, legs map[string]leg, hosts ...string) error {
	for _, host := range hosts {
		for name, tls := range opens(c, host) {
			if got := c.EndpointAddrs(name); !slices.Equal(got, []string{"istio-egressgateway.istio-system.svc.cluster.local:443"}) {
				return fmt.Errorf("%s leads to %q", name, got)
			}
			if tls == nil || tls.Certificate != "default" || tls.CA != "ROOTCA" {
				return fmt.Errorf("%s opens %+v, no mutual TLS", name, tls)
			}
			legs[name] = leg{SNI: tls.SNI, Host: rewritten(c, "80", host, name)}
		}
	}
	return nil
}

// rewritten is the Host with which a route configuration sends a host's calls
// to a cluster.
func rewritten(c *proxy.Config, route, host, cluster string) string {
	for _, vh := range c.Routes[route].GetVirtualHosts() {
		for _, r := range vh.GetRoutes() {
			if slices.Contains(vh.GetDomains(), host) && r.GetRoute().GetCluster() == cluster {
				return r.GetRoute().GetHostRewriteLiteral()
			}
		}
	}
	return ""
}

// exit is where a gateway leads a connection.
type exit struct {
	To      string // cluster
	Host    string // that an HTTP call gets
	Address string
	TLS     *opened
	Guarded bool // by an AuthorizationPolicy
}

// exits reads the ways out of a gateway by server name.
func exits(c *proxy.Config) map[string]exit {
	out := map[string]exit{}
	for _, l := range c.Listeners {
		for _, chain := range l.GetFilterChains() {
			for _, sni := range chain.GetFilterChainMatch().GetServerNames() {
				e := exitOf(c, chain, sni)
				e.Guarded = checksPolicies(chain)
				e.Address = strings.Join(c.EndpointAddrs(e.To), " ")
				e.TLS = opens(c, e.To[strings.LastIndex(e.To, "|")+1:])[e.To]
				out[sni] = e
			}
		}
	}
	return out
}

// checksPolicies reports whether an AuthorizationPolicy stands in a chain.
func checksPolicies(chain *listenerv3.FilterChain) bool {
	for _, filter := range chain.GetFilters() {
		var hcm hcmv3.HttpConnectionManager
		_ = filter.GetTypedConfig().UnmarshalTo(&hcm) // an empty one of others
		for _, f := range hcm.GetHttpFilters() {
			if f.GetName() == "envoy.filters.http.rbac" {
				return true
			}
		}
		if filter.GetName() == "envoy.filters.network.rbac" {
			return true
		}
	}
	return false
}

func exitOf(c *proxy.Config, chain *listenerv3.FilterChain, sni string) exit {
	for _, filter := range chain.GetFilters() {
		var hcm hcmv3.HttpConnectionManager
		var tcp tcpv3.TcpProxy
		switch {
		case filter.GetTypedConfig().UnmarshalTo(&tcp) == nil:
			return exit{To: tcp.GetCluster()}
		case filter.GetTypedConfig().UnmarshalTo(&hcm) == nil:
			for _, vh := range c.Routes[hcm.GetRds().GetRouteConfigName()].GetVirtualHosts() {
				for _, r := range vh.GetRoutes() {
					if slices.Contains(vh.GetDomains(), sni) {
						return exit{To: r.GetRoute().GetCluster(), Host: r.GetRoute().GetHostRewriteLiteral()}
					}
				}
			}
		}
	}
	return exit{}
}
