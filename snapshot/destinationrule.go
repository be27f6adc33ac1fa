package snapshot

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// defaultConsecutive5xx is how many failures in a row eject an instance.
const defaultConsecutive5xx = 5

// destinationRules say how callers connect: one for the service's Kubernetes
// name where it runs, one for H in every namespace that knows H.
//
// The one beside the gateway is what a gateway makes its filter chains from:
// the subsets that clients may ask for must stand in it, or their chains
// vanish. See subset.go for what each one's subsets pick.
func destinationRules(p *plan, out *output) {
	if p.serves {
		spec := &networking.DestinationRule{Host: p.serviceHost(), TrafficPolicy: p.trafficPolicy(serviceTLS(p.spec.TLSMode()))}
		if lb := p.loadBalancing(); lb != nil {
			spec.TrafficPolicy.LoadBalancer = loadBalancer(lb)
		}
		p.passTLS(spec.TrafficPolicy)
		spec.Subsets = p.serviceSubsets()
		out.resources = append(out.resources, p.resource(DestinationRule, p.namespace, p.inbound.Path, roleService, spec, p.pickers(spec)...))
	}
	for _, e := range p.entries() {
		spec := &networking.DestinationRule{Host: p.host, TrafficPolicy: p.entryPolicy(&e, out), ExportTo: []string{"."}}
		if spec.Subsets = p.callerSubsets(&e); e.gateway {
			spec.Subsets = p.gatewaySubsets()
		}
		out.resources = append(out.resources, p.resource(DestinationRule, e.seen, p.inbound.Path, e.role(), spec, append(p.pickers(spec), e.clients...)...))
		if p.oldName() != "" {
			out.resources = append(out.resources, p.resource(DestinationRule, e.seen, p.inbound.Path, roleOldName, p.oldNameRule(), e.clients...))
		}
	}
}

// oldNameRule gives the old name H's SNI. Its calls are led to H before they
// leave (see [virtualServices]); this holds for whatever else istiod makes of
// the name, so that no SNI is ever sent that gateways would not accept.
func (p *plan) oldNameRule() *networking.DestinationRule {
	spec := &networking.DestinationRule{Host: p.oldName(), TrafficPolicy: &networking.TrafficPolicy{}, ExportTo: []string{"."}}
	for _, port := range p.ports {
		spec.TrafficPolicy.PortLevelSettings = append(spec.TrafficPolicy.PortLevelSettings, &networking.TrafficPolicy_PortTrafficPolicy{
			Port: &networking.PortSelector{Number: uint32(port.Port)},
			Tls: &networking.ClientTLSSettings{
				Mode: networking.ClientTLSSettings_ISTIO_MUTUAL,
				Sni:  fmt.Sprintf("outbound_.%d_._.%s", port.Port, p.host),
			},
		})
	}
	return spec
}

// serviceTLS is how callers of the same cluster connect to the service.
func serviceTLS(mode string) networking.ClientTLSSettings_TLSmode {
	switch mode {
	case intent.TLSSimple:
		return networking.ClientTLSSettings_SIMPLE
	case intent.TLSNone:
		return networking.ClientTLSSettings_DISABLE
	}
	return networking.ClientTLSSettings_ISTIO_MUTUAL
}

