package proxy

import (
	"context"
	"fmt"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// timeout is for one whole reading.
const timeout = 20 * time.Second

// maxMessage allows for the configuration of a large mesh in one response.
const maxMessage = 256 << 20

// Read connects to istiod's plain xDS address as node and returns what it is
// told. Each reading is a new proxy that connects and goes; to wait for a
// change, read again.
func Read(t testing.TB, istiodXDSAddr string, node Node) *Config {
	t.Helper()
	config, err := Fetch(t.Context(), istiodXDSAddr, node)
	if err != nil {
		t.Fatalf("reading the configuration of %s from %s: %v", node.ID(), istiodXDSAddr, err)
	}
	return config
}

// Fetch is Read for checks that are repeated.
func Fetch(ctx context.Context, istiodXDSAddr string, node Node) (*Config, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := grpc.NewClient(istiodXDSAddr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{ads: ads, node: node.Proto()}
	c := NewConfig()
	// Envoy's order: endpoints need the clusters' names, routes the listeners'.
	steps := []struct {
		typeURL string
		names   func() []string // nil asks for everything
		keep    func(*anypb.Any) error
	}{
		{clusterType, nil, into(c.Clusters, (*clusterv3.Cluster).GetName)},
		{endpointType, c.edsNames, into(c.Endpoints, (*endpointv3.ClusterLoadAssignment).GetClusterName)},
		{listenerType, nil, into(c.Listeners, (*listenerv3.Listener).GetName)},
		{routeType, c.rdsNames, into(c.Routes, (*routev3.RouteConfiguration).GetName)},
	}
	for _, step := range steps {
		var names []string
		if step.names != nil {
			if names = step.names(); len(names) == 0 {
				continue // istiod does not answer a question about nothing
			}
		}
		resources, err := s.ask(step.typeURL, names)
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", step.typeURL, err)
		}
		for _, r := range resources {
			if err := step.keep(r); err != nil {
				return nil, fmt.Errorf("decoding a %s: %w", step.typeURL, err)
			}
		}
	}
	return c, nil
}

// into returns a function that decodes a resource into m under its name.
func into[M any, P interface {
	*M
	proto.Message
}](m map[string]P, name func(P) string) func(*anypb.Any) error {
	return func(a *anypb.Any) error {
		p := P(new(M))
		if err := a.UnmarshalTo(p); err != nil {
			return err
		}
		m[name(p)] = p
		return nil
	}
}

// stream asks one question after another on an ADS stream.
type stream struct {
	ads  discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node *corev3.Node // nil once sent
}

// ask subscribes to a type and returns the first answer, acknowledged. Pushes
// of types that were asked before are left unanswered, so each comes once.
func (s *stream) ask(typeURL string, names []string) ([]*anypb.Any, error) {
	req := &discoveryv3.DiscoveryRequest{Node: s.node, TypeUrl: typeURL, ResourceNames: names}
	s.node = nil
	if err := s.ads.Send(req); err != nil {
		return nil, err
	}
	for {
		resp, err := s.ads.Recv()
		if err != nil {
			return nil, err
		}
		if resp.GetTypeUrl() != typeURL {
			continue
		}
		return resp.GetResources(), s.ads.Send(&discoveryv3.DiscoveryRequest{
			TypeUrl: typeURL, ResourceNames: names,
			VersionInfo: resp.GetVersionInfo(), ResponseNonce: resp.GetNonce(),
		})
	}
}
