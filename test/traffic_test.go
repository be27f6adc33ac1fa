package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
)

const trafficGroup = "/v2/projects/shop/composite-apps/traffic/v1/deployment-intent-groups/g"

// trafficFleet has clusters that serve in two regions, one of them behind a
// host name, one that only calls, and one that does both.
const trafficFleet = `
anchor: /v2/cluster-providers/edge/clusters/one
spec:
  network: one
  region: eu
  zone: z1
  gateways: [{name: ew, role: eastwest, addresses: [192.0.2.1, 192.0.2.2]}]
---
anchor: /v2/cluster-providers/edge/clusters/three
spec:
  network: three
  region: us
  zone: z1
  gateways: [{name: ew, role: eastwest, addresses: [192.0.2.3], ports: {tls: 31443}}]
---
anchor: /v2/cluster-providers/edge/clusters/named
spec:
  network: named
  region: eu
  zone: z2
  gateways: [{name: ew, role: eastwest, addresses: [gateway.example.com]}]
---
anchor: /v2/cluster-providers/edge/clusters/caller
spec:
  network: caller
  region: eu
  zone: z1
  authorities: [127.0.0.2]
---
anchor: /v2/cluster-providers/edge/clusters/both
spec:
  network: both
  region: eu
  zone: z2
  authorities: [127.0.0.3]
  gateways: [{name: ew, role: eastwest, addresses: [192.0.2.4]}]
---
anchor: ` + trafficGroup + `
spec:
  namespace: shop
  placements:
  - {app: solo, clusters: [{clusterProvider: edge, cluster: one}]}
  - {app: pair, clusters: [{clusterProvider: edge, cluster: one}, {clusterProvider: edge, cluster: three}]}
  - {app: behind-name, clusters: [{clusterProvider: edge, cluster: one}, {clusterProvider: edge, cluster: named}]}
  - {app: wide, clusters: [{clusterProvider: edge, cluster: one}, {clusterProvider: edge, cluster: three}, {clusterProvider: edge, cluster: both}]}
  - {app: here, clusters: [{clusterProvider: edge, cluster: both}]}
  - {app: web, clusters: [{clusterProvider: edge, cluster: caller}, {clusterProvider: edge, cluster: both}]}
  - {app: neighbour, clusters: [{clusterProvider: edge, cluster: both}]}
---
anchor: ` + trafficGroup + `/traffic-group-intents/t
`

// inbound puts a service into the traffic fleet, which an app calls. The text
// is the rest of the service's spec.
func trafficInbound(t *testing.T, h *hub.Hub, name, app, client, rest string) {
	t.Helper()
	path := trafficGroup + "/traffic-group-intents/t/inbound-intents/" + name
	h.Put(t, path, fmt.Sprintf("metadata: {name: %[1]s}\nspec: {app: %[2]s, appLabel: app=%[1]s, serviceName: %[1]s, %[3]s}", name, app, rest))
	h.Put(t, path+"/clients/c", fmt.Sprintf("metadata: {name: c}\nspec: {app: %s, appLabel: app=c, namespaces: [], cidrs: []}", client))
}

// A trafficView is what the proxies of one cluster are told.
type trafficView struct{ sidecar, gateway *proxy.Config }

// views starts an istiod for a cluster of the traffic fleet and reads from it.
func readTraffic(t *testing.T, h *hub.Hub, n int, cluster, locality string) trafficView {
	t.Helper()
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(n), ClusterID: cluster, Network: cluster})
	sameAsBundle(t, h, i, "edge/"+cluster)
	sidecar := proxy.Node{
		Name: "web-1", Namespace: "shop", Labels: map[string]string{"app": "web"},
		ClusterID: cluster, Network: cluster, Locality: locality,
	}
	gateway := sidecar
	gateway.Type, gateway.Name, gateway.Namespace, gateway.Labels = "router", "ew-1", "istio-system", map[string]string{"istio": "ew"}
	return trafficView{proxy.Read(t, i.XDSAddr(), sidecar), proxy.Read(t, i.XDSAddr(), gateway)}
}

