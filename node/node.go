package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
	"github.com/meshwright/meshwright/server"
	"github.com/meshwright/meshwright/snapshot"
)

// Node is a running server:
//
//	REST ──▶ intentapi ──Propose──▶ raftstore ──▶ Set
//	             ▲                                 │
//	             │ status, bundles                 ▼
//	         clusters.Tracker ◀── server ◀── snapshot.Views
//	                                │
//	                                ▼ xDS
//	                             istiods
type Node struct {
	log     *slog.Logger
	store   *raftstore.Store
	tracker *clusters.Tracker
	xds     *server.Server
	rest    net.Listener

	cancel  context.CancelFunc
	running sync.WaitGroup
	cleanup []func(context.Context) error // in order of making; run backwards

	mu    sync.Mutex // guards err
	err   error      // the first failure
	ended chan struct{}
}

// stopTimeout bounds how long a stop waits for what is under way.
const stopTimeout = 15 * time.Second

// requestGrace is how long a stop lets requests go on before it ends them.
const requestGrace = 2 * time.Second

// Run starts a node, serves until ctx ends or a part fails, and stops it.
func Run(ctx context.Context, c Config) error {
	n, err := Start(ctx, c)
	if err != nil {
		return err
	}
	return n.Wait()
}

// Start starts a node. It runs until ctx ends, a part fails or [Node.Stop] is
// called; the caller must Wait or Stop.
func Start(ctx context.Context, c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	log := newLogger(c)
	ctx, cancel := context.WithCancel(ctx)
	n := &Node{log: component(log, "node"), cancel: cancel, ended: make(chan struct{})}
	if err := n.start(ctx, c, log); err != nil {
		cancel()
		return nil, errors.Join(err, n.stop())
	}
	go func() {
		<-ctx.Done()
		n.fail(n.stop())
		close(n.ended)
	}()
	return n, nil
}

