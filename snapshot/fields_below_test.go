package snapshot

import (
	"encoding/json"

	"github.com/meshwright/meshwright/intent"
)

var clientFields = []field[*intent.ClientSpec]{
	{"app", 60, func(d *draw, s *intent.ClientSpec) { s.App = d.one("app", "server", "job", "nowhere") }},
	{"serviceName", 20, func(_ *draw, s *intent.ClientSpec) { s.ServiceName = "web" }},
	{"namespaces", 60, func(d *draw, s *intent.ClientSpec) { s.Namespaces = d.some("namespaces", "ns0", "ns1", "gateways") }},
	{"cidrs", 40, func(d *draw, s *intent.ClientSpec) { s.CIDRs = d.some("cidrs", "10.0.0.0/8", "2001:db8::/32") }},
	{"serviceAccount", 40, func(_ *draw, s *intent.ClientSpec) { s.ServiceAccount = "sa" }},
	{"group", 40, func(d *draw, s *intent.ClientSpec) {
		s.Group = &intent.GroupRef{Project: "p", CompositeApp: "ca", Version: "v1", Group: groupPath(d.roll("guest of", d.size.groups)).Name()}
	}},
}

var accessPointFields = []field[*intent.AccessPointSpec]{
	{"deny", 40, func(_ *draw, s *intent.AccessPointSpec) { s.Action = intent.Deny }},
	{"url", 70, func(d *draw, s *intent.AccessPointSpec) { s.URL = d.some("url", "/", "/a/*", "*/b", "/{*}/c") }},
	{"access", 70, func(d *draw, s *intent.AccessPointSpec) { s.Access = d.some("access", "GET", "POST") }},
	{"ports", 40, func(d *draw, s *intent.AccessPointSpec) {
		s.Ports = []int{[]int{80, 81, 8081, 9999}[d.roll("port", 4)]}
	}},
	{"users", 30, func(_ *draw, s *intent.AccessPointSpec) {
		s.Users = []intent.User{{Issuer: "inline", Subjects: []string{"ann"}, Claims: map[string][]string{"role": {"buyer", "seller"}}}}
	}},
	{"any user", 20, func(_ *draw, s *intent.AccessPointSpec) { s.Users = []intent.User{{Issuer: "https://issuer.example"}} }},
	{"when", 30, func(_ *draw, s *intent.AccessPointSpec) {
		s.When = []intent.Condition{{Key: "source.ip", Values: []string{"10.0.0.0/8"}, NotValues: []string{"10.1.0.0/16"}}}
	}},
}

var routingRuleFields = []field[*intent.RoutingRuleSpec]{
	{"match header", 30, func(_ *draw, s *intent.RoutingRuleSpec) {
		match(s).Headers = map[string]intent.StringMatch{"x-user": {Regex: "a+"}}
	}},
	{"match path", 30, func(d *draw, s *intent.RoutingRuleSpec) {
		match(s).Path = &intent.StringMatch{Exact: "/" + d.one("path", "a", "b", "c")}
	}},
	{"match query", 30, func(_ *draw, s *intent.RoutingRuleSpec) {
		match(s).QueryParams = map[string]intent.StringMatch{"q": {Exact: "1"}}
	}},
	{"match methods", 30, func(_ *draw, s *intent.RoutingRuleSpec) { match(s).Methods = []string{"GET", "POST"} }},
	{"match clients", 30, func(d *draw, s *intent.RoutingRuleSpec) { match(s).Clients = []string{d.one("client", "one", "ONE")} }},
	{"versions", 30, func(_ *draw, s *intent.RoutingRuleSpec) { s.Split = versions }},
	{"clusters", 20, func(d *draw, s *intent.RoutingRuleSpec) {
		s.Split = []intent.RouteSplit{{Weight: 70, Cluster: d.server("first")}, {Weight: 30, Cluster: d.server("second")}}
	}},
	{"version on cluster", 20, func(d *draw, s *intent.RoutingRuleSpec) {
		s.Split = []intent.RouteSplit{{Weight: 100, Cluster: d.server("only"), Version: version("v1")}}
	}},
	{"retries", 30, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.Retries = &intent.RouteRetries{Attempts: 2, PerTryTimeout: "1s", On: "5xx,503"}
	}},
	{"delay", 20, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.Fault = &intent.RouteFault{Delay: &intent.FaultDelay{Percent: 0.5, Duration: "1s"}}
	}},
	{"abort", 20, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.Fault = &intent.RouteFault{Abort: &intent.FaultAbort{Percent: 10, Status: 503}}
	}},
	{"mirror version", 15, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.Mirror = &intent.RouteMirror{Version: version("v2"), Percent: 5}
	}},
	{"mirror inbound", 15, func(_ *draw, s *intent.RoutingRuleSpec) { s.Mirror = &intent.RouteMirror{Inbound: "in0"} }},
	{"rewrite", 20, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.Rewrite = &intent.RouteRewrite{URI: "/new", Authority: "a.example"}
	}},
	{"headers", 20, func(_ *draw, s *intent.RoutingRuleSpec) {
		change := &intent.HeaderChange{Set: map[string]string{"x-a": "1"}, Add: map[string]string{"x-b": "2"}, Remove: []string{"x-c"}}
		s.Headers = &intent.RouteHeaders{Request: change, Response: change}
	}},
	{"cors", 20, func(_ *draw, s *intent.RoutingRuleSpec) {
		s.CORS = &intent.RouteCORS{
			AllowOrigins: []intent.StringMatch{{Prefix: "https://"}}, AllowMethods: []string{"GET"}, AllowHeaders: []string{"x-a"},
			ExposeHeaders: []string{"x-b"}, MaxAge: "1h", AllowCredentials: true,
		}
	}},
	{"redirect", 10, func(d *draw, s *intent.RoutingRuleSpec) {
		*s = intent.RoutingRuleSpec{Priority: s.Priority, Match: s.Match, Redirect: &intent.RouteRedirect{
			URI: "/moved", Authority: "b.example", Scheme: "https", Status: 301,
		}}
	}},
}

