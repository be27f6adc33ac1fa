package intent

import "strings"

// TrafficPolicy is how clients spread their calls over a service's instances.
type TrafficPolicy struct {
	LoadBalancing   *LoadBalancing   `json:"loadBalancing,omitempty"`
	CircuitBreaking *CircuitBreaking `json:"circuitBreaking,omitempty"`
	Locality        *Locality        `json:"locality,omitempty"`
}

// LoadBalancing is a simple type or a consistent hash.
type LoadBalancing struct {
	Type           string          `json:"type,omitempty"` // ROUND_ROBIN, LEAST_REQUEST, RANDOM, PASSTHROUGH
	ConsistentHash *ConsistentHash `json:"consistentHash,omitempty"`
	WarmupSeconds  int             `json:"warmupSeconds,omitempty"`
}

// ConsistentHash says what part of a request picks its instance.
type ConsistentHash struct {
	HTTPHeader         string      `json:"httpHeader,omitempty"`
	HTTPCookie         *HTTPCookie `json:"httpCookie,omitempty"`
	HTTPQueryParameter string      `json:"httpQueryParameter,omitempty"`
	UseSourceIP        bool        `json:"useSourceIp,omitempty"`
	MinimumRingSize    uint64      `json:"minimumRingSize,omitempty"`
}

// HTTPCookie is the cookie that a consistent hash reads, made when absent.
type HTTPCookie struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	TTL  string `json:"ttl,omitempty"` // duration; absent: a session cookie
}

// CircuitBreaking limits a client's connections and ejects failing instances.
type CircuitBreaking struct {
	MaxConnections           int    `json:"maxConnections,omitempty"`
	ConnectTimeout           string `json:"connectTimeout,omitempty"`
	HTTP1MaxPendingRequests  int    `json:"http1MaxPendingRequests,omitempty"`
	HTTP2MaxRequests         int    `json:"http2MaxRequests,omitempty"`
	MaxRequestsPerConnection int    `json:"maxRequestsPerConnection,omitempty"`
	Consecutive5xxErrors     *int   `json:"consecutive5xxErrors,omitempty"` // default 5
	Interval                 string `json:"interval,omitempty"`
	BaseEjectionTime         string `json:"baseEjectionTime,omitempty"`
	MaxEjectionPercent       int    `json:"maxEjectionPercent,omitempty"`
}

// Locality spreads calls over the clusters that serve.
type Locality struct {
	Mode     string         `json:"mode,omitempty"` // local-first, weighted, none
	Failover []Failover     `json:"failover,omitempty"`
	Weights  map[string]int `json:"weights,omitempty"` // by "provider/cluster"
}

// Failover names the region that takes over from another.
type Failover struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// WikiIstio is the spelling of an inbound's Istio settings in the DTC's wiki.
type WikiIstio struct {
	LoadBalancing   *LoadBalancing   `json:"loadbalancing,omitempty"`
	CircuitBreaking *CircuitBreaking `json:"circuitBreaking,omitempty"`
	MutualTLS       string           `json:"mutualTLS,omitempty"`
	SidecarProxy    string           `json:"sidecar-proxy,omitempty"`
}

// fold moves the older spelling to the stored one where that is not set, and
// drops it.
func (w *WikiIstio) fold(s *InboundSpec) {
	if w == nil {
		return
	}
	s.Istio = nil
	if w.LoadBalancing != nil || w.CircuitBreaking != nil {
		if s.TrafficPolicy == nil {
			s.TrafficPolicy = &TrafficPolicy{}
		}
		if s.TrafficPolicy.LoadBalancing == nil {
			s.TrafficPolicy.LoadBalancing = w.LoadBalancing
		}
		if s.TrafficPolicy.CircuitBreaking == nil {
			s.TrafficPolicy.CircuitBreaking = w.CircuitBreaking
		}
	}
	if w.MutualTLS == "" && w.SidecarProxy == "" {
		return
	}
	if s.Management == nil {
		s.Management = &Management{}
	}
	if s.Management.TLSType == "" {
		s.Management.TLSType = w.MutualTLS
	}
	if s.Management.SidecarProxy == "" {
		s.Management.SidecarProxy = w.SidecarProxy
	}
}

func (t *TrafficPolicy) normalize() {
	if t == nil || t.LoadBalancing == nil {
		return
	}
	lb := t.LoadBalancing
	lb.Type = strings.ToUpper(lb.Type)
	if lb.Type == "LEAST_CONN" {
		lb.Type = "LEAST_REQUEST"
	}
}

