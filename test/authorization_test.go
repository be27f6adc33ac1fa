package test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

const (
	group   = "/v2/projects/shop/composite-apps/store/v1/deployment-intent-groups/prod"
	catalog = webIntents + "/inbound-intents/catalog"
)

// A trial is a call and whether it is to be let in.
type trial struct {
	name string
	call proxy.Call
	want bool
}

// judged waits until istiod's configuration for a proxy judges every call as
// it should, all by one and the same configuration.
func judged(t *testing.T, i *istiod.Istiod, node proxy.Node, trials []trial) {
	t.Helper()
	want := map[string]bool{}
	for _, c := range trials {
		want[c.name] = c.want
	}
	wait.Until(t, "the sidecar to let in what it should, and nothing else", func() error {
		config, err := proxy.Fetch(t.Context(), i.XDSAddr(), node)
		if err != nil {
			return err
		}
		got := map[string]bool{}
		for _, c := range trials {
			if got[c.name], err = config.Authorizes(c.call); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("calls let in (-want +got):\n%s", diff)
		}
		return nil
	})
}

// unjudged waits until istiod knows a proxy's service, and then holds that
// nothing judges its calls.
func unjudged(t *testing.T, i *istiod.Istiod, node proxy.Node, call proxy.Call) {
	t.Helper()
	config := proxy.Read(t, i.XDSAddr(), node)
	if n := config.RBACFilters(); n != 0 {
		t.Errorf("the workload with %v has %d filters that judge its calls, want none", node.Labels, n)
	}
	if ok, err := config.Authorizes(call); !ok || err != nil {
		t.Errorf("the workload with %v lets %+v in: %v, %v, want true", node.Labels, call, ok, err)
	}
}

// placed puts the group with apps on the clusters, besides the example's.
func placed(t *testing.T, h *hub.Hub, apps map[string]string) {
	t.Helper()
	body := `
metadata: {name: prod}
spec:
  namespace: shop
  placements:
    - {app: catalog, clusters: [{clusterProvider: edge, cluster: shop-1}]}
    - {app: frontend, clusters: [{clusterProvider: edge, cluster: shop-2}]}
`
	for app, clusters := range apps {
		body += fmt.Sprintf("    - {app: %s, clusters: [%s]}\n", app, clusters)
	}
	h.Put(t, group, body)
}

// declare adds a client with a service account of its name, and with more
// fields, its cidrs among them.
func declare(t *testing.T, h *hub.Hub, name, more string) {
	t.Helper()
	h.Put(t, catalog+"/clients/"+name, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: %[1]s, appLabel: app=%[1]s, namespaces: [], serviceAccount: %[1]s, %[2]s}`, name, more))
}

// may adds an access point to a client.
func may(t *testing.T, h *hub.Hub, client, name, spec string) {
	t.Helper()
	h.Put(t, catalog+"/clients/"+client+"/access-points/"+name, fmt.Sprintf("metadata: {name: %s}\nspec: {%s}", name, spec))
}

// pods gives a workload a service on shop-1, as a Kubernetes registry would,
// and is its sidecar.
func pods(t *testing.T, h *hub.Hub, name, ip, ports string) proxy.Node {
	t.Helper()
	intent, body := hub.Raw(t, "edge/shop-1", fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: shop}
spec:
  hosts: [%[1]s.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [%[3]s]
  endpoints: [{address: %[2]s, labels: {app: %[1]s}}]`, name, ip, ports))
	h.Put(t, webIntents+"/istio-resources/"+intent, body)
	return proxy.Node{Name: name + "-1", Namespace: "shop", IP: ip, Labels: map[string]string{"app": name}, ServiceAccount: name}
}

const (
	edge1 = "{clusterProvider: edge, cluster: shop-1}"
	edge2 = "{clusterProvider: edge, cluster: shop-2}"
	edge3 = "{clusterProvider: edge, cluster: shop-3}"
)

