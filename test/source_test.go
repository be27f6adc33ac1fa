package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/meshwright/meshwright/test/istiod"
)

// source is the smallest MCP-over-xDS source that istiod takes: it stands in
// for our node until that exists.
type source struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	addr string

	mu      sync.Mutex
	kinds   map[string]kind // by group/kind
	changed chan struct{}   // closed by set
	dialled []string        // :authority of each stream
}

// kind is all objects of one kind; its version counts the calls of set.
type kind struct {
	version int
	entries []*anypb.Any
}

// startSource starts a source on 127.0.0.1 and, for istiod.At, on 127.0.0.2.
func startSource(t *testing.T, opts ...grpc.ServerOption) *source {
	t.Helper()
	lis := listen(t, "127.0.0.1:0")
	s := &source{
		addr:    lis.Addr().String(),
		kinds:   map[string]kind{},
		changed: make(chan struct{}),
	}
	srv := grpc.NewServer(append(opts,
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}))...)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, s)
	for _, l := range []net.Listener{lis, listen(t, istiod.At(2, s.addr))} {
		go func() { _ = srv.Serve(l) }() // returns when Stop is called
	}
	t.Cleanup(srv.Stop)
	return s
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	return lis
}

// set replaces all objects of a group/kind.
func (s *source) set(t *testing.T, groupKind string, resources ...*mcp.Resource) {
	t.Helper()
	entries := make([]*anypb.Any, 0, len(resources))
	for _, r := range resources {
		entry, err := anypb.New(r)
		if err != nil {
			t.Fatalf("encoding %s: %v", r.GetMetadata().GetName(), err)
		}
		entries = append(entries, entry)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[groupKind] = kind{s.kinds[groupKind].version + 1, entries}
	close(s.changed)
	s.changed = make(chan struct{})
}

// authorities are the names that were dialled.
func (s *source) authorities() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dialled)
}

// StreamAggregatedResources answers the first request for a type and each
// change with the whole type; acknowledgements need no answer.
func (s *source) StreamAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.mu.Lock()
	s.dialled = append(s.dialled, strings.Join(md.Get(":authority"), ","))
	s.mu.Unlock()
	asked := make(chan string)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				return // the stream has ended, and its context with it
			}
			select {
			case asked <- req.GetTypeUrl():
			case <-stream.Context().Done():
				return
			}
		}
	}()
	sent := map[string]int{} // by type URL, the version
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		for typeURL, version := range sent {
			var err error
			if sent[typeURL], err = s.send(stream, typeURL, version); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		case typeURL := <-asked:
			if _, known := sent[typeURL]; !known && !strings.HasSuffix(typeURL, "/MeshConfig") {
				sent[typeURL] = -1
			}
		}
	}
}

// send sends a type unless the version that was sent last is current, and
// returns the current one.
func (s *source) send(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer, typeURL string, last int) (int, error) {
	// istiod asks for "group/version/Kind"; the version is its own affair.
	parts := strings.Split(typeURL, "/")
	s.mu.Lock()
	k := s.kinds[parts[0]+"/"+parts[len(parts)-1]]
	s.mu.Unlock()
	if k.version == last {
		return last, nil
	}
	version := strconv.Itoa(k.version)
	return k.version, stream.Send(&discoveryv3.DiscoveryResponse{
		TypeUrl: typeURL, VersionInfo: version, Nonce: version, Resources: k.entries,
	})
}

// resource wraps an object; its version changes whenever it is made anew.
func resource(name string, body proto.Message) *mcp.Resource {
	spec, err := anypb.New(body)
	if err != nil {
		panic(err) // only for an invalid message
	}
	return &mcp.Resource{
		Metadata: &mcp.Metadata{
			Name:       name,
			Version:    strconv.FormatInt(time.Now().UnixNano(), 36),
			CreateTime: timestamppb.New(time.Unix(1_700_000_000, 0)),
			Labels:     map[string]string{"meshwright.io/test": "yes"},
		},
		Body: spec,
	}
}

// certificate makes a self-signed server certificate and its PEM.
func certificate(t *testing.T, name string) (string, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("making a certificate: %v", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(block), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
