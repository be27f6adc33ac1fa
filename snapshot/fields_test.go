package snapshot

import (
	"fmt"

	"github.com/meshwright/meshwright/intent"
)

// The tables of what intents may say. Each line sets one thing, with whatever
// else it needs to be legal.

var clusterFields = []field[*intent.ClusterSpec]{
	{"network", 70, func(d *draw, s *intent.ClusterSpec) { s.Network = d.one("network", "n1", "n2") }},
	{"region", 80, func(d *draw, s *intent.ClusterSpec) { s.Region = d.one("region", "eu", "us") }},
	{"zone", 60, func(d *draw, s *intent.ClusterSpec) {
		s.Region, s.Zone = d.one("zone's", "eu", "us"), d.one("zone", "z1", "z2")
	}},
	{"trustDomain", 30, func(_ *draw, s *intent.ClusterSpec) { s.TrustDomain = "td.example.com" }},
	{"clusterDomain", 30, func(_ *draw, s *intent.ClusterSpec) { s.ClusterDomain = "k8s.local" }},
	{"revision", 30, func(_ *draw, s *intent.ClusterSpec) {
		s.Istio = &intent.IstioInstall{Version: "1.29.6", Revision: "canary"}
	}},
	{"rootNamespace", 20, func(_ *draw, s *intent.ClusterSpec) { s.Istio = &intent.IstioInstall{RootNamespace: "ns1"} }},
	{"eastwest", 90, func(d *draw, s *intent.ClusterSpec) { d.addGateway(s, intent.EastWest, 15443+d.number) }},
	{"ingress", 60, func(d *draw, s *intent.ClusterSpec) { d.addGateway(s, intent.Ingress, 443) }},
	{"second ingress", 20, func(d *draw, s *intent.ClusterSpec) { d.addGateway(s, intent.Ingress, 443) }},
	{"egress", 50, func(d *draw, s *intent.ClusterSpec) { d.addGateway(s, intent.Egress, 443) }},
	{"authorities", 50, func(d *draw, s *intent.ClusterSpec) { s.Authorities = []string{fmt.Sprintf("c%d.example", d.number)} }},
	{"dns", 50, func(_ *draw, s *intent.ClusterSpec) {
		s.DNS = &intent.DNSZone{Provider: "external-dns", Zone: "example.com"}
	}},
	{"one family", 30, func(d *draw, s *intent.ClusterSpec) {
		s.IPFamilies = []intent.IPFamily{intent.IPFamily(d.one("family", "IPv4", "IPv6"))}
	}},
	{"two families", 30, func(_ *draw, s *intent.ClusterSpec) { s.IPFamilies = []intent.IPFamily{intent.IPv6, intent.IPv4} }},
	{"delivery", 30, func(d *draw, s *intent.ClusterSpec) { s.Delivery = intent.Delivery(d.one("delivery", "xds", "bundle")) }},
}

// addGateway gives a cluster one more gateway, whose addresses are its own.
func (d *draw) addGateway(s *intent.ClusterSpec, role intent.GatewayRole, tls int) {
	n := len(s.Gateways)
	g := intent.Gateway{
		Name: fmt.Sprint(role, "-", n), Role: role, Namespace: d.one("gateway namespace", "", "ns0", "gateways"),
		Ports: &intent.GatewayPorts{TLS: tls, HTTP: 80, HTTPS: tls},
	}
	if d.bool("selector") {
		g.Selector = map[string]string{"app": g.Name}
	}
	switch d.one("address", "v4", "v6", "both", "host", "none") {
	case "v4":
		g.Addresses = []string{fmt.Sprintf("198.51.%d.%d", d.number, 10*n+1)}
	case "v6":
		g.Addresses = []string{fmt.Sprintf("2001:db8:%x::%x", d.number, n+1)}
	case "both":
		g.Addresses = []string{fmt.Sprintf("2001:db8:%x::%x", d.number, n+1), fmt.Sprintf("198.51.%d.%d", d.number, 10*n+2)}
	case "host":
		g.Addresses = []string{fmt.Sprintf("gw%d-%d.example.com", d.number, n)}
	}
	s.Gateways = append(s.Gateways, g)
}

