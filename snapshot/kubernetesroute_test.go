package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// TestRulesOfTheGatewayAPI holds which routing rules the Gateway API says, in
// which release, and that Istio's objects say the others, all of an inbound.
func TestRulesOfTheGatewayAPI(t *testing.T) {
	const blocks9 = `{"path":{"exact":"/1"}},{"path":{"exact":"/2"}},{"path":{"exact":"/3"}},{"path":{"exact":"/4"}},{"path":{"exact":"/5"}},{"path":{"exact":"/6"}},{"path":{"exact":"/7"}},{"path":{"exact":"/8"}},{"path":{"exact":"/9"}}`
	for _, test := range []struct {
		name  string
		want  TypeID
		rules []string // the first before the second
	}{
		{"no rules", HTTPRoute, nil},
		{"nothing", HTTPRoute, []string{`{}`}},
		{"an exact path", HTTPRoute, []string{`{"match":[{"path":{"exact":"/a"}}]}`}},
		{"a path that the API refuses", VirtualService, []string{`{"match":[{"path":{"exact":"/a//b"}}]}`}},
		{"a path that climbs", VirtualService, []string{`{"match":[{"path":{"exact":"/a/.."}}]}`}},
		{"a path with a letter that the API refuses", VirtualService, []string{`{"match":[{"path":{"exact":"/ä"}}]}`}},
		{"every path", HTTPRoute, []string{`{"match":[{"path":{"prefix":"/"}}]}`}},
		{"a prefix", VirtualService, []string{`{"match":[{"path":{"prefix":"/a"}}]}`}},
		{"a prefix that ends an element", VirtualService, []string{`{"match":[{"path":{"prefix":"/a/"}}]}`}},
		{"a path by regular expression", VirtualService, []string{`{"match":[{"path":{"regex":"/a.*"}}]}`}},
		{"headers", HTTPRoute, []string{`{"match":[{"headers":{"a":{"exact":"1"},"b":{"regex":"x+"}}}]}`}},
		{"a header by prefix", VirtualService, []string{`{"match":[{"headers":{"a":{"prefix":"1"}}}]}`}},
		{"a header twice", VirtualService, []string{`{"match":[{"headers":{"a":{"exact":"1"},"A":{"regex":"1+"}}}]}`}},
		{"a header's value that the API may refuse", VirtualService, []string{`{"match":[{"headers":{"a":{"exact":"x  y"}}}]}`}},
		{"query parameters", HTTPRoute, []string{`{"match":[{"queryParams":{"a":{"exact":"1"},"b":{"regex":"x+"}}}]}`}},
		{"a query parameter whose name is no token", VirtualService, []string{`{"match":[{"queryParams":{"a[]":{"exact":"1"}}}]}`}},
		{"methods", HTTPRoute, []string{`{"match":[{"methods":["GET","HEAD"]}]}`}},
		{"a method that the API does not know", VirtualService, []string{`{"match":[{"methods":["GET","PURGE"]}]}`}},
		{"too many blocks", VirtualService, []string{`{"match":[` + blocks9 + `]}`}},
		{"clients", HTTPRoute, []string{`{"match":[{"clients":["cart"]}],"fault":{"abort":{"percent":1,"status":503}}}`}},
		{"clients, or a path", HTTPRoute, []string{`{"match":[{"clients":["cart"],"path":{"prefix":"/a"}},{"path":{"exact":"/a"}}]}`}},

		{"a version", VirtualService, []string{`{"split":[{"weight":100,"version":{"labels":{"v":"1"}}}]}`}},
		{"timeout", HTTPRoute, []string{`{"timeout":"1.5s"}`}},
		{"timeout before 1.24", VirtualService, []string{"1.23.9", `{"timeout":"1.5s"}`}},
		{"timeout of an unknown release", VirtualService, []string{"", `{"timeout":"1.5s"}`}},
		{"retries", VirtualService, []string{`{"retries":{"attempts":2}}`}},
		{"a fault", VirtualService, []string{`{"fault":{"abort":{"percent":1,"status":503}}}`}},
		{"cors", VirtualService, []string{`{"cors":{"allowOrigins":[{"exact":"https://a.example"}]}}`}},
		{"mirror", HTTPRoute, []string{`{"mirror":{"inbound":"copy"}}`}},
		{"mirror to the service itself", VirtualService, []string{`{"mirror":{"version":{"labels":{"v":"1"}}}}`}},
		{"mirror before 1.26", VirtualService, []string{"1.25.1", `{"mirror":{"inbound":"copy"}}`}},
		{"mirror of a part of a percent", VirtualService, []string{`{"mirror":{"inbound":"copy","percent":0.5}}`}},
		{"rewrite of an exact path", HTTPRoute, []string{`{"match":[{"path":{"exact":"/a"}}],"rewrite":{"uri":"/b"}}`}},
		{"rewrite of every path", VirtualService, []string{`{"rewrite":{"uri":"/b"}}`}},
		{"rewrite of an exact path and others", VirtualService, []string{`{"match":[{"path":{"exact":"/a"}},{"methods":["PUT"]}],"rewrite":{"uri":"/b"}}`}},
		{"rewrite to what an expression reads", VirtualService, []string{`{"match":[{"path":{"exact":"/a"}}],"rewrite":{"uri":"/\\1"}}`}},
		{"rewrite of the host", HTTPRoute, []string{`{"rewrite":{"authority":"a.example"}}`}},
		{"rewrite of host and port", VirtualService, []string{`{"rewrite":{"authority":"a.example:80"}}`}},
		{"rewrite to an address", VirtualService, []string{`{"rewrite":{"authority":"192.0.2.1"}}`}},
		{"redirect", HTTPRoute, []string{`{"redirect":{"uri":"/b","status":302}}`}},
		{"redirect at another port than HTTP's", VirtualService, []string{"1.31.0 8080", `{"redirect":{"uri":"/b"}}`}},
		{"redirect to a scheme at another port", HTTPRoute, []string{"1.31.0 8080", `{"redirect":{"scheme":"https"}}`}},
		{"redirect that keeps the method", HTTPRoute, []string{`{"redirect":{"uri":"/b","status":307}}`}},
		{"redirect that keeps the method before 1.30", VirtualService, []string{"1.29.6", `{"redirect":{"uri":"/b","status":307}}`}},
		{"redirect to host and port", VirtualService, []string{`{"redirect":{"scheme":"https","authority":"a.example:8443"}}`}},
		{"headers changed", HTTPRoute, []string{`{"headers":{"request":{"set":{"a":"1"},"add":{"b":"2"},"remove":["c"]},"response":{"set":{"a":"1"}}}}`}},
		{"no header changed", HTTPRoute, []string{`{"headers":{"request":{}}}`}},
		{"a header changed twice", VirtualService, []string{`{"headers":{"request":{"set":{"a":"1"},"remove":["A"]}}}`}},
		{"the host as a header", VirtualService, []string{`{"headers":{"request":{"set":{"Host":"a.example"}}}}`}},
		{"a header with what Envoy fills in", VirtualService, []string{`{"headers":{"response":{"set":{"a":"%START_TIME%"}}}}`}},
		{"an empty header", VirtualService, []string{`{"headers":{"response":{"set":{"a":""}}}}`}},

		{"the more specific first", HTTPRoute, []string{`{"match":[{"path":{"exact":"/a"}}]}`, `{"match":[{"methods":["GET"]}]}`}},
		{"the less specific first", VirtualService, []string{`{"match":[{"methods":["GET"]}]}`, `{"match":[{"path":{"exact":"/a"}}]}`}},
		{"a method before headers", HTTPRoute, []string{`{"match":[{"methods":["GET"]}]}`, `{"match":[{"headers":{"a":{"exact":"1"},"b":{"exact":"1"}}}]}`}},
		{"headers before a method", VirtualService, []string{`{"match":[{"headers":{"a":{"exact":"1"},"b":{"exact":"1"}}}]}`, `{"match":[{"methods":["GET"]}]}`}},
		{"alike", HTTPRoute, []string{`{"match":[{"headers":{"a":{"exact":"1"}}}]}`, `{"match":[{"headers":{"b":{"exact":"1"}}}]}`}},
		{"of other methods", HTTPRoute, []string{`{"match":[{"methods":["GET"]}]}`, `{"match":[{"methods":["PUT"],"headers":{"a":{"exact":"1"}}}]}`}},
		{"of other header values", HTTPRoute, []string{`{"match":[{"headers":{"a":{"exact":"1"}}}]}`, `{"match":[{"headers":{"A":{"exact":"2"}},"methods":["GET"]}]}`}},
		{"of one header by value and expression", VirtualService, []string{`{"match":[{"headers":{"a":{"exact":"1"}}}]}`, `{"match":[{"headers":{"a":{"regex":"2"}},"methods":["GET"]}]}`}},
		{"of other paths", HTTPRoute, []string{`{"match":[{"path":{"exact":"/a"}}]}`, `{"match":[{"path":{"exact":"/a/b"},"methods":["GET"]}]}`}},
		{"every call first", HTTPRoute, []string{`{"timeout":"1s"}`, `{"match":[{"path":{"exact":"/a"}}]}`}},

		{"gRPC", GRPCRoute, []string{`{"match":[{"path":{"exact":"/a.B/C"}},{"headers":{"a":{"regex":"1+"}}}],"headers":{"request":{"set":{"a":"1"}}}}`}},
		{"gRPC of a path that is no method", VirtualService, []string{`{"match":[{"path":{"exact":"/a/b/c"}}]}`}},
		{"gRPC with methods of HTTP", VirtualService, []string{`{"match":[{"methods":["POST"]}]}`}},
		{"gRPC with query parameters", VirtualService, []string{`{"match":[{"queryParams":{"a":{"exact":"1"}}}]}`}},
		{"gRPC with timeout", VirtualService, []string{`{"timeout":"1s"}`}},
		{"gRPC with mirror", VirtualService, []string{`{"mirror":{"inbound":"copy"}}`}},
		{"gRPC with redirect", VirtualService, []string{`{"redirect":{"uri":"/a"}}`}},
		{"gRPC in another order", VirtualService, []string{`{"match":[{"headers":{"a":{"exact":"1"}}}]}`, `{"match":[{"path":{"exact":"/a.B/C"}}]}`}},

		{"TCP", TCPRoute, nil},
		{"TCP of a version", VirtualService, []string{`{"split":[{"weight":100,"version":{"labels":{"v":"1"}}}]}`}},
		{"TLS", TLSRoute, nil},
		{"TLS of a version", VirtualService, []string{`{"split":[{"weight":100,"version":{"labels":{"v":"1"}}}]}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			release, rules := "1.31.0", test.rules
			if len(rules) > 0 && !strings.HasPrefix(rules[0], "{") {
				release, rules = rules[0], rules[1:]
			}
			protocol := "HTTP"
			if word, _, _ := strings.Cut(test.name, " "); slices.Contains([]string{"gRPC", "TCP", "TLS"}, word) {
				protocol = strings.ToUpper(word)
			}
			if got := routesOutside(t, release, protocol, rules); !slices.Equal(got, []TypeID{test.want}) {
				t.Errorf("routes are of %v, want %v", got, test.want)
			}
		})
	}
}

// routesOutside are the kinds of the routes at the ingress gateway of a service
// with routing rules, on a cluster with a release of Istio.
func routesOutside(t *testing.T, release, protocol string, rules []string) []TypeID {
	t.Helper()
	const (
		cluster = "/v2/cluster-providers/edge/clusters/a"
		group   = "/v2/projects/p/composite-apps/c/v1/deployment-intent-groups/g"
		inbound = group + "/traffic-group-intents/t/inbound-intents/"
	)
	version, port, _ := strings.Cut(release, " ")
	if port == "" {
		port = "80"
	}
	set := intent.NewSet()
	for i, o := range []struct{ anchor, spec string }{
		{cluster, `{"gateways":[{"name":"in","role":"ingress","namespace":"edge","addresses":["192.0.2.1"],"ports":{"http":` + port + `}}],"istio":{"version":"` + version + `"}}`},
		{group, `{"namespace":"shop","gatewayApi":true,"placements":[{"app":"web","clusters":[{"clusterProvider":"edge","cluster":"a"}]}]}`},
		{group + "/traffic-group-intents/t", `{}`},
		{inbound + "copy", `{"app":"web","appLabel":"app=copy","serviceName":"copy","port":8080,"protocol":"HTTP"}`},
		{inbound + "web", `{"app":"web","appLabel":"app=web","serviceName":"web","port":9000,"protocol":"` + protocol + `","externalSupport":true}`},
		{inbound + "copy/clients/cart", `{"app":"web","appLabel":"app=cart","namespaces":[],"cidrs":[]}`},
		{inbound + "web/clients/cart", `{"app":"web","appLabel":"app=cart","namespaces":[],"cidrs":[]}`},
	} {
		set = stored(t, set, i, o.anchor, []byte(`{"spec":`+o.spec+`}`))
	}
	for i, r := range rules {
		r = strings.Replace(r, "{", fmt.Sprintf(`{"priority":%d,`, 100-i), 1)
		set = stored(t, set, 10+i, fmt.Sprintf("%sweb/routing-rules/r%d", inbound, i), []byte(`{"spec":`+strings.Replace(r, ",}", "}", 1)+`}`))
	}
	resources, problems := generate(set, set.Get(inbound+"web"), set.Get(cluster))
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	var kinds []TypeID
	for _, r := range resources {
		if r.Namespace == "edge" && r.Type.ID != Gateway && r.Type.ID != KubernetesGateway {
			kinds = append(kinds, r.Type.ID)
		}
	}
	return kinds
}

// TestKubernetesDuration holds that durations are written without fractions.
func TestKubernetesDuration(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{time.Millisecond, "1ms"},
		{1500 * time.Millisecond, "1s500ms"},
		{90 * time.Second, "1m30s"},
		{24 * time.Hour, "24h"},
		{time.Hour + time.Minute + time.Second + 999*time.Millisecond, "1h1m1s999ms"},
	} {
		if got := string(kubernetesDuration(test.d)); got != test.want {
			t.Errorf("%s is written %s, want %s", test.d, got, test.want)
		}
	}
}