// TestOnlyDeclaredCalls reads out of a real istiod that the serving workload
// lets in each declared client within its own access points, on HTTP and on TCP
// ports, and nobody else, and that no other workload is touched.
func TestOnlyDeclaredCalls(t *testing.T) {
	t.Parallel()
	h := example(t)
	placed(t, h, map[string]string{"orders": edge1, "batch": edge1, "idle": edge1})
	h.Put(t, catalog, `
metadata: {name: catalog}
spec:
  {app: catalog, appLabel: app=catalog, serviceName: catalog, port: 8080, protocol: HTTP,
   ports: [{name: tcp-feed, port: 9000, targetPort: 19000, protocol: TCP}, {name: tcp-admin, port: 9001, targetPort: 19001, protocol: TCP},
     {name: tls-vault, port: 9002, protocol: TLS}, {name: grpc, port: 9090, protocol: GRPC}]}`)
	declare(t, h, "orders", "cidrs: []")
	may(t, h, "orders", "write", `action: ALLOW, url: ["/orders/*", "/carts/{*}/lines"], access: [POST]`)
	may(t, h, "orders", "feed", `action: ALLOW, url: [], access: ["*"], ports: [9000]`)
	may(t, h, "orders", "vault", `action: ALLOW, url: [], access: ["*"], ports: [9002]`)
	may(t, h, "orders", "list", `action: ALLOW, url: ["/shop.Orders/List"], access: [POST], ports: [9090]`)
	may(t, h, "orders", "beta", `action: ALLOW, url: ["/beta"], access: [GET], when: [{key: "request.headers[x-beta]", values: [please]}]`)
	may(t, h, "orders", "internal", `action: DENY, url: ["/orders/internal/*"], access: ["*"]`)
	declare(t, h, "batch", "cidrs: [10.7.0.0/16]")
	may(t, h, "batch", "no-admin", `action: DENY, url: [], access: ["*"], ports: [9001]`)
	may(t, h, "batch", "no-delete", `action: DENY, url: [], access: [DELETE]`)
	declare(t, h, "idle", "cidrs: []")

	node := pods(t, h, "catalog", "10.1.0.5", "{number: 8080, name: http, protocol: HTTP}, {number: 19000, name: tcp-feed, protocol: TCP}, {number: 19001, name: tcp-admin, protocol: TCP}, {number: 9002, name: tls-vault, protocol: TLS}, {number: 9090, name: grpc, protocol: GRPC}")
	other := pods(t, h, "reports", "10.1.0.6", "{number: 8080, name: http, protocol: HTTP}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")

	request := func(from, method, path string) proxy.Call {
		return proxy.Call{From: "cluster.local/ns/shop/sa/" + from, Port: 8080, Method: method, Path: path}
	}
	connection := func(from string, port int) proxy.Call {
		return proxy.Call{From: "cluster.local/ns/shop/sa/" + from, Port: port}
	}
	grpc := func(from, path string) proxy.Call {
		return proxy.Call{From: "cluster.local/ns/shop/sa/" + from, Port: 9090, Method: "POST", Path: path}
	}
	beta, nearby := request("orders", "GET", "/beta"), request("stranger", "GET", "/items")
	beta.Headers, nearby.IP = map[string]string{"x-beta": "please"}, "10.7.1.2"
	judged(t, i, node, []trial{
		{"frontend reads an item", request("frontend", "GET", "/items/1"), true},
		{"frontend reads items", request("frontend", "HEAD", "/items"), true},
		{"frontend writes an item", request("frontend", "POST", "/items/1"), false},
		{"frontend reads another path", request("frontend", "GET", "/itemsandmore"), false},
		{"frontend does what orders may", request("frontend", "POST", "/orders/1"), false},
		{"frontend's feed", connection("frontend", 19000), false},
		{"frontend on a port of no service", connection("frontend", 7777), false},

		{"orders writes an order", request("orders", "POST", "/orders/1"), true},
		{"orders writes a line", request("orders", "POST", "/carts/7/lines"), true},
		{"orders writes deeper", request("orders", "POST", "/carts/7/8/lines"), false},
		{"orders reads an order", request("orders", "GET", "/orders/1"), false},
		{"orders does what frontend may", request("orders", "GET", "/items/1"), false},
		{"orders writes an internal order", request("orders", "POST", "/orders/internal/1"), false},
		{"orders' feed", connection("orders", 19000), true},
		{"orders' admin", connection("orders", 19001), false},
		{"orders' feed by the service's port", connection("orders", 9000), false},
		{"orders' vault", connection("orders", 9002), true},
		{"frontend's vault", connection("frontend", 9002), false},
		{"orders lists", grpc("orders", "/shop.Orders/List"), true},
		{"orders does more", grpc("orders", "/shop.Orders/Delete"), false},
		{"frontend lists", grpc("frontend", "/shop.Orders/List"), false},
		{"orders lists at another port", request("orders", "POST", "/shop.Orders/List"), false},
		{"orders asks for beta", request("orders", "GET", "/beta"), false},
		{"orders asks for beta with its header", beta, true},

		{"batch reads", request("batch", "GET", "/anything"), true},
		{"batch deletes", request("batch", "DELETE", "/items/1"), false},
		{"batch's feed", connection("batch", 19000), true},
		{"batch's admin", connection("batch", 19001), false},
		{"from batch's network", nearby, true},

		{"idle, which may do nothing", request("idle", "GET", "/items"), false},
		{"a stranger", request("stranger", "GET", "/items/1"), false},
		{"a stranger's feed", connection("stranger", 19000), false},
		{"a namesake in another namespace", proxy.Call{From: "cluster.local/ns/bank/sa/frontend", Port: 8080, Method: "GET", Path: "/items"}, false},
		{"a namesake in another trust domain", proxy.Call{From: "evil.example/ns/shop/sa/frontend", Port: 8080, Method: "GET", Path: "/items"}, false},
	})
	unjudged(t, i, other, request("stranger", "GET", "/"))

	// What is withdrawn is refused, and so is everything once no client is left.
	h.Delete(t, catalog+"/clients/orders?cascade=true")
	h.Delete(t, catalog+"/clients/batch?cascade=true")
	h.Delete(t, catalog+"/clients/frontend/access-points/read-items")
	may(t, h, "idle", "one", `action: ALLOW, url: ["/one"], access: [GET]`)
	judged(t, i, node, []trial{
		{"frontend reads an item", request("frontend", "GET", "/items/1"), false},
		{"orders writes an order", request("orders", "POST", "/orders/1"), false},
		{"orders' feed", connection("orders", 19000), false},
		{"batch reads", request("batch", "GET", "/anything"), false},
		{"idle, which may do one thing", request("idle", "GET", "/one"), true},
	})
}