func match(s *intent.RoutingRuleSpec) *intent.RouteMatch {
	if len(s.Match) == 0 {
		s.Match = []intent.RouteMatch{{}}
	}
	return &s.Match[0]
}

var versions = []intent.RouteSplit{{Weight: 90, Version: version("v1")}, {Weight: 10, Version: version("v2")}}

func version(v string) *intent.RouteVersion {
	return &intent.RouteVersion{Labels: map[string]string{"version": v}}
}

var outboundFields = []field[*intent.OutboundSpec]{
	{"appLabel", 40, func(_ *draw, s *intent.OutboundSpec) { s.AppLabel = "app=web" }},
	{"same host", 20, func(_ *draw, s *intent.OutboundSpec) { s.ExternalServiceName = "shared.example.net" }},
	{"protocol", 50, func(d *draw, s *intent.OutboundSpec) {
		s.Protocol = intent.Protocol(d.one("protocol", "HTTP", "GRPC", "HTTPS", "TLS", "TCP", "MYSQL"))
	}},
	{"static", 25, func(_ *draw, s *intent.OutboundSpec) {
		s.Resolution, s.Endpoints = "STATIC", []string{"203.0.113.1", "2001:db8:ffff::1"}
	}},
	{"endpoints", 25, func(_ *draw, s *intent.OutboundSpec) {
		s.Resolution, s.Endpoints = "DNS", []string{"elsewhere.example.net"}
	}},
	{"unresolved", 15, func(_ *draw, s *intent.OutboundSpec) { s.Resolution, s.Endpoints = "NONE", nil }},
	{"TLS", 30, func(_ *draw, s *intent.OutboundSpec) {
		s.Protocol, s.TLS = "HTTP", &intent.OutboundTLS{Mode: "SIMPLE", SNI: "sni.example.net", CACertificate: keyPair().ServiceCertificate}
	}},
	{"mutual TLS", 20, func(_ *draw, s *intent.OutboundSpec) {
		s.Protocol = "HTTP"
		s.TLS = &intent.OutboundTLS{Mode: "MUTUAL", ClientCertificate: keyPair().ServiceCertificate, ClientPrivateKey: keyPair().ServicePrivateKey, CACertificate: keyPair().ServiceCertificate}
	}},
	{"credentialName", 20, func(_ *draw, s *intent.OutboundSpec) {
		s.Protocol, s.TLS = "HTTP", &intent.OutboundTLS{Mode: "MUTUAL", CredentialName: "their-secret"}
	}},
	{"no TLS", 20, func(_ *draw, s *intent.OutboundSpec) { s.TLS = &intent.OutboundTLS{Mode: "NONE"} }},
	{"egressGateway", 40, func(_ *draw, s *intent.OutboundSpec) { s.EgressGateway = true }},
}

var rawFields = []field[*intent.IstioResourceSpec]{
	{"by label", 40, func(d *draw, s *intent.IstioResourceSpec) { s.Clusters.Selector = d.selector() }},
	{"namespace", 40, func(d *draw, s *intent.IstioResourceSpec) {
		s.Resource.Metadata.Namespace = d.one("namespace", "ns0", "elsewhere")
	}},
	{"labels", 30, func(_ *draw, s *intent.IstioResourceSpec) {
		s.Resource.Metadata.Labels = map[string]string{"team": "a"}
		s.Resource.Metadata.Annotations = map[string]string{"example.com/why": "because"}
	}},
	{"older version", 30, func(_ *draw, s *intent.IstioResourceSpec) { s.Resource.APIVersion = "networking.istio.io/v1beta1" }},
	{"Gateway API", 20, func(_ *draw, s *intent.IstioResourceSpec) {
		s.Resource.APIVersion, s.Resource.Kind = "gateway.networking.k8s.io/v1", "HTTPRoute"
		s.Resource.Spec = json.RawMessage(`{"hostnames":["h.example.com"]}`)
	}},
	{"ServiceEntry", 30, func(d *draw, s *intent.IstioResourceSpec) {
		s.Resource.Kind = "ServiceEntry"
		s.Resource.Spec = json.RawMessage(`{"hosts":["` + d.unique() + `.example.org"],"resolution":"DNS","ports":[{"number":80,"name":"http","protocol":"HTTP"}]}`)
	}},
}