// entryPolicy is the traffic policy for H in a namespace. Between clusters it
// is always mutual TLS, with the SNI that Istio forms of H: east-west gateways
// pass nothing else on.
func (p *plan) entryPolicy(e *hostEntry, out *output) *networking.TrafficPolicy {
	mode := serviceTLS(p.spec.TLSMode())
	if e.crosses() {
		if mode == networking.ClientTLSSettings_SIMPLE && !p.speaksTLS() {
			out.problem(p.inbound.Path, "management.tlsType SIMPLE holds inside a cluster only: between clusters calls use mutual TLS, which the server's proxy ends")
		}
		mode = networking.ClientTLSSettings_ISTIO_MUTUAL
	}
	if e.gateway {
		// Limits and ejections are the callers', each for itself.
		return &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{Mode: mode}}
	}
	policy := p.trafficPolicy(mode)
	lb := p.loadBalancing()
	if lb != nil && lb.Type == "PASSTHROUGH" {
		out.problem(p.inbound.Path, "trafficPolicy.loadBalancing PASSTHROUGH can't apply to %s, whose address is virtual: the default is used", p.host)
		lb = nil
	}
	if lb != nil && lb.Type == "RANDOM" && p.locality().Mode == "weighted" && slices.Max(endpointWeights(e.sites)) > 0 {
		out.problem(p.inbound.Path, "trafficPolicy.loadBalancing RANDOM knows no weights, so calls don't follow trafficPolicy.locality.weights: use ROUND_ROBIN or LEAST_REQUEST")
	}
	if lb != nil {
		policy.LoadBalancer = loadBalancer(lb)
	}
	if len(e.sites) > 1 {
		p.spread(policy)
	}
	p.passTLS(policy)
	return policy
}

// speaksTLS reports whether callers speak TLS themselves on every port.
func (p *plan) speaksTLS() bool {
	return !slices.ContainsFunc(p.ports, func(port intent.ServicePort) bool { return !isTLS(port) })
}

// passTLS keeps proxies from opening TLS where callers speak it themselves: it
// would wrap theirs in another. What is set for a port stands alone, so the
// rest of the policy is said of it again.
func (p *plan) passTLS(policy *networking.TrafficPolicy) {
	none := &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_DISABLE}
	switch {
	case policy.Tls.Mode != networking.ClientTLSSettings_SIMPLE:
		return
	case p.speaksTLS():
		policy.Tls = none
		return
	}
	for _, port := range p.ports {
		if isTLS(port) {
			policy.PortLevelSettings = append(policy.PortLevelSettings, &networking.TrafficPolicy_PortTrafficPolicy{
				Port: &networking.PortSelector{Number: uint32(port.Port)}, Tls: none,
				LoadBalancer: policy.LoadBalancer, ConnectionPool: policy.ConnectionPool, OutlierDetection: policy.OutlierDetection,
			})
		}
	}
}

// spread sets how calls are spread over several clusters. Failing over needs
// outlier detection, and leave to eject every gateway of a cluster: Envoy's
// own limit of a tenth would keep the only one for ever.
func (p *plan) spread(policy *networking.TrafficPolicy) {
	l := p.locality()
	if policy.OutlierDetection == nil {
		policy.OutlierDetection = &networking.OutlierDetection{Consecutive_5XxErrors: wrapperspb.UInt32(defaultConsecutive5xx)}
	}
	if policy.OutlierDetection.MaxEjectionPercent == 0 {
		policy.OutlierDetection.MaxEjectionPercent = 100
	}
	setting := &networking.LocalityLoadBalancerSetting{Enabled: wrapperspb.Bool(l.Mode == "local-first")}
	if l.Mode == "local-first" {
		for _, f := range l.Failover {
			setting.Failover = append(setting.Failover, &networking.LocalityLoadBalancerSetting_Failover{From: f.From, To: f.To})
		}
	}
	if policy.LoadBalancer == nil {
		policy.LoadBalancer = &networking.LoadBalancerSettings{}
	}
	policy.LoadBalancer.LocalityLbSetting = setting
}

func (p *plan) loadBalancing() *intent.LoadBalancing {
	if t := p.spec.TrafficPolicy; t != nil {
		return t.LoadBalancing
	}
	return nil
}

// trafficPolicy is the TLS mode and the circuit breaking that the intent asks
// for.
func (p *plan) trafficPolicy(mode networking.ClientTLSSettings_TLSmode) *networking.TrafficPolicy {
	policy := &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{Mode: mode}}
	if t := p.spec.TrafficPolicy; t != nil && t.CircuitBreaking != nil {
		policy.ConnectionPool = connectionPool(t.CircuitBreaking, p.spec.IsHTTP())
		policy.OutlierDetection = outlierDetection(t.CircuitBreaking)
	}
	return policy
}

