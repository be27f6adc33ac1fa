package proxy

import (
	"cmp"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Entrance is one filter chain of a gateway: what it takes, and where that
// goes.
type Entrance struct {
	Port        int
	ServerNames string   // by which TLS connections are told apart, joined by commas
	Secret      string   // that the gateway shows clients; none: it ends no TLS
	Authority   string   // by whose secret clients' certificates are judged
	Leads       []string // "host cluster" for HTTP, else the cluster, in order
}

// Entrances are a gateway's filter chains, by port and server name.
func (c *Config) Entrances() []Entrance {
	var out []Entrance
	for _, l := range c.Listeners {
		chains := slices.Clone(l.GetFilterChains())
		if l.GetDefaultFilterChain() != nil {
			chains = append(chains, l.GetDefaultFilterChain())
		}
		for _, chain := range chains {
			e := Entrance{
				Port:        int(l.GetAddress().GetSocketAddress().GetPortValue()),
				ServerNames: strings.Join(chain.GetFilterChainMatch().GetServerNames(), ","),
				Leads:       c.leads(chain),
			}
			e.Secret, e.Authority = secretsOf(chain)
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entrance) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.ServerNames, b.ServerNames))
	})
	return out
}

// secretsOf are the names of the secrets that a chain ends TLS with.
func secretsOf(chain *listenerv3.FilterChain) (own, authority string) {
	var tls tlsv3.DownstreamTlsContext
	if chain.GetTransportSocket().GetTypedConfig().UnmarshalTo(&tls) != nil {
		return "", ""
	}
	for _, s := range tls.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs() {
		own = s.GetName()
	}
	if tls.GetRequireClientCertificate().GetValue() {
		authority = tls.GetCommonTlsContext().GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName()
	}
	return own, authority
}

// leads are the clusters that a chain sends to.
func (c *Config) leads(chain *listenerv3.FilterChain) []string {
	var out []string
	for _, filter := range chain.GetFilters() {
		var tcp tcpv3.TcpProxy
		if filter.GetTypedConfig().UnmarshalTo(&tcp) == nil {
			out = append(out, connected(&tcp))
		}
		var hcm hcmv3.HttpConnectionManager
		if filter.GetTypedConfig().UnmarshalTo(&hcm) != nil {
			continue
		}
		for _, host := range c.Routes[hcm.GetRds().GetRouteConfigName()].GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				out = append(out, host.GetDomains()[0]+" "+routed(route))
			}
		}
	}
	slices.Sort(out)
	return out
}