const (
	httpPort  = "port: 8080, protocol: HTTP"
	allLimits = `, trafficPolicy: {circuitBreaking: {maxConnections: 11, connectTimeout: 3s, http1MaxPendingRequests: 12,
  http2MaxRequests: 13, maxRequestsPerConnection: 14, consecutive5xxErrors: 15, interval: 16s, baseEjectionTime: 17s, maxEjectionPercent: 18}}`
)

func httpPolicy(of string) string { return httpPort + ", trafficPolicy: {" + of + "}" }

// TestTraffic reads out of real istiods what they make of traffic policies,
// localities and TLS modes: for a caller's sidecar, and for an east-west
// gateway.
func TestTraffic(t *testing.T) {
	t.Parallel()
	h := hub.Start(t)
	h.Run(t, trafficFleet, "apply", "-f", "-")
	for name, lb := range balancings {
		trafficInbound(t, h, name, "solo", "web", httpPolicy("loadBalancing: "+lb.asked))
	}
	trafficInbound(t, h, "limited", "solo", "web", httpPort+allLimits)
	trafficInbound(t, h, "limited-tcp", "pair", "web", "port: 8081, protocol: TCP"+allLimits)
	trafficInbound(t, h, "nearest", "wide", "web", httpPolicy("locality: {mode: local-first, failover: [{from: eu, to: us}]}"))
	trafficInbound(t, h, "weighted", "pair", "web", httpPolicy("locality: {mode: weighted, weights: {edge/one: 60, edge/three: 40}}"))
	trafficInbound(t, h, "weighted-here", "wide", "web", httpPolicy("locality: {mode: weighted, weights: {edge/one: 60, edge/both: 40}}"))
	trafficInbound(t, h, "anywhere", "wide", "web", httpPolicy("locality: {mode: none}"))
	trafficInbound(t, h, "behind-name", "behind-name", "web", httpPort)
	trafficInbound(t, h, "tls-none", "here", "web", httpPort+", management: {tlsType: NONE}")
	trafficInbound(t, h, "tls-simple", "here", "web", httpPort+", management: {tlsType: SIMPLE}")
	trafficInbound(t, h, "grpc", "wide", "web", "port: 9090, protocol: GRPC")
	trafficInbound(t, h, "tcp", "wide", "web", "port: 5432, protocol: TCP")
	trafficInbound(t, h, "tls", "wide", "web", "port: 8443, protocol: TLS")
	trafficInbound(t, h, "near", "here", "neighbour", httpPort)

	w := traffic{hub: h, caller: readTraffic(t, h, 2, "caller", "eu/z1"), both: readTraffic(t, h, 3, "both", "eu/z2")}
	t.Run("balancing", w.checkBalancing)
	t.Run("limits", w.checkLimits)
	t.Run("localities", w.checkLocalities)
	t.Run("sockets", w.checkSockets)
	t.Run("names", w.checkNames)
	t.Run("gateway", w.checkGateway)
}

// traffic is what two clusters' proxies are told: one that only calls, and one
// that serves too.
type traffic struct {
	hub          *hub.Hub
	caller, both trafficView
}