var groupFields = []field[*intent.GroupSpec]{
	{"logicalCloud", 60, func(_ *draw, s *intent.GroupSpec) { s.LogicalCloud = "cloud" }},
	{"server's account", 50, func(_ *draw, s *intent.GroupSpec) { setAccount(&s.ServiceAccounts, "server", "server-sa") }},
	{"web's account", 50, func(_ *draw, s *intent.GroupSpec) { setAccount(&s.ServiceAccounts, "web", "web-sa") }},
	{"server by label", 40, func(d *draw, s *intent.GroupSpec) { s.Placements[0].Selector = d.selector() }},
	{"web by label", 40, func(d *draw, s *intent.GroupSpec) { s.Placements[1].Selector = d.selector() }},
	{"sidecarScope", 50, func(_ *draw, s *intent.GroupSpec) { s.SidecarScope = true }},
	{"gatewayApi", 50, func(_ *draw, s *intent.GroupSpec) { s.GatewayAPI = true }},
}

func setAccount(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

func (d *draw) selector() *intent.Selector {
	return &intent.Selector{MatchLabels: map[string]string{"ring": d.one("ring", "0", "1", "2", "3", "4")}}
}

func (d *draw) protocol() intent.Protocol {
	return intent.Protocol(d.one("protocol", "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "MYSQL", "REDIS"))
}

var inboundFields = []field[*intent.InboundSpec]{
	{"protocol", 70, func(d *draw, s *intent.InboundSpec) { s.Protocol = d.protocol() }},
	{"targetPort", 30, func(_ *draw, s *intent.InboundSpec) { s.TargetPort = 8080 }},
	{"ports", 30, func(d *draw, s *intent.InboundSpec) {
		s.Ports = []intent.ServicePort{{Port: 81, Protocol: d.protocol(), TargetPort: 8081}, {Name: "admin", Port: 82, Protocol: d.protocol()}}
	}},
	{"globalName", 20, func(d *draw, s *intent.InboundSpec) { s.GlobalName = s.ServiceName + ".example" }},
	{"own name", 10, func(d *draw, s *intent.InboundSpec) {
		s.GlobalName = s.ServiceName + "." + d.in.Spec.(*intent.GroupSpec).Namespace + ".svc.cluster.local"
	}},
	{"namesake", 20, func(d *draw, s *intent.InboundSpec) {
		s.GlobalName, s.ServiceName = s.ServiceName+".shared.example", "shared"
	}},
	{"external", 30, func(d *draw, s *intent.InboundSpec) {
		s.ExternalSupport, s.ExternalName = true, d.unique()+".example.com"
	}},
	{"certificates", 15, func(d *draw, s *intent.InboundSpec) {
		s.ExternalSupport, s.ExternalName = true, d.unique()+".example.com"
		s.External = &intent.External{ExternalCerts: &intent.Certificates{ServiceCertificate: keyPair().ServiceCertificate, ServicePrivateKey: keyPair().ServicePrivateKey}}
	}},
	{"client certificates", 15, func(d *draw, s *intent.InboundSpec) {
		s.ExternalSupport, s.ExternalName = true, d.unique()+".example.com"
		s.External = &intent.External{ExternalCerts: &intent.Certificates{
			ServiceCertificate: keyPair().ServiceCertificate, ServicePrivateKey: keyPair().ServicePrivateKey, CACertificate: keyPair().ServiceCertificate,
		}}
	}},
	{"credentialName", 15, func(d *draw, s *intent.InboundSpec) {
		s.ExternalSupport, s.ExternalName = true, d.unique()+".example.com"
		s.External = &intent.External{ExternalCerts: &intent.Certificates{CredentialName: "their-secret"}}
	}},
	{"no mesh", 10, func(_ *draw, s *intent.InboundSpec) { s.ServiceMesh = "none" }},
	{"no mesh, UDP", 10, func(_ *draw, s *intent.InboundSpec) { s.ServiceMesh, s.Protocol, s.Ports = "none", "UDP", nil }},
	{"tlsType", 30, func(d *draw, s *intent.InboundSpec) {
		s.Management = &intent.Management{TLSType: d.one("tls type", "MUTUAL", "SIMPLE", "NONE"), SidecarProxy: "yes"}
	}},
	{"sidecarProxy no", 10, func(_ *draw, s *intent.InboundSpec) { s.Management = &intent.Management{SidecarProxy: "no"} }},
	{"headless", 10, func(_ *draw, s *intent.InboundSpec) { s.Headless = true }},
	{"authorization", 40, func(d *draw, s *intent.InboundSpec) {
		s.Authorization = d.one("authorization", "access-points", "clients", "open")
	}},
	{"jwksUri", 15, func(_ *draw, s *intent.InboundSpec) {
		s.JWT = append(s.JWT, intent.JWTRule{Issuer: "https://issuer.example", JWKSURI: "https://issuer.example/keys", Audiences: []string{"shop"}})
	}},
	{"jwks", 15, func(_ *draw, s *intent.InboundSpec) {
		s.JWT = append(s.JWT, intent.JWTRule{Issuer: "inline", JWKS: jwks, ForwardOriginalToken: true})
	}},
	{"older spelling", 10, func(_ *draw, s *intent.InboundSpec) {
		s.Istio = &intent.WikiIstio{
			LoadBalancing: &intent.LoadBalancing{Type: "LEAST_CONN"}, CircuitBreaking: &intent.CircuitBreaking{MaxConnections: 7},
			MutualTLS: "SIMPLE", SidecarProxy: "yes",
		}
	}},
	{"balancing", 25, func(d *draw, s *intent.InboundSpec) {
		balanced(s).LoadBalancing = &intent.LoadBalancing{Type: d.one("balancing", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PASSTHROUGH")}
	}},
	{"warmup", 10, func(_ *draw, s *intent.InboundSpec) {
		balanced(s).LoadBalancing = &intent.LoadBalancing{Type: "ROUND_ROBIN", WarmupSeconds: 30}
	}},
	{"hash", 25, func(d *draw, s *intent.InboundSpec) {
		h := &intent.ConsistentHash{MinimumRingSize: uint64(16 * d.roll("ring size", 2))}
		switch d.one("hash", "header", "cookie", "parameter", "source") {
		case "header":
			h.HTTPHeader = "x-user"
		case "cookie":
			h.HTTPCookie = &intent.HTTPCookie{Name: "c", Path: d.one("path", "", "/a"), TTL: d.one("ttl", "", "1h")}
		case "parameter":
			h.HTTPQueryParameter = "user"
		case "source":
			h.UseSourceIP = true
		}
		balanced(s).LoadBalancing = &intent.LoadBalancing{ConsistentHash: h}
	}},
	{"circuitBreaking", 40, func(d *draw, s *intent.InboundSpec) {
		few := d.roll("errors", 3)
		balanced(s).CircuitBreaking = &intent.CircuitBreaking{
			MaxConnections: d.roll("connections", 2), ConnectTimeout: d.one("connect", "", "2s"), HTTP1MaxPendingRequests: d.roll("pending", 2),
			HTTP2MaxRequests: d.roll("requests", 2), MaxRequestsPerConnection: d.roll("per connection", 2), Consecutive5xxErrors: &few,
			Interval: d.one("interval", "", "10s"), BaseEjectionTime: d.one("ejection", "", "1m"), MaxEjectionPercent: 50 * d.roll("percent", 3),
		}
	}},
	{"failover", 25, func(_ *draw, s *intent.InboundSpec) {
		balanced(s).Locality = &intent.Locality{Mode: "local-first", Failover: []intent.Failover{{From: "eu", To: "us"}}}
	}},
	{"weights", 25, func(d *draw, s *intent.InboundSpec) {
		weights := map[string]int{"edge/c0": 0}
		weights[d.server("first")] += 70
		weights[d.server("second")] += 30
		balanced(s).Locality = &intent.Locality{Mode: "weighted", Weights: weights}
	}},
	{"no locality", 10, func(_ *draw, s *intent.InboundSpec) { balanced(s).Locality = &intent.Locality{Mode: "none"} }},
}

func balanced(s *intent.InboundSpec) *intent.TrafficPolicy {
	if s.TrafficPolicy == nil {
		s.TrafficPolicy = &intent.TrafficPolicy{}
	}
	return s.TrafficPolicy
}

const jwks = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
