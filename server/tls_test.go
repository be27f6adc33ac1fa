package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshwright/meshwright/clusters"
)

// pair writes a self-signed certificate and its key, and returns a pool that
// trusts it.
func pair(t *testing.T, dir, subject string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject},
		DNSNames:  []string{"*.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), certPEM)
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func overTLS(dir string) func(*Config) {
	return func(c *Config) {
		c.XDSAddrs, c.TLSAddr = nil, "127.0.0.1:0"
		c.CertFile, c.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	}
}

// TestClusterBySNI holds that TLS tells clusters apart by SNI, then by
// authority, then takes the default.
func TestClusterBySNI(t *testing.T) {
	dir := t.TempDir()
	pool := pair(t, dir, "one")
	m := newStore(t)
	m.apply(t, cluster(t, "c"), route(t, "ra", "one", "a"), route(t, "rb", "one", "b"), route(t, "rc", "one", "c"))
	h := startHub(t, m, overTLS(dir), func(c *Config) { c.Resolver = resolver(t, m, "edge/c") })
	for _, test := range []struct{ sni, authority, want string }{
		{"a.example", "a.example", "shop/ra"},
		{"a.example", "b.example:15012", "shop/ra"},
		{"lb.example", "b.example:15012", "shop/rb"},
		{"lb.example", "hub.example:15012", "shop/rc"},
	} {
		creds := named{credentials.NewTLS(&tls.Config{RootCAs: pool}), test.sni}
		c := openStream(t, dial(t, h.server.TLSAddr().String(), grpc.WithTransportCredentials(creds), grpc.WithAuthority(test.authority)))
		c.ask(virtualServices)
		diff(t, test.sni+" "+test.authority, []string{test.want}, names(t, c.next()))
	}
	peer := h.tracker.Status(clusterPath("b")).Connections[0].Peer
	diff(t, "peer", clusters.Peer{Address: peer.Address, Protocol: "sotw", SNI: "lb.example", Authority: "b.example:15012", Node: peer.Node, Revision: "canary"}, peer)
}

// named is credentials that ask for a server name of their own, whatever the
// authority is.
type named struct {
	credentials.TransportCredentials
	sni string
}

func (n named) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return n.TransportCredentials.ClientHandshake(ctx, n.sni, conn)
}

func (n named) Clone() credentials.TransportCredentials {
	return named{n.TransportCredentials.Clone(), n.sni}
}

// TestCertificateReload holds that a renewed pair is served without a restart,
// that a broken one leaves the old in place, and what the handshake takes.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir, "one")
	h := startHub(t, newStore(t), overTLS(dir))
	served := func() string {
		conn, err := tls.Dial("tcp", h.server.TLSAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		state := conn.ConnectionState()
		if state.NegotiatedProtocol != "h2" {
			t.Errorf("negotiated protocol %q, want h2", state.NegotiatedProtocol)
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "one" {
		t.Fatalf("certificate %q is served, want one", got)
	}
	write(t, filepath.Join(dir, "key.pem"), []byte("junk"))
	eventually(t, "the broken pair is seen", func() bool { served(); return h.metric(t, "certificate_reloads_total", "failed") == 1 })
	if got := served(); got != "one" {
		t.Errorf("certificate %q is served beside a broken file, want one", got)
	}
	if err := os.Remove(filepath.Join(dir, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file is seen", func() bool { served(); return h.metric(t, "certificate_reloads_total", "failed") == 2 })
	pair(t, dir, "two")
	eventually(t, "the new pair is served", func() bool { return served() == "two" })

	if _, err := tls.Dial("tcp", h.server.TLSAddr().String(), &tls.Config{
		InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10,
	}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestCertificateMustLoad(t *testing.T) {
	h := newHub(t, newStore(t))
	config := h.server.config
	config.Registerer = nil
	overTLS(t.TempDir())(&config)
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil {
		t.Error("a server without its certificate listens")
	}
	_ = h.server.xds[0].Close()
}