// start builds the parts in the order in which they need each other.
func (n *Node) start(ctx context.Context, c Config, log *slog.Logger) error {
	stopTracing, err := startTracing(ctx, c, n.log)
	if err != nil {
		return err
	}
	n.onStop(stopTracing)

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	if n.store, err = openStore(c, component(log, "raftstore"), registry); err != nil {
		return err
	}
	n.onStop(func(context.Context) error { return n.store.Close() })

	views := snapshot.DefaultConfig()
	views.Source, views.Logger, views.Registerer = n.store, component(log, "snapshot"), registry
	built := snapshot.New(views)

	resolver, err := clusters.NewResolver(n.store, c.DefaultCluster)
	if err != nil {
		return err
	}
	replica, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find this machine's name: %w", err)
	}
	n.tracker = clusters.NewTracker(clusters.TrackerConfig{Sets: n.store, Replica: replica})

	if err := n.listenXDS(c, built, resolver, component(log, "server"), registry); err != nil {
		return err
	}
	n.onStop(func(context.Context) error { n.xds.Close(); return nil })    // when it never ran
	n.onStop(func(context.Context) error { n.running.Wait(); return nil }) // before what they use goes
	if err := n.listenREST(c, built, component(log, "intentapi"), registry); err != nil {
		return err
	}
	n.supervise(ctx, "snapshot", built.Run)
	n.supervise(ctx, "server", n.xds.Run)
	n.supervise(ctx, "confirmations", n.recordConfirmations)
	n.supervise(ctx, "raftstore", func(ctx context.Context) error {
		select {
		case err := <-n.store.Failed():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	n.log.Info("node started", "rest", n.RESTAddr(), "xds", n.XDSAddr(), "xds_tls", n.XDSTLSAddr(), "data_dir", c.DataDir)
	return nil
}

func openStore(c Config, log *slog.Logger, registry *prometheus.Registry) (*raftstore.Store, error) {
	settings, err := c.settings()
	if err != nil {
		return nil, err
	}
	rc := raftstore.DefaultConfig()
	rc.Dir, rc.Addr, rc.Settings, rc.Logger, rc.Registerer = c.DataDir, c.RaftAddr, settings, log, registry
	return raftstore.Open(rc)
}

func (n *Node) listenXDS(c Config, views *snapshot.Views, resolver *clusters.Resolver, log *slog.Logger, registry *prometheus.Registry) error {
	sc := server.DefaultConfig()
	sc.Views, sc.Sets, sc.Resolver, sc.Tracker = views, n.store, resolver, n.tracker
	sc.Logger, sc.Registerer = log, registry
	sc.XDSAddrs, sc.TLSAddr = splitAddrs(c.XDSAddr), c.XDSTLSAddr
	sc.CertFile, sc.KeyFile, sc.ClientCAFile = c.XDSCert, c.XDSKey, c.XDSClientCA
	var err error
	if n.xds, err = server.New(sc); err != nil {
		return err
	}
	return n.xds.Listen()
}

func (n *Node) listenREST(c Config, views *snapshot.Views, log *slog.Logger, registry *prometheus.Registry) error {
	ac := intentapi.DefaultConfig()
	ac.Store, ac.Views, ac.Tracker = n.store, views, n.tracker
	ac.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	ac.Logger, ac.Registerer = log, registry
	api, err := intentapi.New(ac)
	if err != nil {
		return err
	}
	requests, endRequests := context.WithCancel(context.Background())
	n.onStop(func(context.Context) error { endRequests(); return nil })
	srv := &http.Server{
		Handler:           api,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	serve := func() error { return srv.Serve(n.rest) }
	if c.RESTCert != "" {
		if srv.TLSConfig, err = server.TLSConfig(c.RESTCert, c.RESTKey, c.RESTClientCA, log); err != nil {
			return err
		}
		serve = func() error { return srv.ServeTLS(n.rest, "", "") }
	}
	if n.rest, err = net.Listen("tcp", c.RESTAddr); err != nil { // last: from here on srv closes it
		return fmt.Errorf("listen for REST: %w", err)
	}
	n.running.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("serve REST: %w", err))
		}
	})
	n.onStop(func(ctx context.Context) error {
		// Requests under way get a moment; watches never end by themselves.
		defer time.AfterFunc(requestGrace, endRequests).Stop()
		if err := srv.Shutdown(ctx); err != nil {
			return errors.Join(fmt.Errorf("stop REST: %w", err), srv.Close())
		}
		return nil
	})
	return nil
}

// supervise runs a part until ctx ends; its failure stops the node.
func (n *Node) supervise(ctx context.Context, name string, run func(context.Context) error) {
	n.running.Go(func() {
		if err := run(ctx); err != nil {
			n.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// fail keeps the first error and stops the node.
func (n *Node) fail(err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	if n.err == nil {
		n.err = err
		n.log.Error("node stops on a failure", "error", err.Error())
	}
	n.mu.Unlock()
	n.cancel()
}

func (n *Node) onStop(f func(context.Context) error) { n.cleanup = append(n.cleanup, f) }

// stop takes the parts down, the last one made first.
func (n *Node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for i := len(n.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, n.cleanup[i](ctx))
	}
	return errors.Join(errs...)
}

// Wait returns when the node has stopped: nil after ctx or Stop, else why.
func (n *Node) Wait() error {
	<-n.ended
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Stop stops the node and waits for it.
func (n *Node) Stop() error {
	n.cancel()
	return n.Wait()
}

// RESTAddr is the bound address of the REST port.
func (n *Node) RESTAddr() string { return n.rest.Addr().String() }

// XDSAddr is the first bound address of plaintext xDS, or "".
func (n *Node) XDSAddr() string { return addrString(n.xds.Addr()) }

// XDSTLSAddr is the bound address of xDS over TLS, or "".
func (n *Node) XDSTLSAddr() string { return addrString(n.xds.TLSAddr()) }

func addrString(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func splitAddrs(s string) []string {
	var out []string
	for addr := range strings.SplitSeq(s, ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			out = append(out, addr)
		}
	}
	return out
}
