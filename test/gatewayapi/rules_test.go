package gatewayapi

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/meshwright/meshwright/test/proxy"
)

// TestRules holds that routing rules mean the same in the Gateway API's words
// as in Istio's: of the goldens' clusters, a takes the one and b the other, and
// what becomes of calls at their gateways is the same.
func TestRules(t *testing.T) {
	get := func(path string, headers ...string) proxy.Call {
		return withHeaders(proxy.Call{Method: "GET", Path: path}, headers)
	}
	post := func(path string, headers ...string) proxy.Call {
		return withHeaders(proxy.Call{Method: "POST", Path: path}, headers)
	}
	for _, test := range []struct {
		name  string
		kinds int // of what becomes of the calls
		calls []proxy.Call
	}{
		{"external-gateway-api-rules", 6, []proxy.Call{
			get("/"), get("/x?stage=beta"), get("/x?stage=beta&y=1"), get("/x?stage=gamma"), get("/x?stage="),
			get("/old"), get("/old?a=b"), get("/old/"), get("/older"), post("/old"),
			get("/login"), post("/login"),
			{Method: "PUT", Path: "/login"},
			post("/login/x"),
			get("/health"), get("/health?deep=1"), get("/healthy"), post("/health"),
			post("/"), post("/x?stage=beta"),
			{Method: "PUT", Path: "/"},
			{Method: "POSTER", Path: "/"},
			get("/", "x-stage", "beta"), get("/", "x-stage", "beta", "x-user", "7"), get("/", "x-stage", "beta", "x-user", "a7"),
			get("/old", "x-stage", "beta", "x-user", "7"), post("/x", "x-stage", "beta", "x-user", "7"),
		}},
		{"external-gateway-api-rules-grpc", 3, []proxy.Call{
			post("/shop.v1.Cart/Checkout"), post("/shop.v1.Cart/Checkouts"), post("/shop.v1.Cart/Add"),
			post("/shop.v1.Cart/Checkout", "x-stage", "beta"), post("/shop.v1.Cart/Add", "x-stage", "beta"), post("/x", "x-stage", "gamma"),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, istios := gatewayOf(t, test.name, "a", "istio-ingress"), gatewayOf(t, test.name, "b", "istio-ingress")
			seen := map[string]bool{}
			for _, call := range test.calls {
				want, got := becomes(t, istios, call), becomes(t, ours, call)
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("what becomes of %s %s %v (-by Istio's objects +by the Gateway API's):\n%s", call.Method, call.Path, call.Headers, diff)
				}
				seen[want.String()] = true
			}
			if len(seen) != test.kinds {
				t.Errorf("%d things become of the calls, want %d", len(seen), test.kinds)
			}
		})
	}
}

func withHeaders(call proxy.Call, pairs []string) proxy.Call {
	call.Headers = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		call.Headers[pairs[i]] = pairs[i+1]
	}
	return call
}

// becomes is what the gateway does with a call to the goldens' host: the route
// that it takes, without its names and what it takes.
func becomes(t *testing.T, gateway *proxy.Config, call proxy.Call) *routev3.Route {
	t.Helper()
	taken, err := gateway.Taken("web.example.com", call)
	if err != nil || taken == nil {
		t.Fatalf("%s %s takes no route: %v", call.Method, call.Path, err)
	}
	r := proto.Clone(taken).(*routev3.Route)
	action := r.GetRoute()
	if rewrite := action.GetRegexRewrite(); rewrite.GetPattern().GetRegex() == "/.*" && r.GetMatch().GetPath() != "" {
		// An exact path is matched whole, so this is the other way to say it.
		action.PrefixRewrite, action.RegexRewrite = rewrite.GetSubstitution(), nil
	}
	if action != nil {
		action.ClusterNotFoundResponseCode = 0 // of a service that is not there
	}
	r.Name, r.Match, r.Metadata, r.Decorator = "", nil, nil, nil
	return r
}
