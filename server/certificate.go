package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is the least time between two looks at the certificate's files.
const checkEvery = time.Second

// certificate is the serving certificate. Handshakes look at its files, at
// most one a second, so that a renewed pair is served without a restart; a
// pair that can't be used leaves the old one in place.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger
	metrics           *metrics
	current           atomic.Pointer[tls.Certificate]

	mu              sync.Mutex // guards the rest
	checked         time.Time
	certPEM, keyPEM []byte // as last seen, usable or not
}

// TLSConfig serves a certificate from two PEM files, which are read again when
// they change; with a clientCAFile, clients must present a certificate that
// one of its authorities signed.
func TLSConfig(certFile, keyFile, clientCAFile string, logger *slog.Logger) (*tls.Config, error) {
	return newTLS(certFile, keyFile, clientCAFile, logger, newMetrics(nil))
}

func newTLS(certFile, keyFile, clientCAFile string, logger *slog.Logger, m *metrics) (*tls.Config, error) {
	c, err := loadCertificate(certFile, keyFile, logger, m)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if clientCAFile == "" {
		return config, nil
	}
	authorities, err := os.ReadFile(clientCAFile)
	if err != nil {
		return nil, fmt.Errorf("load the clients' authorities: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("load the clients' authorities: %s holds no PEM certificate", clientCAFile)
	}
	return config, nil
}

// loadCertificate reads the pair for the first time.
func loadCertificate(certFile, keyFile string, logger *slog.Logger, m *metrics) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger, metrics: m, checked: time.Now()}
	if _, err := c.read(); err != nil {
		return nil, fmt.Errorf("load the serving certificate: %w", err)
	}
	return c, nil
}

// get serves [tls.Config.GetCertificate].
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // else another handshake is looking
		if time.Since(c.checked) >= checkEvery {
			c.refresh()
			c.checked = time.Now()
		}
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// refresh reads the files again and says what came of it, once for each new
// content.
func (c *certificate) refresh() {
	switch changed, err := c.read(); {
	case err != nil && changed:
		c.metrics.reloads.WithLabelValues("failed").Inc()
		c.logger.Error("the changed serving certificate can't be used: the old one stays", "certFile", c.certFile, "error", err)
	case changed:
		c.metrics.reloads.WithLabelValues("served").Inc()
		c.logger.Info("serving certificate reloaded", "certFile", c.certFile, "notAfter", c.current.Load().Leaf.NotAfter)
	}
}

// read takes the pair from its files, if it differs from what was last seen
// there.
func (c *certificate) read() (changed bool, err error) {
	certPEM, err := os.ReadFile(c.certFile)
	if err != nil {
		return c.missing(), err
	}
	keyPEM, err := os.ReadFile(c.keyFile)
	if err != nil {
		return c.missing(), err
	}
	if bytes.Equal(certPEM, c.certPEM) && bytes.Equal(keyPEM, c.keyPEM) {
		return false, nil
	}
	c.certPEM, c.keyPEM = certPEM, keyPEM
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return true, err
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return true, err
		}
	}
	c.current.Store(&pair)
	c.metrics.certificate.Set(float64(pair.Leaf.NotAfter.Unix()))
	return true, nil
}

// missing notes that the files can't be read, and reports whether that is new.
func (c *certificate) missing() bool {
	was := c.certPEM != nil
	c.certPEM, c.keyPEM = nil, nil
	return was
}
