package test

import (
	"fmt"
	"math"
	"net"
	"testing"

	"github.com/meshwright/meshwright/test/grpcecho"
	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

// TestCallsFollowTheWeights lets a proxyless gRPC client call through
// Meshwright's objects: shares hold whatever the number of addresses, and when
// a region is gone, the next one takes over.
func TestCallsFollowTheWeights(t *testing.T) {
	t.Parallel()
	first := grpcecho.StartServerAt(t, "one", "127.0.2.1:0")
	port := fmt.Sprint(first.Port())
	second := grpcecho.StartServerAt(t, "one", net.JoinHostPort("127.0.2.2", port))
	third := grpcecho.StartServerAt(t, "three", net.JoinHostPort("127.0.2.3", port))

	h := hub.Start(t)
	h.Run(t, trafficFleet, "apply", "-f", "-")
	for name, place := range map[string]string{"one": "region: eu, zone: z1, gateways: [{name: ew, role: eastwest, addresses: [127.0.2.1, 127.0.2.2]", "three": "region: us, zone: z1, gateways: [{name: ew, role: eastwest, addresses: [127.0.2.3]"} {
		h.Put(t, "/v2/cluster-providers/edge/clusters/"+name, fmt.Sprintf("metadata: {name: %s}\nspec: {%s, ports: {tls: %s}}]}", name, place, port))
	}
	grpc := "port: 9090, protocol: GRPC, trafficPolicy: {loadBalancing: {type: ROUND_ROBIN}, locality: "
	trafficInbound(t, h, "weighted", "pair", "web", grpc+"{mode: weighted, weights: {edge/one: 60, edge/three: 40}}}")
	trafficInbound(t, h, "nearest", "pair", "web", grpc+"{failover: [{from: eu, to: us}]}}")
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2), ClusterID: "caller"})
	sameAsBundle(t, h, i, "edge/caller")
	node := proxy.Node{Namespace: "shop", ClusterID: "caller", Locality: "eu/z1"}
	weighted := grpcecho.DialAs(t, i.XDSAddr(), "weighted.shop.global:9090", node)
	nearest := grpcecho.DialAs(t, i.XDSAddr(), "nearest.shop.global:9090", node)

	shares := func(client *grpcecho.Client, want float64) func() error {
		return func() error {
			const calls = 500
			got := client.Calls(calls)
			if share := float64(got["one"]) / calls; got["one"]+got["three"] != calls || math.Abs(share-want) > 0.1 {
				return fmt.Errorf("answers of %d calls: %v, want a share of %.2f from one", calls, got, want)
			}
			return nil
		}
	}
	wait.Until(t, "calls to follow the weights", shares(weighted, 0.6))
	wait.Until(t, "calls to stay in the region", shares(nearest, 1))
	if first.Calls() == 0 || second.Calls() == 0 || third.Calls() == 0 {
		t.Errorf("calls reached the addresses %d, %d and %d times", first.Calls(), second.Calls(), third.Calls())
	}
	first.Stop()
	second.Stop()
	wait.Until(t, "the other region to take over", shares(nearest, 0))
}