// TestEndUsers holds that access points with users demand their tokens, each
// user with his own claims, and that tokens of others are refused.
func TestEndUsers(t *testing.T) {
	t.Parallel()
	h := example(t)
	placed(t, h, nil)
	const keys = `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	h.Put(t, catalog, fmt.Sprintf(`
metadata: {name: catalog}
spec:
  {app: catalog, appLabel: app=catalog, serviceName: catalog, port: 8080, protocol: HTTP,
   ports: [{name: tcp-feed, port: 9000, protocol: TCP}],
   jwt: [{issuer: "https://login.example/", jwks: '%[1]s', audiences: [shop]}, {issuer: partner, jwks: '%[1]s'}]}`, keys))
	may(t, h, "frontend", "account", `action: ALLOW, url: ["/account"], access: [GET], users: [{issuer: "https://login.example/"}]`)
	may(t, h, "frontend", "orders", `action: ALLOW, url: ["/orders/*"], access: [POST], users: [
  {issuer: "https://login.example/", subjects: [alice, tenant/bob]},
  {issuer: partner, subjects: [carol]},
  {issuer: partner, claims: {groups: [staff, admin], "[realm][role]": [shop]}}]`)
	may(t, h, "frontend", "not-mallory", `action: DENY, url: [], access: ["*"], users: [{issuer: partner, subjects: [mallory]}]`)
	may(t, h, "frontend", "not-robots", `action: DENY, url: [], access: ["*"], users: [{issuer: partner, claims: {kind: [robot]}}]`)
	may(t, h, "frontend", "feed", `action: ALLOW, url: [], access: ["*"], ports: [9000], users: [{issuer: partner}]`)

	node := pods(t, h, "catalog", "10.1.0.5", "{number: 8080, name: http, protocol: HTTP}, {number: 9000, name: tcp-feed, protocol: TCP}")
	other := pods(t, h, "reports", "10.1.0.6", "{number: 8080, name: http, protocol: HTTP}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")

	call := func(method, path string, claims map[string]any) proxy.Call {
		return proxy.Call{From: "cluster.local/ns/shop/sa/frontend", Port: 8080, Method: method, Path: path, Claims: claims}
	}
	login := func(sub string) map[string]any {
		return map[string]any{"iss": "https://login.example/", "aud": "shop", "sub": sub}
	}
	partner := func(sub string, more map[string]any) map[string]any {
		claims := map[string]any{"iss": "partner", "sub": sub}
		for k, v := range more {
			claims[k] = v
		}
		return claims
	}
	staff := map[string]any{"groups": []string{"guest", "staff"}, "realm": map[string]any{"role": "shop"}}
	stranger := call("GET", "/account", login("alice"))
	stranger.From = "cluster.local/ns/shop/sa/stranger"
	judged(t, i, node, []trial{
		{"no token where none is asked for", call("GET", "/items", nil), true},
		{"a token where none is asked for", call("GET", "/items", login("eve")), true},
		{"a token of an unknown issuer", call("GET", "/items", map[string]any{"iss": "evil", "sub": "alice"}), false},
		{"a token for another audience", call("GET", "/items", map[string]any{"iss": "https://login.example/", "aud": "bank", "sub": "alice"}), false},

		{"no token where any user may", call("GET", "/account", nil), false},
		{"any user", call("GET", "/account", login("eve")), true},
		{"any user of the other issuer", call("GET", "/account", partner("eve", nil)), false},
		{"any user, by another client", stranger, false},
		{"any user, another method", call("POST", "/account", login("eve")), false},

		{"no token where some may", call("POST", "/orders/1", nil), false},
		{"alice", call("POST", "/orders/1", login("alice")), true},
		{"alice reads", call("GET", "/orders/1", login("alice")), false},
		{"alicia", call("POST", "/orders/1", login("alicia")), false},
		{"the partner's alice", call("POST", "/orders/1", partner("alice", nil)), false},
		{"bob, whose name has a slash", call("POST", "/orders/1", login("tenant/bob")), true},
		{"bob without it", call("POST", "/orders/1", login("bob")), false},
		{"carol", call("POST", "/orders/1", partner("carol", nil)), true},
		{"another's carol", call("POST", "/orders/1", login("carol")), false},
		{"staff", call("POST", "/orders/1", partner("dave", staff)), true},
		{"staff elsewhere", call("POST", "/orders/1", partner("dave", map[string]any{"groups": []string{"staff"}})), false},
		{"guests", call("POST", "/orders/1", partner("dave", map[string]any{"groups": "guest", "realm": map[string]any{"role": "shop"}})), false},
		{"another issuer's staff", call("POST", "/orders/1", map[string]any{"iss": "https://login.example/", "aud": "shop", "sub": "x", "groups": "staff", "realm": map[string]any{"role": "shop"}}), false},

		{"mallory", call("GET", "/items", partner("mallory", nil)), false},
		{"mallory of the staff", call("POST", "/orders/1", partner("mallory", staff)), false},
		{"login's mallory", call("GET", "/items", login("mallory")), true},
		{"a robot", call("GET", "/items", partner("r2", map[string]any{"kind": "robot"})), false},
		{"a robot without a subject", call("GET", "/items", map[string]any{"iss": "partner", "kind": "robot"}), false},

		{"a TCP port, where no token can be shown", proxy.Call{From: "cluster.local/ns/shop/sa/frontend", Port: 9000}, false},
	})
	unjudged(t, i, other, call("GET", "/", nil))
}

// TestTrustDomains holds that a client is known by the trust domain of the
// clusters that it runs on, whatever that of the server is. A mesh reads
// cluster.local as its own trust domain, which must not make namesakes equal.
func TestTrustDomains(t *testing.T) {
	t.Parallel()
	h := example(t)
	cluster := func(n int, trustDomain string) {
		h.Put(t, fmt.Sprintf("/v2/cluster-providers/edge/clusters/shop-%d", n), fmt.Sprintf(`
metadata: {name: shop-%[1]d}
spec:
  {network: shop-%[1]d, trustDomain: %[3]s, authorities: [127.0.0.%[2]d],
   gateways: [{name: ew, role: eastwest, addresses: [192.0.2.%[1]d0]}]}`, n, n+1, trustDomain))
	}
	cluster(1, "shops.example")
	cluster(2, "cluster.local")
	cluster(3, "depots.example")
	placed(t, h, map[string]string{"far": edge3, "both": edge1 + ", " + edge2})
	const bank = "/v2/projects/bank/composite-apps/store/v1/deployment-intent-groups/prod"
	h.Put(t, bank, "metadata: {name: prod}\nspec: {namespace: bank, placements: [{app: teller, clusters: ["+edge3+"]}]}")
	spaces := map[string]string{"desk": "{clusterProvider: edge, cluster: shop-3}", "till": "{clusterProvider: edge, cluster: shop-2}"}
	for name, on := range spaces { // known by their namespace alone
		g := "/v2/projects/" + name + "/composite-apps/store/v1/deployment-intent-groups/prod"
		h.Put(t, g, fmt.Sprintf("metadata: {name: prod}\nspec: {namespace: %[1]s, placements: [{app: %[1]s, clusters: [%[2]s]}]}", name, on))
		h.Put(t, catalog+"/clients/"+name, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: %[1]s, appLabel: app=%[1]s, namespaces: [], cidrs: [], group: {project: %[1]s, compositeApp: store, version: v1, group: prod}}`, name))
		may(t, h, name, "read", `action: ALLOW, url: [], access: [GET]`)
	}
	for _, name := range []string{"far", "both", "nowhere"} {
		declare(t, h, name, "cidrs: []")
		may(t, h, name, "read", `action: ALLOW, url: [], access: [GET]`)
	}
	may(t, h, "both", "never", `action: DENY, url: ["/admin/*"], access: ["*"]`)
	declare(t, h, "teller", "cidrs: [], group: {project: bank, compositeApp: store, version: v1, group: prod}")
	may(t, h, "teller", "read", `action: ALLOW, url: ["/rates"], access: [GET]`)

	node := pods(t, h, "catalog", "10.1.0.5", "{number: 8080, name: http, protocol: HTTP}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2), MeshConfig: "trustDomain: shops.example"})
	sameAsBundle(t, h, i, "edge/shop-1")
	get := func(from, path string) proxy.Call {
		return proxy.Call{From: from, Port: 8080, Method: "GET", Path: path}
	}
	judged(t, i, node, []trial{
		{"frontend", get("cluster.local/ns/shop/sa/frontend", "/items"), true},
		{"its namesake beside the server", get("shops.example/ns/shop/sa/frontend", "/items"), false},
		{"its namesake elsewhere", get("depots.example/ns/shop/sa/frontend", "/items"), false},
		{"its namesake in a trust domain that ends alike", get("evil.cluster.local/ns/shop/sa/frontend", "/items"), false},
		{"its namesake in a trust domain that begins alike", get("cluster.local.evil/ns/shop/sa/frontend", "/items"), false},
		{"another of its namespace", get("cluster.local/ns/shop/sa/backend", "/items"), false},
		{"its namesake in another namespace", get("cluster.local/ns/bank/sa/frontend", "/items"), false},

		{"far", get("depots.example/ns/shop/sa/far", "/"), true},
		{"far's namesake", get("shops.example/ns/shop/sa/far", "/"), false},
		{"far's namesake in cluster.local", get("cluster.local/ns/shop/sa/far", "/"), false},

		{"both, beside the server", get("shops.example/ns/shop/sa/both", "/"), true},
		{"both, abroad", get("cluster.local/ns/shop/sa/both", "/"), true},
		{"both's namesake", get("depots.example/ns/shop/sa/both", "/"), false},
		{"both, denied", get("shops.example/ns/shop/sa/both", "/admin/1"), false},
		{"both, denied abroad", get("cluster.local/ns/shop/sa/both", "/admin/1"), false},

		{"a desk, known by its namespace", get("depots.example/ns/desk/sa/any", "/"), true},
		{"a desk's namesake beside the server", get("shops.example/ns/desk/sa/any", "/"), false},
		{"a desk's namesake in cluster.local", get("cluster.local/ns/desk/sa/any", "/"), false},
		{"a till, known by its namespace in cluster.local", get("cluster.local/ns/till/sa/any", "/"), true},
		{"a till's namesake beside the server", get("shops.example/ns/till/sa/any", "/"), false},

		{"teller, of another group", get("depots.example/ns/bank/sa/teller", "/rates"), true},
		{"teller, another path", get("depots.example/ns/bank/sa/teller", "/items"), false},
		{"teller's namesake in the service's namespace", get("depots.example/ns/shop/sa/teller", "/rates"), false},

		{"nowhere, which is not placed", get("shops.example/ns/shop/sa/nowhere", "/"), false},
		{"nowhere in cluster.local", get("cluster.local/ns/shop/sa/nowhere", "/"), false},
	})
}
