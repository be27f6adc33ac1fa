package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
)

// Server is the xDS server of one replica.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	config  Config
	metrics *metrics
	quiet   *quiet

	xds         []net.Listener // none before Listen
	tls         net.Listener   // nil when not served, and before Listen
	credentials *tls.Config
	stopping    chan struct{} // closed when Run is told to stop
	latest      atomic.Pointer[fanOut]

	mu      sync.Mutex // guards the rest
	stopped bool
	streams map[*stream]struct{} // that have not been told to end
	places  map[intent.Path]int  // streams of each cluster
	placed  int                  // streams of all clusters
	held    int
	pasts   map[client]*past
}

// New returns a Server. The error is that of [Config.Validate].
func New(config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Server{
		config: config, metrics: newMetrics(config.Registerer), quiet: newQuiet(10*time.Minute, 1_000),
		stopping: make(chan struct{}), streams: map[*stream]struct{}{}, places: map[intent.Path]int{},
		pasts: map[client]*past{},
	}, nil
}

// Listen binds the addresses and loads the certificate. Run does so unless it
// was done before; a caller that does not Run after it must Close.
func (s *Server) Listen() (err error) {
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.config.servesTLS() {
		c := s.config
		if s.credentials, err = newTLS(c.CertFile, c.KeyFile, c.ClientCAFile, c.Logger, s.metrics); err != nil {
			return err
		}
		s.credentials.NextProtos = []string{"h2"}
		if s.tls, err = s.bind(c.TLSAddr); err != nil {
			return fmt.Errorf("listen for xDS over TLS: %w", err)
		}
	}
	for _, addr := range s.config.XDSAddrs {
		lis, err := s.bind(addr)
		if err != nil {
			return fmt.Errorf("listen for xDS: %w", err)
		}
		s.xds = append(s.xds, lis)
	}
	return nil
}

// Close closes what Listen bound, for a Server that is not going to Run. After
// Run there is nothing left to close, and before, no connection to lose: an
// error would tell nothing.
func (s *Server) Close() {
	if s.tls != nil {
		_ = s.tls.Close()
	}
	for _, lis := range s.xds {
		_ = lis.Close()
	}
}

func (s *Server) bind(addr string) (net.Listener, error) {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	refused := s.metrics.refused.WithLabelValues("connections")
	return &limited{Listener: lis, max: int64(s.config.MaxConnections), refused: refused.Inc}, nil
}

// Addr is the first bound plaintext address, nil when there is none.
func (s *Server) Addr() net.Addr {
	if len(s.xds) == 0 {
		return nil
	}
	return s.xds[0].Addr()
}

// TLSAddr is the bound TLS address, nil when there is none.
func (s *Server) TLSAddr() net.Addr {
	if s.tls == nil {
		return nil
	}
	return s.tls.Addr()
}

// Run serves until ctx ends, lets what is being sent go out, and returns nil;
// or it returns why it can't serve. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if len(s.xds) == 0 && s.tls == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	var servers []*grpc.Server
	failed := make(chan error, len(s.xds)+1)
	var serving sync.WaitGroup
	start := func(lis net.Listener, options ...grpc.ServerOption) {
		srv := grpc.NewServer(append(s.options(), options...)...)
		discovery.RegisterAggregatedDiscoveryServiceServer(srv, s)
		servers = append(servers, srv)
		serving.Go(func() {
			if err := srv.Serve(lis); err != nil {
				failed <- fmt.Errorf("serve xDS on %s: %w", lis.Addr(), err)
			}
		})
		s.config.Logger.Info("xDS is served", "addr", lis.Addr().String(), "tls", len(options) > 0)
	}
	for _, lis := range s.xds {
		start(lis)
	}
	if s.tls != nil {
		start(s.tls, grpc.Creds(credentials.NewTLS(s.credentials)))
	}
	recheck := time.NewTicker(s.config.RecheckEvery)
	defer recheck.Stop()
	var err error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-failed:
			running = false
		case <-recheck.C:
			s.recheck()
		}
	}
	s.stop(servers)
	serving.Wait()
	return err
}

