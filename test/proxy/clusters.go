package proxy

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// Balancing is how a cluster picks an endpoint, in Envoy's words.
type Balancing struct {
	Policy   string        // ROUND_ROBIN, RING_HASH, …
	RingSize uint64        // the least, with RING_HASH
	Warmup   time.Duration // of a new endpoint
}

// Limits are a cluster's circuit breakers. Those that nobody asked for are 0,
// though istiod then writes Envoy's largest number.
type Limits struct {
	Connections, Pending, Requests, PerConnection uint32
	ConnectTimeout                                time.Duration
}

// Outlier is when a cluster's endpoints are ejected.
type Outlier struct {
	Consecutive5xx, MaxEjectionPercent uint32
	Interval, BaseEjectionTime         time.Duration
}

// Socket is how a cluster's connections are opened to the endpoints that it is
// for.
type Socket struct {
	For  string // endpoints: "tls" those that take Istio's mutual TLS, "rest", or "all"
	Kind string // "plain", "TLS", "mutual TLS" with Istio's identities
	SNI  string
}

// Locality is the endpoints of one place.
type Locality struct {
	Place     string // region/zone/subzone
	Priority  uint32
	Weight    uint32
	Endpoints []string // host:port, and " x weight" where that is not 1
}

// Balancing says how a cluster balances; a cluster that is not there has the
// zero value, as with the accessors below.
func (c *Config) Balancing(cluster string) Balancing {
	found := c.Clusters[cluster]
	if found == nil {
		return Balancing{}
	}
	b := Balancing{Policy: found.GetLbPolicy().String(), RingSize: found.GetRingHashLbConfig().GetMinimumRingSize().GetValue()}
	b.Warmup = found.GetRoundRobinLbConfig().GetSlowStartConfig().GetSlowStartWindow().AsDuration() +
		found.GetLeastRequestLbConfig().GetSlowStartConfig().GetSlowStartWindow().AsDuration()
	return b
}

// Limits are a cluster's circuit breakers.
func (c *Config) Limits(cluster string) Limits {
	found := c.Clusters[cluster]
	stated := func(n uint32) uint32 {
		if n == 1<<32-1 {
			return 0
		}
		return n
	}
	l := Limits{ConnectTimeout: found.GetConnectTimeout().AsDuration()}
	for _, t := range found.GetCircuitBreakers().GetThresholds() {
		l.Connections = stated(t.GetMaxConnections().GetValue())
		l.Pending = stated(t.GetMaxPendingRequests().GetValue())
		l.Requests = stated(t.GetMaxRequests().GetValue())
	}
	for _, option := range found.GetTypedExtensionProtocolOptions() {
		var http httpv3.HttpProtocolOptions
		if option.UnmarshalTo(&http) == nil {
			l.PerConnection = http.GetCommonHttpProtocolOptions().GetMaxRequestsPerConnection().GetValue()
		}
	}
	return l
}

// Outlier is a cluster's outlier detection, or nil for none.
func (c *Config) Outlier(cluster string) *Outlier {
	found := c.Clusters[cluster].GetOutlierDetection()
	if found == nil {
		return nil
	}
	return &Outlier{
		Consecutive5xx: found.GetConsecutive_5Xx().GetValue(), MaxEjectionPercent: found.GetMaxEjectionPercent().GetValue(),
		Interval: found.GetInterval().AsDuration(), BaseEjectionTime: found.GetBaseEjectionTime().AsDuration(),
	}
}

// Sockets are the ways in which a cluster opens connections.
func (c *Config) Sockets(cluster string) []Socket {
	found := c.Clusters[cluster]
	if found == nil {
		return nil
	}
	if len(found.GetTransportSocketMatches()) == 0 {
		return []Socket{newSocket("all", found.GetTransportSocket())}
	}
	var out []Socket
	for _, m := range found.GetTransportSocketMatches() {
		whom := "rest"
		if m.GetMatch().GetFields()["tlsMode"].GetStringValue() == "istio" {
			whom = "tls"
		}
		out = append(out, newSocket(whom, m.GetTransportSocket()))
	}
	return out
}

func newSocket(whom string, socket *corev3.TransportSocket) Socket {
	var tls tlsv3.UpstreamTlsContext
	if socket.GetTypedConfig().UnmarshalTo(&tls) != nil {
		return Socket{For: whom, Kind: "plain"}
	}
	s := Socket{For: whom, Kind: "TLS", SNI: tls.GetSni()}
	for _, secret := range tls.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs() {
		if secret.GetName() == "default" { // the workload's own certificate
			s.Kind = "mutual TLS"
		}
	}
	return s
}

// Localities are a cluster's endpoints, be they its own or from EDS, by
// priority and place.
func (c *Config) Localities(cluster string) []Locality {
	assignment := c.Endpoints[cluster]
	if assignment == nil {
		assignment = c.Clusters[cluster].GetLoadAssignment()
	}
	var out []Locality
	for _, group := range assignment.GetEndpoints() {
		at := group.GetLocality()
		l := Locality{
			Place:    strings.Trim(at.GetRegion()+"/"+at.GetZone()+"/"+at.GetSubZone(), "/"),
			Priority: group.GetPriority(), Weight: group.GetLoadBalancingWeight().GetValue(),
		}
		for _, e := range group.GetLbEndpoints() {
			l.Endpoints = append(l.Endpoints, weighted(e))
		}
		slices.Sort(l.Endpoints)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Locality) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Place, b.Place))
	})
	return out
}

func weighted(e *endpointv3.LbEndpoint) string {
	sa := e.GetEndpoint().GetAddress().GetSocketAddress()
	addr := net.JoinHostPort(sa.GetAddress(), strconv.Itoa(int(sa.GetPortValue())))
	if w := e.GetLoadBalancingWeight().GetValue(); w > 1 {
		return fmt.Sprintf("%s x %d", addr, w)
	}
	return addr
}

// Discovery says how a cluster learns its endpoints: EDS, STRICT_DNS, …
func (c *Config) Discovery(cluster string) string {
	if found := c.Clusters[cluster]; found != nil && found.GetClusterDiscoveryType() != nil {
		if _, custom := found.GetClusterDiscoveryType().(*clusterv3.Cluster_ClusterType); custom {
			return found.GetClusterType().GetName()
		}
		return found.GetType().String()
	}
	return ""
}
