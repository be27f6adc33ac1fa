package node

import (
	"context"
	"encoding/hex"
	"net"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// traces is an OTLP collector that keeps what it is sent.
type traces struct {
	collector.UnimplementedTraceServiceServer

	mu    sync.Mutex // guards spans
	spans []*tracev1.Span
}

func (c *traces) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// named returns a span of a name, or nil.
func (c *traces) named(name string) *tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// TestTracesReachTheCollector holds that a write leaves spans of its request,
// proposal, build and push, and that the request's continues the caller's
// trace.
func TestTracesReachTheCollector(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := &traces{}
	srv := grpc.NewServer()
	collector.RegisterTraceServiceServer(srv, got)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(lis); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { srv.Stop(); serving.Wait() })

	c := testConfig(t)
	c.OTLPEndpoint = "http://" + lis.Addr().String()
	n := start(t, c)
	putCluster(t, n)
	acknowledge(t, n, "networking.istio.io/v1/VirtualService")
	if err := n.Stop(); err != nil { // flushes
		t.Fatal(err)
	}
	request := got.named("PUT /v2/cluster-providers/:provider/clusters/:cluster")
	if request == nil {
		request = got.named("PUT /v2/cluster-providers/{provider}/clusters/{cluster}")
	}
	propose := got.named("propose")
	if request == nil || propose == nil {
		t.Fatalf("spans of the request and the proposal: %v, %v; all: %v", request, propose, names(got))
	}
	if hex.EncodeToString(propose.TraceId) != hex.EncodeToString(request.TraceId) {
		t.Error("the proposal is not in the request's trace")
	}
	for _, name := range []string{"build", "push"} {
		if got.named(name) == nil {
			t.Errorf("no span %q; all: %v", name, names(got))
		}
	}
}

func names(c *traces) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, s := range c.spans {
		out = append(out, s.Name)
	}
	return out
}

// acknowledge subscribes to one type as an edge, and acknowledges the first
// answer.
func acknowledge(t *testing.T, n *Node, typeURL string) {
	t.Helper()
	conn, err := grpc.NewClient(n.XDSAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: "junk"}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: typeURL, VersionInfo: answer.VersionInfo, ResponseNonce: answer.Nonce}); err != nil {
		t.Fatal(err)
	}
	// The acknowledgement has arrived when a request behind it is answered.
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: "networking.istio.io/v1/Gateway"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
}
