package proxy

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Config is what an istiod told a proxy, by name.
type Config struct {
	Clusters  map[string]*clusterv3.Cluster
	Endpoints map[string]*endpointv3.ClusterLoadAssignment // of EDS clusters
	Listeners map[string]*listenerv3.Listener
	Routes    map[string]*routev3.RouteConfiguration
}

// NewConfig is that of a proxy which was told nothing.
func NewConfig() *Config {
	return &Config{
		Clusters:  map[string]*clusterv3.Cluster{},
		Endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		Listeners: map[string]*listenerv3.Listener{},
		Routes:    map[string]*routev3.RouteConfiguration{},
	}
}

// Cluster is the name that istiod gives an outbound cluster; subset may be
// empty.
func Cluster(port int, subset, host string) string {
	return "outbound|" + strconv.Itoa(port) + "|" + subset + "|" + host
}

// OutboundClusters are the sorted names of the outbound clusters for host,
// subsets among them.
func (c *Config) OutboundClusters(host string) []string {
	var names []string
	for name := range c.Clusters {
		if strings.HasPrefix(name, "outbound|") && strings.HasSuffix(name, "|"+host) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// OutboundSNIs are the sorted server names with which the outbound clusters
// for host open TLS, whichever transport socket is chosen in the end.
func (c *Config) OutboundSNIs(host string) []string {
	snis := map[string]bool{}
	for _, name := range c.OutboundClusters(host) {
		cluster := c.Clusters[name]
		sockets := []*corev3.TransportSocket{cluster.GetTransportSocket()}
		for _, match := range cluster.GetTransportSocketMatches() {
			sockets = append(sockets, match.GetTransportSocket())
		}
		for _, socket := range sockets {
			var tls tlsv3.UpstreamTlsContext
			// Another kind of socket (raw buffer, internal upstream) has no SNI.
			if socket.GetTypedConfig().UnmarshalTo(&tls) == nil && tls.GetSni() != "" {
				snis[tls.GetSni()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(snis))
}

// EndpointAddrs are the sorted host:port of a cluster's endpoints, be they its
// own or from EDS.
func (c *Config) EndpointAddrs(cluster string) []string {
	assignment := c.Endpoints[cluster]
	if assignment == nil {
		assignment = c.Clusters[cluster].GetLoadAssignment()
	}
	var addrs []string
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			sa := e.GetEndpoint().GetAddress().GetSocketAddress()
			addrs = append(addrs, net.JoinHostPort(sa.GetAddress(), strconv.Itoa(int(sa.GetPortValue()))))
		}
	}
	slices.Sort(addrs)
	return addrs
}

// FilterChainServerNames are the sorted server names that the listeners on
// port tell connections apart by: on a gateway, what it lets through.
func (c *Config) FilterChainServerNames(port int) []string {
	names := map[string]bool{}
	for _, l := range c.Listeners {
		if int(l.GetAddress().GetSocketAddress().GetPortValue()) != port {
			continue
		}
		for _, chain := range l.GetFilterChains() {
			for _, name := range chain.GetFilterChainMatch().GetServerNames() {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// edsNames are the names under which EDS clusters ask for their endpoints.
func (c *Config) edsNames() []string {
	var names []string
	for _, cluster := range c.Clusters {
		if cluster.GetType() != clusterv3.Cluster_EDS {
			continue
		}
		name := cluster.GetEdsClusterConfig().GetServiceName()
		if name == "" {
			name = cluster.GetName()
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// rdsNames are the route configurations that listeners refer to.
func (c *Config) rdsNames() []string {
	names := map[string]bool{}
	for _, l := range c.Listeners {
		chains := append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain())
		for _, chain := range chains {
			for _, filter := range chain.GetFilters() {
				var hcm hcmv3.HttpConnectionManager
				if filter.GetTypedConfig().UnmarshalTo(&hcm) == nil && hcm.GetRds() != nil {
					names[hcm.GetRds().GetRouteConfigName()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
