package grpcecho

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Method is the one method that a Server has, for routes that match on it.
const Method = "/meshwright.test.Echo/Call"

// Server answers every call with its name.
type Server struct {
	name  string
	addr  *net.TCPAddr
	grpc  *grpc.Server
	calls atomic.Int64
}

// StartServer starts a server on loopback, on a port that the kernel chooses.
// It stops when the test ends.
func StartServer(t testing.TB, name string) *Server {
	t.Helper()
	return StartServerAt(t, name, "127.0.0.1:0")
}

// StartServerAt is StartServer at an address of the caller's: to come back
// where one was stopped, or to be told apart by address.
func StartServerAt(t testing.TB, name, addr string) *Server {
	t.Helper()
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("starting echo server %s: %v", name, err)
	}
	s := &Server{name: name, addr: lis.Addr().(*net.TCPAddr), grpc: grpc.NewServer()}
	s.grpc.RegisterService(&service, s)
	go func() { _ = s.grpc.Serve(lis) }() // returns when Stop is called
	t.Cleanup(s.Stop)
	return s
}

// Addr is the host:port.
func (s *Server) Addr() string { return s.addr.String() }

// Host is the IP address.
func (s *Server) Host() string { return s.addr.IP.String() }

// Port is the port.
func (s *Server) Port() uint32 { return uint32(s.addr.Port) }

// Calls is how many calls it has answered.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// Stop closes the listener and the connections. It can be called again.
func (s *Server) Stop() { s.grpc.Stop() }

func (s *Server) call(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	s.calls.Add(1)
	return wrapperspb.String(s.name), nil
}

// echo is what RegisterService wants to know a Server by.
type echo interface {
	call(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

// service is written out so that no code has to be generated.
var service = grpc.ServiceDesc{
	ServiceName: "meshwright.test.Echo",
	HandlerType: (*echo)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(echo).call(ctx, in)
		},
	}},
}