// balancings are what an intent can ask for, and what becomes of it.
var balancings = map[string]struct {
	asked string
	want  proxy.Balancing
	hash  string
}{
	"round":       {"{type: ROUND_ROBIN}", proxy.Balancing{Policy: "ROUND_ROBIN"}, ""},
	"least":       {"{type: LEAST_REQUEST}", proxy.Balancing{Policy: "LEAST_REQUEST"}, ""},
	"random":      {"{type: RANDOM}", proxy.Balancing{Policy: "RANDOM"}, ""},
	"passthrough": {"{type: PASSTHROUGH}", proxy.Balancing{Policy: "LEAST_REQUEST"}, ""}, // can't apply to a virtual address
	"warm":        {"{type: ROUND_ROBIN, warmupSeconds: 30}", proxy.Balancing{Policy: "ROUND_ROBIN", Warmup: 30 * time.Second}, ""},
	"warm-least":  {"{type: LEAST_REQUEST, warmupSeconds: 40}", proxy.Balancing{Policy: "LEAST_REQUEST", Warmup: 40 * time.Second}, ""},
	"header":      {"{consistentHash: {httpHeader: x-user, minimumRingSize: 512}}", proxy.Balancing{Policy: "RING_HASH", RingSize: 512}, " by header x-user"},
	"cookie":      {"{consistentHash: {httpCookie: {name: c, path: /p, ttl: 60s}}}", proxy.Balancing{Policy: "RING_HASH", RingSize: 1024}, " by cookie c path=/p ttl=1m0s"},
	"session":     {"{consistentHash: {httpCookie: {name: c}}}", proxy.Balancing{Policy: "RING_HASH", RingSize: 1024}, " by cookie c path= ttl=0s"},
	"parameter":   {"{consistentHash: {httpQueryParameter: q}}", proxy.Balancing{Policy: "RING_HASH", RingSize: 1024}, " by parameter q"},
	"source":      {"{consistentHash: {useSourceIp: true}}", proxy.Balancing{Policy: "RING_HASH", RingSize: 1024}, " by source"},
}

func (w *traffic) checkBalancing(t *testing.T) {
	sidecar := w.caller.sidecar
	for name, lb := range balancings {
		host := name + ".shop.global"
		cluster := proxy.Cluster(8080, "", host)
		if diff := cmp.Diff(lb.want, sidecar.Balancing(cluster)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]string{cluster + lb.hash}, sidecar.VirtualHost("8080", host).Routes); diff != "" {
			t.Errorf("routes of %s (-want +got):\n%s", name, diff)
		}
	}
}

