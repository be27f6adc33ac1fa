package snapshot

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/meshwright/meshwright/intent"
)

// matrix is what intents promise, row by row, and which cases of testdata show
// it for each protocol.
//
// A promise is an object that some cluster of each case gets: its kind; after a
// slash its role, where that tells it from others; then words that its spec
// has to say. With "no" in front, no cluster gets one.
var matrix = []struct {
	row      string
	promises []string
	cases    map[string]string
}{
	{
		"client and server in one cluster",
		[]string{"DestinationRule/service ISTIO_MUTUAL", "AuthorizationPolicy/allow", "PeerAuthentication STRICT", "VirtualService/service version-v2", "no Gateway", "no ServiceEntry/gateway"},
		map[string]string{"HTTP": "same-cluster-http", "GRPC": "same-cluster-grpc", "TCP": "same-cluster-tcp", "TLS": "same-cluster-tls"},
	},
	{
		"different clusters",
		[]string{"Gateway AUTO_PASSTHROUGH", "ServiceEntry/gateway", "DestinationRule/gateway", "ServiceEntry/main MESH_INTERNAL", "DestinationRule/main ISTIO_MUTUAL"},
		map[string]string{"HTTP": "cross-cluster-http", "GRPC": "grpc", "TCP": "tcp", "TLS": "tls"},
	},
	{
		"routing rules, with the same subsets on both sides",
		[]string{"DestinationRule/gateway version-v2", "DestinationRule/main version-v2", "VirtualService/main version-v2", "VirtualService/service version-v2"},
		map[string]string{"HTTP": "routing-version-http", "GRPC": "routing-version-grpc", "TCP": "routing-version-tcp", "TLS": "routing-version-tls"},
	},
	{
		"a server on several clusters",
		[]string{"ServiceEntry/main 192.0.2.10 192.0.2.20", "DestinationRule/main failover outlierDetection"},
		map[string]string{"HTTP": "several-servers", "GRPC": "several-servers-grpc", "TCP": "several-servers-tcp", "TLS": "several-servers-tls"},
	},
	{"stated weights", []string{"ServiceEntry/main weight"}, alike("weighted-servers routing-weighted")},
	{"traffic policy", []string{"DestinationRule/service connectionPool", "DestinationRule/main connectionPool"}, alike("traffic-policy")},
	{
		"the old name keeps working",
		[]string{"VirtualService/oldname", "DestinationRule/oldname sni"},
		map[string]string{"HTTP": "cross-cluster-http", "GRPC": "grpc", "TCP": "tcp", "TLS": "tls"},
	},
	{
		"the old name where no Service has it",
		[]string{"ServiceEntry/oldname"},
		map[string]string{"HTTP": "cross-cluster-http", "GRPC": "grpc", "TCP": none, "TLS": none},
	},
	{
		"external clients",
		[]string{"Gateway/external-istio-ingressgateway", "VirtualService/external-istio-ingressgateway"},
		map[string]string{"HTTP": "external-http", "GRPC": "external-grpc", "TCP": "external-tcp", "TLS": "external-rules-tls"},
	},
	{
		"external clients, TLS ended at the gateway",
		[]string{"Gateway/external-istio-ingressgateway SIMPLE credentialName"},
		map[string]string{"HTTP": "external-https external-credential", "GRPC": "external-grpc", "TCP": as("HTTP"), "TLS": none},
	},
	{
		"external clients with certificates",
		[]string{"Secret/external", "Gateway/external-istio-ingressgateway MUTUAL credentialName"},
		map[string]string{"HTTP": "external-mutual", "GRPC": as("HTTP"), "TCP": "external-tcp-tls", "TLS": none},
	},
	{
		"external clients and routing rules",
		[]string{"VirtualService/external-istio-ingressgateway version-v2", "DestinationRule/service version-v2"},
		map[string]string{"HTTP": "external-rules", "GRPC": "external-rules-grpc", "TCP": "external-rules-tcp", "TLS": "external-rules-tls"},
	},
	{
		"security details",
		[]string{"AuthorizationPolicy/allow selector", "no AuthorizationPolicy/main"},
		map[string]string{"HTTP": "deny two-clients-one-namespace", "GRPC": "same-cluster-grpc", "TCP": "tcp-access-points", "TLS": "same-cluster-tls"},
	},
	{
		"security details that refuse",
		[]string{"AuthorizationPolicy/deny DENY selector"},
		map[string]string{"HTTP": "deny", "GRPC": as("HTTP"), "TCP": "tcp-access-points", "TLS": "when-tls"},
	},
	{
		"end users",
		[]string{"RequestAuthentication", "AuthorizationPolicy/allow request"},
		map[string]string{"HTTP": "users", "GRPC": "users-grpc", "TCP": "users-mixed-ports", "TLS": "users-mixed-ports"},
	},
	{
		"mutual TLS: SIMPLE",
		[]string{"DestinationRule/service SIMPLE", "PeerAuthentication PERMISSIVE"},
		map[string]string{"HTTP": "tls-simple-ports", "GRPC": "tls-simple-ports", "TCP": "tls-simple-ports", "TLS": "tls-simple-ports"},
	},
	{"mutual TLS: NONE", []string{"DestinationRule/service", "PeerAuthentication PERMISSIVE"}, alike("tls-none")},
	{
		"headless",
		[]string{"ServiceEntry/gateway 8080", "ServiceEntry/main"},
		map[string]string{"HTTP": "headless-http", "GRPC": as("HTTP"), "TCP": "headless-tcp", "TLS": as("TCP")},
	},
	{
		"no mesh",
		[]string{"Service", "EndpointSlice", "NetworkPolicy", "no ServiceEntry"},
		map[string]string{"HTTP": as("TCP"), "GRPC": as("TCP"), "TCP": "no-mesh-tcp", "TLS": as("TCP"), "UDP": "no-mesh-udp"},
	},
	{
		"outbound",
		[]string{"ServiceEntry", "no Gateway"},
		map[string]string{"HTTP": "outbound-http", "GRPC": "outbound-grpc", "TCP": "outbound-tcp", "TLS": "outbound-tls", "HTTPS": "outbound-https"},
	},
	{
		"outbound, with TLS origination",
		[]string{"DestinationRule sni subjectAltNames"},
		map[string]string{"HTTP": "outbound-tls-simple outbound-tls-mutual-credential", "GRPC": as("HTTP"), "TCP": "outbound-tls-mutual", "TLS": none},
	},
	{
		"outbound, through the egress gateway",
		[]string{"Gateway/egress ISTIO_MUTUAL", "VirtualService/egress", "ServiceEntry/egress", "DestinationRule ISTIO_MUTUAL", "AuthorizationPolicy/egress DENY"},
		map[string]string{"HTTP": "outbound-egress-http", "GRPC": "outbound-egress-grpc", "TCP": "outbound-egress-tcp", "TLS": "outbound-egress-tls"},
	},
	{"DNS", []string{"DNSEndpoint 203.0.113"}, alike("external-dns")},
	{"any other Istio object", []string{"VirtualService", "Sidecar", "HTTPRoute"}, alike("raw")},
}

