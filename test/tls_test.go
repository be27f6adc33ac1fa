package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/wait"
)

// TestTLS holds that a stock istiod over TLS is told apart by its SNI, and
// that a renewed certificate is served without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	const name = "shop-1.edge.example"
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	authority := newCertificate(t, name, cert, key)
	h := hub.Start(t, "--xds-cert", cert, "--xds-key", key)
	h.Run(t, "", "apply", "-f", exampleFile)
	config := istiod.Config{
		ConfigSource: h.TLSAddr(),
		TLS:          &istiod.TLS{CACert: authority, SNI: name, SubjectAltNames: []string{name}},
	}
	sameAsBundle(t, h, istiod.Start(t, config), "edge/shop-1")

	config.TLS.CACert = newCertificate(t, name, cert, key)
	block, _ := pem.Decode([]byte(config.TLS.CACert))
	wait.Until(t, "the renewed certificate to be served", func() error { return serves(h.TLSAddr(), name, block.Bytes) })
	sameAsBundle(t, h, istiod.Start(t, config), "edge/shop-1")
}

// serves checks that the certificate of a TLS server is the given one.
func serves(addr, name string, der []byte) error {
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pool.AddCert(cert)
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	if !bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, der) {
		return x509.UnknownAuthorityError{Cert: cert}
	}
	return nil
}

// newCertificate writes a self-signed pair for a host name to files, and
// returns the certificate as PEM: it is its own authority.
func newCertificate(t *testing.T, name, certFile, keyFile string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{
		certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return string(cert)
}

// TestSourceDown shows what a stock istiod does when nobody listens at its
// source: the reason why a hub needs more than one replica.
func TestSourceDown(t *testing.T) {
	t.Parallel()
	h := hub.Start(t)
	h.Stop(t)
	i := istiod.Launch(t, istiod.Config{ConfigSource: h.XDSAddr(1)})
	select {
	case <-i.Exited():
	case <-time.After(wait.Limit):
		t.Fatal("istiod still runs without its source")
	}
	if want := "failed running"; !strings.Contains(i.Logs(), want) {
		t.Errorf("istiod's log does not contain %q", want)
	}
}