func (w *traffic) checkLimits(t *testing.T) {
	sidecar := w.caller.sidecar
	type breaking struct {
		Limits  proxy.Limits
		Outlier *proxy.Outlier
	}
	outlier := &proxy.Outlier{Consecutive5xx: 15, Interval: 16 * time.Second, BaseEjectionTime: 17 * time.Second, MaxEjectionPercent: 18}
	got := map[string]breaking{}
	for _, cluster := range []string{proxy.Cluster(8080, "", "limited.shop.global"), proxy.Cluster(8081, "", "limited-tcp.shop.global"), proxy.Cluster(8080, "", "round.shop.global"), proxy.Cluster(8080, "", "nearest.shop.global")} {
		got[cluster] = breaking{sidecar.Limits(cluster), sidecar.Outlier(cluster)}
	}
	want := map[string]breaking{
		"outbound|8080||limited.shop.global":     {proxy.Limits{Connections: 11, Pending: 12, Requests: 13, PerConnection: 14, ConnectTimeout: 3 * time.Second}, outlier},
		"outbound|8081||limited-tcp.shop.global": {proxy.Limits{Connections: 11, ConnectTimeout: 3 * time.Second}, outlier},
		"outbound|8080||round.shop.global":       {proxy.Limits{ConnectTimeout: 10 * time.Second}, nil},
		// To fail over, proxies must see failures, and may eject all.
		"outbound|8080||nearest.shop.global": {proxy.Limits{ConnectTimeout: 10 * time.Second}, &proxy.Outlier{Consecutive5xx: 5, MaxEjectionPercent: 100}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits and ejections (-want +got):\n%s", diff)
	}
}

// checkLocalities compares where calls go from a cluster in eu/z1 that does not
// serve, and from one in eu/z2 that does.
func (w *traffic) checkLocalities(t *testing.T) {
	caller, both := w.caller.sidecar, w.both.sidecar
	type places = []proxy.Locality
	one := func(priority uint32) proxy.Locality {
		return proxy.Locality{Place: "eu/z1", Priority: priority, Weight: 2, Endpoints: []string{"192.0.2.1:15443", "192.0.2.2:15443"}}
	}
	at := func(place string, priority, weight uint32, address string) proxy.Locality {
		l := proxy.Locality{Place: place, Priority: priority, Weight: weight, Endpoints: []string{address}}
		if weight > 1 {
			l.Endpoints[0] = fmt.Sprintf("%s x %d", address, weight)
		}
		return l
	}
	sixty := proxy.Locality{Place: "eu/z1", Weight: 120, Endpoints: []string{"192.0.2.1:15443 x 60", "192.0.2.2:15443 x 60"}}
	type row struct {
		name         string
		port         int
		caller, both places
	}
	rows := []row{
		{"round", 8080, places{one(0)}, places{one(0)}},
		{
			"weighted", 8080,
			places{sixty, at("us/z1", 0, 80, "192.0.2.3:31443")},
			places{sixty, at("us/z1", 0, 80, "192.0.2.3:31443")},
		},
		{
			"weighted-here", 8080,
			places{sixty, at("eu/z2", 0, 80, "192.0.2.4:15443")},
			places{sixty, at("eu/z2", 0, 80, "weighted-here.shop.svc.cluster.local:8080")},
		},
		{
			"anywhere", 8080,
			places{one(0), at("eu/z2", 0, 2, "192.0.2.4:15443"), at("us/z1", 0, 2, "192.0.2.3:31443")},
			places{one(0), at("eu/z2", 0, 2, "anywhere.shop.svc.cluster.local:8080"), at("us/z1", 0, 2, "192.0.2.3:31443")},
		},
		{
			"behind-name", 8080,
			places{one(0), at("eu/z2", 1, 2, "gateway.example.com:15443")},
			places{at("eu/z2", 0, 2, "gateway.example.com:15443"), one(1)},
		},
		{"near", 8080, nil, places{at("eu/z2", 0, 1, "near.shop.svc.cluster.local:8080")}},
	}
	for name, port := range map[string]int{"nearest": 8080, "grpc": 9090, "tcp": 5432, "tls": 8443} {
		local := fmt.Sprintf("%s.shop.svc.cluster.local:%d", name, port)
		rows = append(rows, row{
			name, port,
			places{one(0), at("eu/z2", 1, 2, "192.0.2.4:15443"), at("us/z1", 2, 2, "192.0.2.3:31443")},
			places{at("eu/z2", 0, 2, local), one(1), at("us/z1", 2, 2, "192.0.2.3:31443")},
		})
	}
	for _, test := range rows {
		cluster := proxy.Cluster(test.port, "", test.name+".shop.global")
		if diff := cmp.Diff(test.caller, caller.Localities(cluster)); diff != "" {
			t.Errorf("%s from where it does not run (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(test.both, both.Localities(cluster)); diff != "" {
			t.Errorf("%s from where others serve too (-want +got):\n%s", test.name, diff)
		}
	}
}

// checkSockets holds that between clusters calls are mutual TLS with the
// gateways' SNI, whatever the service's own mode, which rules inside a cluster.
func (w *traffic) checkSockets(t *testing.T) {
	caller, both := w.caller.sidecar, w.both.sidecar
	got := map[string][]proxy.Socket{}
	for name, port := range map[string]int{"tls-none": 8080, "tls-simple": 8080, "near": 8080, "nearest": 8080, "grpc": 9090, "tcp": 5432, "tls": 8443} {
		cluster := proxy.Cluster(port, "", name+".shop.global")
		got[name+" from caller"], got[name+" from both"] = caller.Sockets(cluster), both.Sockets(cluster)
	}
	mutual := func(sni string) []proxy.Socket { return []proxy.Socket{{For: "all", Kind: "mutual TLS", SNI: sni}} }
	want := map[string][]proxy.Socket{
		"tls-none from caller": mutual("outbound_.8080_._.tls-none.shop.global"), "tls-none from both": {{For: "all", Kind: "plain"}},
		"tls-simple from caller": mutual("outbound_.8080_._.tls-simple.shop.global"), "tls-simple from both": {{For: "all", Kind: "TLS"}},
		"near from caller": nil, "near from both": mutual("outbound_.8080_._.near.shop.global"),
		"nearest from caller": mutual("outbound_.8080_._.nearest.shop.global"), "nearest from both": mutual("outbound_.8080_._.nearest.shop.global"),
		"grpc from caller": mutual("outbound_.9090_._.grpc.shop.global"), "grpc from both": mutual("outbound_.9090_._.grpc.shop.global"),
		"tcp from caller": mutual("outbound_.5432_._.tcp.shop.global"), "tcp from both": mutual("outbound_.5432_._.tcp.shop.global"),
		"tls from caller": mutual("outbound_.8443_._.tls.shop.global"), "tls from both": mutual("outbound_.8443_._.tls.shop.global"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how connections are opened (-want +got):\n%s", diff)
	}
}

// checkNames holds by which names and addresses a service is called. The old
// name leads to H where the service does not run.
func (w *traffic) checkNames(t *testing.T) {
	h, caller, both := w.hub, w.caller.sidecar, w.both.sidecar
	vip := func(name string) string {
		for _, o := range h.Bundle(t, "edge/both") {
			if o.Kind == "ServiceEntry" && o.Metadata.Namespace == "shop" && slices.Contains(o.Spec["hosts"].([]any), any(name+".shop.global")) {
				return o.Spec["addresses"].([]any)[0].(string)
			}
		}
		t.Fatalf("no ServiceEntry for %s", name)
		return ""
	}
	for _, service := range []struct {
		name string
		port int
	}{{"nearest", 8080}, {"grpc", 9090}} {
		host, route := service.name+".shop.global", fmt.Sprint(service.port)
		leads := []string{proxy.Cluster(service.port, "", host)}
		old := service.name + ".shop.svc.cluster.local"
		for _, test := range []struct {
			what   string
			from   *proxy.Config
			domain string
			want   *proxy.VirtualHost
		}{
			{"H from where it does not run", caller, host, &proxy.VirtualHost{Domains: []string{host, host + "."}, Routes: leads}},
			{"the old name", caller, old, &proxy.VirtualHost{
				Domains: []string{vip(service.name), service.name, service.name + ".shop", service.name + ".shop.svc", old, old + "."}, Routes: leads,
			}},
			{"H from where it runs", both, host, &proxy.VirtualHost{Domains: []string{vip(service.name), host, host + "."}, Routes: leads}},
		} {
			if diff := cmp.Diff(test.want, test.from.VirtualHost(route, test.domain)); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", test.what, service.name, diff)
			}
		}
	}
	for name, port := range map[string]int{"tcp": 5432, "tls": 8443} {
		want := []string{proxy.Cluster(port, "", name+".shop.global")}
		for _, from := range []*proxy.Config{caller, both} {
			if diff := cmp.Diff(want, from.TCPClusters(fmt.Sprintf("%s_%d", vip(name), port))); diff != "" {
				t.Errorf("%s at its address (-want +got):\n%s", name, diff)
			}
		}
	}
	if found := caller.VirtualHost("8080", "near.shop.global"); found != nil {
		t.Errorf("a cluster without its client knows the service: %+v", found)
	}
}

// checkGateway holds that the gateway leads inwards, and leaves TLS alone. A
// service whose clients all stand on its own cluster has no place at it.
func (w *traffic) checkGateway(t *testing.T) {
	gateway := w.both.gateway
	got := map[string][]proxy.Locality{}
	for _, sni := range gateway.FilterChainServerNames(15443) {
		got[sni] = gateway.Localities(sni)
		if sockets := gateway.Sockets(sni); !slices.Equal(sockets, []proxy.Socket{{For: "all", Kind: "plain"}}) {
			t.Errorf("%s is passed on by %+v", sni, sockets)
		}
	}
	want := map[string][]proxy.Locality{}
	for name, port := range map[string]int{
		"nearest": 8080, "weighted-here": 8080, "anywhere": 8080, "tls-none": 8080, "tls-simple": 8080, "grpc": 9090, "tcp": 5432, "tls": 8443,
	} {
		want[fmt.Sprintf("outbound_.%d_._.%s.shop.global", port, name)] = []proxy.Locality{{
			Place: "eu/z2", Weight: 1, Endpoints: []string{fmt.Sprintf("%s.shop.svc.cluster.local:%d", name, port)},
		}}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where the gateway leads to (-want +got):\n%s", diff)
	}
}
