package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// Views gives each cluster's objects. [snapshot.Views] is it.
type Views interface {
	// View is the cluster's current view, nil while there is none.
	View(intent.Path) *snapshot.View
	// Watch wakes its owner when the view changes.
	Watch(intent.Path) *snapshot.Watch
	// Ready is true once every view is built from a store that holds all that
	// was committed.
	Ready() bool
	// Advanced is closed when views are published next.
	Advanced() <-chan struct{}
}

// Sets gives the current intents. The store is it.
type Sets interface {
	// Set is the current Set.
	Set() *intent.Set
	// Changed is closed at the next change of Set.
	Changed() <-chan struct{}
}

// Config says what a Server needs and how much it bears.
type Config struct {
	Views    Views
	Sets     Sets
	Resolver *clusters.Resolver
	Tracker  *clusters.Tracker

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept to ourselves

	XDSAddrs     []string // plaintext, each a host:port
	TLSAddr      string   // TLS, host:port; served when a certificate is given
	CertFile     string   // PEM chain and key, read again when they change
	KeyFile      string
	ClientCAFile string // PEM; when given, edges must present a certificate from it

	HoldUnknown time.Duration // how long a connection of no known cluster is kept waiting
	MaxHeld     int           // of those at a time; more are refused at once

	MaxConnections       int // of each listener
	MaxStreams           int // of all clusters together
	MaxStreamsPerCluster int
	MaxRequestBytes      int

	// Objects that older routes name stay for KeepLost after the client has
	// acknowledged new ones: istiod must tell its proxies meanwhile.
	KeepLost time.Duration
	// The first answer for a type waits at most HoldFirst for the client to ask
	// for the types that go before it.
	HoldFirst time.Duration

	RecheckEvery time.Duration // how often live streams are asked again whose they are
	Drain        time.Duration // how long a stop waits for what is being sent

	options []grpc.ServerOption // of tests
}

// DefaultConfig returns the limits of a hub with thousands of edges, without
// addresses.
func DefaultConfig() Config {
	return Config{
		HoldUnknown:          30 * time.Second,
		MaxHeld:              1_000,
		MaxConnections:       25_000,
		MaxStreams:           20_000,
		MaxStreamsPerCluster: 64,
		MaxRequestBytes:      4 << 20,
		KeepLost:             time.Second,
		HoldFirst:            time.Second,
		RecheckEvery:         10 * time.Second,
		Drain:                2 * time.Second,
	}
}

// Validate reports the first field that no server could work with.
func (c Config) Validate() error {
	if c.Views == nil || c.Sets == nil || c.Resolver == nil || c.Tracker == nil || c.Logger == nil {
		return errors.New("server config: Views, Sets, Resolver, Tracker and Logger must be given")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("server config: CertFile and KeyFile go together")
	}
	if len(c.XDSAddrs) == 0 && !c.servesTLS() {
		return errors.New("server config: neither XDSAddrs, nor TLSAddr with a certificate, is given")
	}
	for _, addr := range c.XDSAddrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("server config: XDSAddrs: %w", err)
		}
	}
	if c.TLSAddr != "" {
		if _, _, err := net.SplitHostPort(c.TLSAddr); err != nil {
			return fmt.Errorf("server config: TLSAddr: %w", err)
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{
		{"MaxHeld", c.MaxHeld},
		{"MaxConnections", c.MaxConnections},
		{"MaxStreams", c.MaxStreams},
		{"MaxStreamsPerCluster", c.MaxStreamsPerCluster},
		{"MaxRequestBytes", c.MaxRequestBytes},
	} {
		if n.value < 1 {
			return fmt.Errorf("server config: %s must be at least 1, is %d", n.field, n.value)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"HoldUnknown", c.HoldUnknown}, {"KeepLost", c.KeepLost}, {"HoldFirst", c.HoldFirst}, {"Drain", c.Drain}} {
		if d.value < 0 {
			return fmt.Errorf("server config: %s must not be negative, is %s", d.field, d.value)
		}
	}
	if c.RecheckEvery <= 0 {
		return fmt.Errorf("server config: RecheckEvery must be positive, is %s", c.RecheckEvery)
	}
	return nil
}

// servesTLS reports whether there is a TLS listener.
func (c Config) servesTLS() bool { return c.TLSAddr != "" && c.CertFile != "" }
