package server

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// edge is the client's end of a stream, of either protocol.
type edge[Request, Response any] struct {
	t      testing.TB
	stream grpc.BidiStreamingClient[Request, Response]
	got    chan *Response
	err    error // read it when got is closed
}

func newEdge[Request, Response any](t testing.TB, stream grpc.BidiStreamingClient[Request, Response]) *edge[Request, Response] {
	e := &edge[Request, Response]{t: t, stream: stream, got: make(chan *Response, 1000)}
	go func() {
		defer close(e.got)
		for {
			r, err := stream.Recv()
			if err != nil {
				e.err = err
				return
			}
			e.got <- r
		}
	}()
	return e
}

func (e *edge[Request, Response]) send(r *Request) {
	e.t.Helper()
	if err := e.stream.Send(r); err != nil {
		e.t.Fatal(err)
	}
}

// next waits for the next response.
func (e *edge[Request, Response]) next() *Response {
	e.t.Helper()
	select {
	case r, ok := <-e.got:
		if !ok {
			e.t.Fatalf("the stream ended: %v", e.err)
		}
		return r
	case <-time.After(patience):
		e.t.Fatal("no response")
	}
	return nil
}

// end waits for the end of the stream and returns its status.
func (e *edge[Request, Response]) end() codes.Code {
	e.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-e.got:
			if !ok {
				return status.Code(e.err)
			}
		case <-timeout:
			e.t.Fatal("the stream does not end")
		}
	}
}
