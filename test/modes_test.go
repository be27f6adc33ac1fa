package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
)

// TestTLSModes reads out of a real istiod, for each TLS type and protocol, what
// the serving workload's sidecar takes and what callers in its cluster open.
func TestTLSModes(t *testing.T) {
	t.Parallel()
	h := example(t)
	placed(t, h, map[string]string{"neighbour": edge1})
	const ports = "{number: 8080, name: http, protocol: HTTP}, {number: 9090, name: grpc, protocol: GRPC}, {number: 5432, name: tcp, protocol: TCP}, {number: 8443, name: tls, protocol: TLS}"
	servers := map[string]proxy.Node{}
	for n, mode := range []string{"MUTUAL", "SIMPLE", "NONE"} {
		name := strings.ToLower(mode)
		path := webIntents + "/inbound-intents/" + name
		h.Put(t, path, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: catalog, appLabel: app=%[1]s, serviceName: %[1]s, port: 8080, protocol: HTTP, management: {tlsType: %[2]s},
  ports: [{name: grpc, port: 9090, protocol: GRPC}, {name: tcp, port: 5432, protocol: TCP}, {name: tls, port: 8443, protocol: TLS}]}`, name, mode))
		h.Put(t, path+"/clients/neighbour", "metadata: {name: neighbour}\nspec: {app: neighbour, appLabel: app=neighbour, namespaces: [], cidrs: []}")
		servers[mode] = pods(t, h, name, fmt.Sprintf("10.1.0.%d", n+1), ports)
	}
	other := pods(t, h, "other", "10.1.0.9", ports)
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")
	caller := proxy.Read(t, i.XDSAddr(), proxy.Node{Name: "neighbour-1", Namespace: "shop", Labels: map[string]string{"app": "neighbour"}})

	want := map[string]map[int]string{
		"MUTUAL": {8080: "mutual TLS", 9090: "mutual TLS", 5432: "mutual TLS", 8443: "mutual TLS"},
		// Where callers speak TLS themselves, nothing opens it again.
		"SIMPLE": {8080: "TLS", 9090: "TLS", 5432: "TLS", 8443: "plain"},
		"NONE":   {8080: "plain", 9090: "plain", 5432: "plain", 8443: "plain"},
	}
	for mode, opened := range want {
		server := proxy.Read(t, i.XDSAddr(), servers[mode])
		for port, kind := range opened {
			if got := server.TakesPlainText(port); got != (mode != "MUTUAL") {
				t.Errorf("%s: plain text is taken at port %d: %v", mode, port, got)
			}
			for _, domain := range []string{"svc.cluster.local", "global"} {
				cluster := proxy.Cluster(port, "", strings.ToLower(mode)+".shop."+domain)
				var got []string
				for _, s := range caller.Sockets(cluster) {
					got = append(got, s.Kind)
				}
				if diff := cmp.Diff([]string{kind}, got); diff != "" {
					t.Errorf("%s: what callers open for %s (-want +got):\n%s", mode, cluster, diff)
				}
			}
		}
	}
	if !proxy.Read(t, i.XDSAddr(), other).TakesPlainText(8080) {
		t.Error("a workload that no intent is about takes mutual TLS alone")
	}
}