func (t *TrafficPolicy) validate(v *violations) {
	if t == nil {
		return
	}
	if t.LoadBalancing != nil {
		t.LoadBalancing.validate(v.in("loadBalancing"))
	}
	if t.CircuitBreaking != nil {
		t.CircuitBreaking.validate(v.in("circuitBreaking"))
	}
	if t.Locality != nil {
		t.Locality.validate(v.in("locality"))
	}
}

func (l *LoadBalancing) validate(v *violations) {
	v.in("type").oneOf(l.Type, "", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PASSTHROUGH")
	if l.Type != "" && l.ConsistentHash != nil {
		v.add("give either type or consistentHash, not both")
	}
	v.in("warmupSeconds").check(checkRange(l.WarmupSeconds, 0, 86400))
	if l.WarmupSeconds > 0 && l.Type != "ROUND_ROBIN" && l.Type != "LEAST_REQUEST" {
		v.in("warmupSeconds").add("needs type ROUND_ROBIN or LEAST_REQUEST")
	}
	h := l.ConsistentHash
	if h == nil {
		return
	}
	at, set := v.in("consistentHash"), 0
	for _, is := range []bool{h.HTTPHeader != "", h.HTTPCookie != nil, h.HTTPQueryParameter != "", h.UseSourceIP} {
		if is {
			set++
		}
	}
	if set != 1 {
		at.add("give exactly one of httpHeader, httpCookie, httpQueryParameter, useSourceIp")
	}
	if h.HTTPHeader != "" {
		at.in("httpHeader").check(checkToken(h.HTTPHeader))
	}
	at.in("httpQueryParameter").check(checkText(h.HTTPQueryParameter))
	if c := h.HTTPCookie; c != nil {
		at.in("httpCookie").in("name").check(checkToken(c.Name))
		at.in("httpCookie").in("ttl").check(checkDuration(c.TTL))
		if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
			at.in("httpCookie").in("path").add("must start with /")
		}
	}
	if h.MinimumRingSize > 1<<23 {
		at.in("minimumRingSize").add("must be at most %d", 1<<23)
	}
}

func (c *CircuitBreaking) validate(v *violations) {
	for _, n := range []struct {
		field string
		value int
		most  int
	}{
		{"maxConnections", c.MaxConnections, 1<<31 - 1},
		{"http1MaxPendingRequests", c.HTTP1MaxPendingRequests, 1<<31 - 1},
		{"http2MaxRequests", c.HTTP2MaxRequests, 1<<31 - 1},
		{"maxRequestsPerConnection", c.MaxRequestsPerConnection, 1 << 29},
		{"maxEjectionPercent", c.MaxEjectionPercent, 100},
	} {
		v.in(n.field).check(checkRange(n.value, 0, n.most))
	}
	if c.Consecutive5xxErrors != nil {
		v.in("consecutive5xxErrors").check(checkRange(*c.Consecutive5xxErrors, 0, 1<<31-1))
	}
	for _, d := range []struct{ field, value string }{
		{"connectTimeout", c.ConnectTimeout}, {"interval", c.Interval}, {"baseEjectionTime", c.BaseEjectionTime},
	} {
		v.in(d.field).check(checkDuration(d.value))
	}
}

func (l *Locality) validate(v *violations) {
	v.in("mode").oneOf(l.Mode, "", "local-first", "weighted", "none")
	for i, f := range l.Failover {
		at := v.in("failover").at(i)
		for _, s := range []struct{ field, value string }{{"from", f.From}, {"to", f.To}} {
			if s.value == "" {
				at.in(s.field).add("must name a region")
			}
			at.in(s.field).check(checkLabelValue(s.value))
		}
		if f.From != "" && f.From == f.To {
			at.add("a region can't take over from itself")
		}
	}
	if len(l.Weights) > 0 && l.Mode != "weighted" {
		v.in("weights").add("need mode weighted")
	}
	if len(l.Weights) == 0 && l.Mode == "weighted" {
		v.in("weights").add("must name the clusters when mode is weighted")
	}
	sum := 0
	for _, name := range sortedKeys(l.Weights) {
		at := v.in("weights").in(name)
		provider, cluster, ok := strings.Cut(name, "/")
		if !ok || CheckName(provider) != "" || CheckName(cluster) != "" {
			at.add("must be keyed provider/cluster")
		}
		at.check(checkRange(l.Weights[name], 0, 100))
		sum += l.Weights[name]
	}
	if len(l.Weights) > 0 && sum != 100 {
		v.in("weights").add("must sum to 100, sum to %d", sum)
	}
}