func loadBalancer(lb *intent.LoadBalancing) *networking.LoadBalancerSettings {
	out := &networking.LoadBalancerSettings{}
	if lb.Type != "" {
		out.LbPolicy = &networking.LoadBalancerSettings_Simple{
			Simple: networking.LoadBalancerSettings_SimpleLB(networking.LoadBalancerSettings_SimpleLB_value[lb.Type]),
		}
	}
	if lb.ConsistentHash != nil {
		out.LbPolicy = &networking.LoadBalancerSettings_ConsistentHash{ConsistentHash: consistentHash(lb.ConsistentHash)}
	}
	if lb.WarmupSeconds > 0 {
		// The field that every release in use reads; its successor is unknown
		// to those before 1.25.
		//lint:ignore SA1019 for the older releases
		out.WarmupDurationSecs = durationpb.New(time.Duration(lb.WarmupSeconds) * time.Second)
	}
	return out
}

func consistentHash(h *intent.ConsistentHash) *networking.LoadBalancerSettings_ConsistentHashLB {
	out := &networking.LoadBalancerSettings_ConsistentHashLB{}
	switch {
	case h.HTTPHeader != "":
		out.HashKey = &networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName{HttpHeaderName: h.HTTPHeader}
	case h.HTTPCookie != nil:
		out.HashKey = &networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie{HttpCookie: &networking.LoadBalancerSettings_ConsistentHashLB_HTTPCookie{
			Name: h.HTTPCookie.Name, Path: h.HTTPCookie.Path, Ttl: cookieTTL(h.HTTPCookie.TTL),
		}}
	case h.HTTPQueryParameter != "":
		out.HashKey = &networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName{HttpQueryParameterName: h.HTTPQueryParameter}
	case h.UseSourceIP:
		out.HashKey = &networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp{UseSourceIp: true}
	}
	if h.MinimumRingSize > 0 {
		out.HashAlgorithm = &networking.LoadBalancerSettings_ConsistentHashLB_RingHash_{
			RingHash: &networking.LoadBalancerSettings_ConsistentHashLB_RingHash{MinimumRingSize: h.MinimumRingSize},
		}
	}
	return out
}

// cookieTTL is a cookie's life; Envoy makes a session cookie of 0, and makes
// none when it is not set.
func cookieTTL(ttl string) *durationpb.Duration {
	if ttl == "" {
		return durationpb.New(0)
	}
	return duration(ttl)
}

func connectionPool(c *intent.CircuitBreaking, http bool) *networking.ConnectionPoolSettings {
	out := &networking.ConnectionPoolSettings{}
	if c.MaxConnections > 0 || c.ConnectTimeout != "" {
		out.Tcp = &networking.ConnectionPoolSettings_TCPSettings{
			MaxConnections: int32(c.MaxConnections), ConnectTimeout: duration(c.ConnectTimeout),
		}
	}
	if http && (c.HTTP1MaxPendingRequests > 0 || c.HTTP2MaxRequests > 0 || c.MaxRequestsPerConnection > 0) {
		out.Http = &networking.ConnectionPoolSettings_HTTPSettings{
			Http1MaxPendingRequests:  int32(c.HTTP1MaxPendingRequests),
			Http2MaxRequests:         int32(c.HTTP2MaxRequests),
			MaxRequestsPerConnection: int32(c.MaxRequestsPerConnection),
		}
	}
	if out.Tcp == nil && out.Http == nil {
		return nil // Istio refuses an empty one
	}
	return out
}

func outlierDetection(c *intent.CircuitBreaking) *networking.OutlierDetection {
	errors := uint32(defaultConsecutive5xx)
	if c.Consecutive5xxErrors != nil {
		errors = uint32(*c.Consecutive5xxErrors)
	}
	return &networking.OutlierDetection{
		Consecutive_5XxErrors: wrapperspb.UInt32(errors),
		Interval:              duration(c.Interval),
		BaseEjectionTime:      duration(c.BaseEjectionTime),
		MaxEjectionPercent:    int32(c.MaxEjectionPercent),
	}
}

// duration reads a duration that the intent's own validation let pass; "" is
// none.
func duration(s string) *durationpb.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil
	}
	return durationpb.New(d)
}
