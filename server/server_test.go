package server

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/meshwright/meshwright/snapshot"
)

// TestMain holds that the tests leave no goroutine of the server behind, and
// is the benchmarks' clients when they ask for it.
func TestMain(m *testing.M) {
	if os.Getenv(edgesEnv) != "" {
		runEdges()
		return
	}
	code := m.Run()
	deadline := time.Now().Add(patience)
	for code == 0 && goroutines("") > 0 {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%d goroutines of the server are left\n", goroutines(""))
			code = 1
		}
		time.Sleep(5 * time.Millisecond)
	}
	os.Exit(code)
}

func unmarshalled(t testing.TB, b []byte) *discovery.DiscoveryResponse {
	t.Helper()
	var r discovery.DiscoveryResponse
	if err := proto.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// payloads notes where the bytes lie that are handed to the transport.
type payloads struct {
	mu    sync.Mutex
	first map[*byte]int // backing array → how often
}

func (p *payloads) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (p *payloads) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (p *payloads) HandleConn(context.Context, stats.ConnStats)                       {}

func (p *payloads) HandleRPC(_ context.Context, s stats.RPCStats) {
	if out, ok := s.(*stats.OutPayload); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.first[&out.Payload.(encoded)[0]]++
	}
}

// TestStreamsShareTheirBytes holds that a response is encoded once for all the
// streams of a view, whatever their number.
func TestStreamsShareTheirBytes(t *testing.T) {
	const streams = 200
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a", "b"))
	seen := &payloads{first: map[*byte]int{}}
	h := startHub(t, m, func(c *Config) {
		c.MaxStreamsPerCluster = streams
		c.options = []grpc.ServerOption{grpc.StatsHandler(seen)}
	})
	var keep [][]byte // the encoded message is forgotten when nobody sends it
	h.settle(t)
	keep = append(keep, h.set("a", snapshot.VirtualService).StateOfTheWorld(virtualServices))
	var edges []*istiod
	for i := range streams { // two clusters with the same objects
		edges = append(edges, h.connect(t, []string{"a.example", "b.example"}[i%2]))
		edges[i].ask(virtualServices)
	}
	for _, c := range edges {
		c.ack(c.next())
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.first) != 1 || seen.first[&keep[0][0]] != streams {
		t.Errorf("%d streams were sent %d arrays, %v", streams, len(seen.first), seen.first)
	}
}

// TestSlowReaderGetsTheLatest holds that a client that does not read is sent
// no queue of what it missed.
func TestSlowReaderGetsTheLatest(t *testing.T) {
	m := newStore(t)
	padding := make([]byte, 200_000)
	for i := range padding {
		padding[i] = 'x'
	}
	big := func(i int) { m.apply(t, route(t, "r", fmt.Sprint("v", i, string(padding)), "a")) }
	big(0)
	h := startHub(t, m)
	stream, err := h.dial(t, "a.example").StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: virtualServices}); err != nil {
		t.Fatal(err)
	}
	const changes = 100
	for i := 1; i <= changes; i++ {
		big(i)
		h.settle(t)
	}
	want := h.set("a", snapshot.VirtualService).Version()
	received := 0
	for {
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		received++
		if r.VersionInfo == want {
			break
		}
	}
	// What was in the transport when the client stopped to read, and the
	// latest.
	if received > 10 {
		t.Errorf("%d responses for %d changes", received, changes)
	}
}

// TestReconnectIsServedAtOnce does what istiod does when it loses a stream.
func TestReconnectIsServedAtOnce(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "a"))
	h := startHub(t, m)
	client := h.dial(t, "a.example")
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := client.StreamAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: virtualServices, ResponseNonce: "junk"}); err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "objects", []string{"shop/r"}, names(t, r))
		cancel()
	}
	eventually(t, "the streams are gone", func() bool { return h.metric(t, "streams") == 0 })
}

// TestStopEndsStreams holds that a stop tells clients to dial again, promptly,
// those that are held as well.
func TestStopEndsStreams(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.Drain = time.Hour })
	served, held := h.connect(t, "a.example"), h.connect(t, "who.example")
	served.ask(virtualServices)
	served.next()
	eventually(t, "the other is held", func() bool { return h.metric(t, "held_streams") == 1 })
	h.stop()
	for name, c := range map[string]*istiod{"served": served, "held": held} {
		if got := c.end(); got != codes.Unavailable {
			t.Errorf("the %s stream ended with %v, want Unavailable", name, got)
		}
	}
}

// TestStopDoesNotWaitForTheDeaf holds that a client that does not read delays
// a stop for the drain time alone.
func TestStopDoesNotWaitForTheDeaf(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", string(make64k()), "a"))
	h := startHub(t, m, func(c *Config) { c.Drain = time.Millisecond })
	stream, err := h.dial(t, "a.example", grpc.WithTransportCredentials(insecure.NewCredentials())).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		url := fmt.Sprintf("networking.istio.io/v%d/VirtualService", i)
		if err := stream.Send(&discovery.DiscoveryRequest{TypeUrl: url}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the server waits for the client", func() bool { return goroutines("(*stream).transmit") == 1 })
	h.stop()
}

func make64k() []byte {
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// TestRequestTooLarge holds the bound on a request.
func TestRequestTooLarge(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.MaxRequestBytes = 1000 })
	c := h.connect(t, "a.example")
	c.send(&discovery.DiscoveryRequest{TypeUrl: virtualServices, ResourceNames: []string{string(make64k())}})
	if got := c.end(); got != codes.ResourceExhausted {
		t.Errorf("the stream ended with %v, want ResourceExhausted", got)
	}
}

func TestValidate(t *testing.T) {
	h := newHub(t, newStore(t))
	_ = h.server.xds[0].Close()
	for name, change := range map[string]func(*Config){
		"no views":        func(c *Config) { c.Views = nil },
		"no address":      func(c *Config) { c.XDSAddrs = nil },
		"TLS without key": func(c *Config) { c.CertFile = "cert.pem" },
		"no port":         func(c *Config) { c.XDSAddrs = []string{"127.0.0.1"} },
		"no streams":      func(c *Config) { c.MaxStreams = 0 },
		"negative hold":   func(c *Config) { c.HoldUnknown = -1 },
		"no recheck":      func(c *Config) { c.RecheckEvery = 0 },
	} {
		config := h.server.config
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
