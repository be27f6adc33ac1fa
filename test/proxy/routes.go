package proxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// VirtualHost is what becomes of HTTP calls to some names.
type VirtualHost struct {
	Domains []string
	Routes  []string // the cluster of each, or what else it does, and its hash
}

// VirtualHost finds, in a route configuration, the virtual host that a domain
// stands in, or nil.
func (c *Config) VirtualHost(route, domain string) *VirtualHost {
	for _, host := range c.Routes[route].GetVirtualHosts() {
		if !slices.Contains(host.GetDomains(), domain) {
			continue
		}
		out := &VirtualHost{Domains: slices.Sorted(slices.Values(host.GetDomains()))}
		for _, r := range host.GetRoutes() {
			out.Routes = append(out.Routes, routed(r))
		}
		return out
	}
	return nil
}

func routed(r *routev3.Route) string {
	action := r.GetRoute()
	if action == nil {
		return fmt.Sprintf("%T", r.GetAction())
	}
	text := action.GetCluster()
	for _, c := range action.GetWeightedClusters().GetClusters() {
		text += fmt.Sprintf("%s x %d ", c.GetName(), c.GetWeight().GetValue())
	}
	for _, p := range action.GetHashPolicy() {
		text += " by " + hashed(p)
	}
	return strings.TrimSpace(text)
}

func hashed(p *routev3.RouteAction_HashPolicy) string {
	switch {
	case p.GetHeader() != nil:
		return "header " + p.GetHeader().GetHeaderName()
	case p.GetCookie() != nil:
		return fmt.Sprintf("cookie %s path=%s ttl=%s", p.GetCookie().GetName(), p.GetCookie().GetPath(), p.GetCookie().GetTtl().AsDuration())
	case p.GetQueryParameter() != nil:
		return "parameter " + p.GetQueryParameter().GetName()
	case p.GetConnectionProperties().GetSourceIp():
		return "source"
	}
	return "nothing known"
}

// TCPClusters are the sorted clusters that a listener leads connections to
// without reading them, each with the server names that choose it.
func (c *Config) TCPClusters(listener string) []string {
	out := map[string]bool{}
	for _, chain := range c.Listeners[listener].GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			var tcp tcpv3.TcpProxy
			if filter.GetTypedConfig().UnmarshalTo(&tcp) == nil {
				out[strings.TrimSpace(connected(&tcp)+" "+matched(chain))] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// connected are the clusters that connections are led to, with their weights
// where there are several.
func connected(tcp *tcpv3.TcpProxy) string {
	text := []string{}
	for _, c := range tcp.GetWeightedClusters().GetClusters() {
		text = append(text, fmt.Sprintf("%s x %d", c.GetName(), c.GetWeight()))
	}
	return tcp.GetCluster() + strings.Join(text, " ")
}

func matched(chain *listenerv3.FilterChain) string {
	return strings.Join(chain.GetFilterChainMatch().GetServerNames(), " ")
}