// none is for a protocol that a row does not speak of.
const none = ""

// as is for a protocol that a row treats as another one.
func as(protocol string) string { return "as " + protocol }

// alike is for rows that treat all protocols as one.
func alike(cases string) map[string]string {
	return map[string]string{"HTTP": cases, "GRPC": as("HTTP"), "TCP": as("HTTP"), "TLS": as("HTTP")}
}

// TestMatrix holds that each row of the matrix has a case for each protocol,
// and that the case shows what the row promises.
func TestMatrix(t *testing.T) {
	for _, m := range matrix {
		t.Run(m.row, func(t *testing.T) {
			for _, protocol := range []string{"HTTP", "GRPC", "TCP", "TLS"} {
				if _, ok := m.cases[protocol]; !ok {
					t.Errorf("nothing is said of %s", protocol)
				}
			}
			for protocol, cases := range m.cases {
				if other, ok := strings.CutPrefix(cases, "as "); ok {
					if of := m.cases[other]; of == none || strings.HasPrefix(of, "as ") {
						t.Errorf("%s is as %s, which has no case", protocol, other)
					}
					continue
				}
				for name := range strings.FieldsSeq(cases) {
					keeps(t, name, protocol, m.promises)
				}
			}
		})
	}
}

// keeps checks that a case has to do with a protocol, and what its clusters get.
func keeps(t *testing.T, name, protocol string, promises []string) {
	t.Helper()
	set := fleetFrom(t, "testdata/"+name+"/in.yaml")
	if spoken := spoken(set); len(spoken) > 0 && !slices.Contains(spoken, protocol) {
		t.Errorf("%s is of %q, not of %s", name, spoken, protocol)
	}
	var all []Resource
	for cluster := range set.List(intent.KindCluster, "") {
		resources, _ := generated(set, cluster)
		all = append(all, resources...)
	}
	for _, p := range promises {
		what, none := strings.CutPrefix(p, "no ")
		if found := slices.ContainsFunc(all, func(r Resource) bool { return fits(t, &r, what) }); found == none {
			t.Errorf("%s (%s): found is %v, promised is %s", name, protocol, found, p)
		}
	}
}

// spoken are the protocols of a fleet's services; those that generators treat
// as another one count as that.
func spoken(set *intent.Set) []string {
	var out []string
	add := func(p intent.Protocol) {
		switch {
		case p == "HTTP2" || p == "GRPC-WEB":
			p = "HTTP"
		case p == "MONGO" || p == "MYSQL" || p == "REDIS":
			p = "TCP"
		}
		out = append(out, string(p))
	}
	for o := range set.List(intent.KindInbound, "") {
		for _, port := range o.Spec.(*intent.InboundSpec).AllPorts() {
			add(port.Protocol)
		}
	}
	for o := range set.List(intent.KindOutbound, "") {
		add(o.Spec.(*intent.OutboundSpec).Protocol)
	}
	return out
}

// fits reports whether a resource is what a promise names.
func fits(t *testing.T, r *Resource, promise string) bool {
	t.Helper()
	words := strings.Fields(promise)
	kind, name, _ := strings.Cut(words[0], "/")
	if r.Type.Kind != kind {
		return false
	}
	if name != "" {
		of := role(name)
		if name == "main" {
			of = roleMain
		}
		if !slices.ContainsFunc(r.Origins, func(p intent.Path) bool { return r.Name == objectName(p, of) }) {
			return false
		}
	}
	spec, err := protojson.Marshal(r.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(words[1:], func(w string) bool { return !strings.Contains(string(spec), w) })
}
