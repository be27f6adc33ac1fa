package grpcecho

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshwright/meshwright/test/proxy"
)

// timeout is for one call, the first of which waits for the configuration.
const timeout = 10 * time.Second

// Client calls a service through an istiod's routing.
type Client struct {
	conn *grpc.ClientConn
	ctx  context.Context // the test's
}

// Dial returns a client in the namespace default whose target is a host:port
// of the mesh, which only istiod needs to know. It is closed when the test
// ends. Each client has an xDS connection of its own.
func Dial(t testing.TB, istiodXDSAddr, target string) *Client {
	t.Helper()
	return DialAs(t, istiodXDSAddr, target, proxy.Node{})
}

// DialAs is Dial with a namespace, labels, cluster or locality of the caller's.
func DialAs(t testing.TB, istiodXDSAddr, target string, node proxy.Node) *Client {
	t.Helper()
	boot, err := bootstrap(istiodXDSAddr, node)
	if err != nil {
		t.Fatalf("making a bootstrap for %s: %v", target, err)
	}
	resolver, err := xds.NewXDSResolverWithConfigForTesting(boot)
	if err != nil {
		t.Fatalf("making a resolver for %s: %v", target, err)
	}
	conn, err := grpc.NewClient("xds:///"+target,
		grpc.WithResolvers(resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatalf("dialling %s: %v", target, err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Client{conn, t.Context()}
}

// Call makes one call, with the header's names and values in pairs, and
// returns the name of the server that answered.
func (c *Client) Call(header ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, header...)
	out := new(wrapperspb.StringValue)
	if err := c.conn.Invoke(ctx, Method, new(wrapperspb.StringValue), out); err != nil {
		return "", err
	}
	return out.GetValue(), nil
}

// Calls makes n calls, one after the other, and counts the servers that
// answered. A failed call counts under "error: " and its code.
func (c *Client) Calls(n int) map[string]int {
	counts := map[string]int{}
	for range n {
		name, err := c.Call()
		if err != nil {
			name = fmt.Sprint("error: ", status.Code(err))
		}
		counts[name]++
	}
	return counts
}

// bootstrap is what the xDS client in gRPC starts with.
func bootstrap(server string, node proxy.Node) ([]byte, error) {
	n := node.Proto()
	meta := n.GetMetadata().AsMap()
	meta["GENERATOR"] = "grpc" // istiod's, for clients without Envoy
	l := n.GetLocality()
	// gRPC refuses a cluster with ISTIO_MUTUAL unless a certificate provider of
	// this name is configured. With the plaintext credentials of Dial it is
	// never started, so its files need not exist.
	none := map[string]any{
		"certificate_file": "/nonexistent", "private_key_file": "/nonexistent", "ca_certificate_file": "/nonexistent",
	}
	return json.Marshal(map[string]any{
		"certificate_providers": map[string]any{
			"default": map[string]any{"plugin_name": "file_watcher", "config": none},
		},
		"xds_servers": []any{map[string]any{
			"server_uri":      server,
			"channel_creds":   []any{map[string]any{"type": "insecure"}},
			"server_features": []any{"xds_v3"},
		}},
		"node": map[string]any{
			"id":       n.GetId(),
			"metadata": meta,
			"locality": map[string]any{"region": l.GetRegion(), "zone": l.GetZone(), "sub_zone": l.GetSubZone()},
		},
	})
}