// options are those of all listeners.
func (s *Server) options() []grpc.ServerOption {
	return append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		// istiod pings every 30 seconds or so, and gRPC's own limit of five
		// minutes would send it away as too eager.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.MaxRecvMsgSize(s.config.MaxRequestBytes),
		grpc.MaxConcurrentStreams(16),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.ReadBufferSize(4 << 10), // requests are small, connections many
		// Windows that adapt cost a ping and its answer for each request.
		grpc.StaticStreamWindowSize(256 << 10),
		grpc.StaticConnWindowSize(1 << 20),
		grpc.WriteBufferSize(64 << 10),
	}, s.config.options...)
}

// stop ends all streams, waits a little for what is on its way, and closes.
// Streams never end by themselves.
func (s *Server) stop(servers []*grpc.Server) {
	close(s.stopping)
	s.mu.Lock()
	s.stopped = true
	for st := range s.streams {
		s.end(st, errStopping)
	}
	s.mu.Unlock()
	var drained sync.WaitGroup
	for _, srv := range servers {
		drained.Go(srv.GracefulStop)
	}
	done := make(chan struct{})
	go func() {
		drained.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(s.config.Drain):
		for _, srv := range servers {
			srv.Stop()
		}
		<-done
	}
}

// recheck ends the streams whose name has come to mean another cluster, or
// none, since they were admitted.
func (s *Server) recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		if now, _ := s.config.Resolver.Resolve(st.caller.sni, st.caller.authority); now != st.cluster {
			s.end(st, errMoved)
		}
	}
	s.forget(time.Now())
}

// end tells a stream to end. The caller holds mu.
func (s *Server) end(st *stream, reason error) {
	delete(s.streams, st)
	st.reason = reason
	close(st.ending)
}

// StreamAggregatedResources serves one client with the state of the world.
func (s *Server) StreamAggregatedResources(stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.serve(stream, stateOfTheWorld)
}

// DeltaAggregatedResources serves one client with changes.
func (s *Server) DeltaAggregatedResources(stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.serve(stream, delta)
}

// serve admits a stream and serves it to its end. The error is what the client
// is told.
func (s *Server) serve(transport grpc.ServerStream, p *protocol) error {
	ctx := transport.Context()
	c := callerOf(ctx)
	cluster, err := s.admit(ctx, c)
	if err != nil {
		return err
	}
	defer s.leave(cluster)
	tracked := s.config.Tracker.Connect(cluster, clusters.Peer{
		Address: c.address, Protocol: p.name, SNI: c.sni, Authority: c.authority,
	})
	defer tracked.Close()
	st := &stream{
		server: s, protocol: p, cluster: cluster, caller: c, tracked: tracked,
		logger: s.config.Logger.With("cluster", cluster.ClusterName(), "peer", c.address, "protocol", p.name),
		send:   func(b encoded) error { return transport.SendMsg(b) },
		ending: make(chan struct{}),
	}
	s.enter(st)
	defer s.exit(st)
	watch := s.config.Views.Watch(cluster)
	defer watch.Stop()

	requests := make(chan request)
	var received error // read it when requests is closed
	go func() {
		defer close(requests)
		for {
			var r request
			if r, received = p.recv(transport); received != nil {
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done(): // the stream has returned, or its client gone
				return
			}
		}
	}()
	if err = st.run(ctx, requests, watch); err == nil && !errors.Is(received, io.EOF) {
		err = received
	}
	s.leavePast(st.past)
	st.ended(err)
	return err
}

func (s *Server) enter(st *stream) {
	s.metrics.streams.WithLabelValues(st.protocol.name).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[st] = struct{}{}
	if s.stopped {
		s.end(st, errStopping)
	}
}

func (s *Server) exit(st *stream) {
	s.metrics.streams.WithLabelValues(st.protocol.name).Dec()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
}
