package server

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/meshwright/meshwright/snapshot"
)

// protocol is one of the two ways of xDS to keep a client current.
type protocol struct {
	name string // in metrics and status
	recv func(grpc.ServerStream) (request, error)

	// answer is the response that takes the client to the set next, nil when
	// there is nothing to say.
	answer func(s *subscription, next *snapshot.TypeSet) encoded
	// empty answers for a type that we have nothing of and never will.
	empty func(typeURL string) encoded
	// inTurn says that a type's next response waits for the client's word on
	// the last, because it builds on it.
	inTurn bool
}

// request is what the two protocols' requests have in common.
type request struct {
	typeURL string
	nonce   string            // of the response that it answers
	refusal *rpcstatus.Status // nil for an acknowledgement
	node    *core.Node
	have    map[string]string // delta: what the client has already, by name and version
}

// stateOfTheWorld sends a type whole whenever it changes.
var stateOfTheWorld = &protocol{
	name: "sotw",
	recv: func(stream grpc.ServerStream) (request, error) {
		var m discovery.DiscoveryRequest
		if err := stream.RecvMsg(&m); err != nil {
			return request{}, err
		}
		return request{typeURL: m.TypeUrl, nonce: m.ResponseNonce, refusal: m.ErrorDetail, node: m.Node}, nil
	},
	answer: func(s *subscription, next *snapshot.TypeSet) encoded {
		return next.StateOfTheWorld(s.typeURL)
	},
	empty: func(typeURL string) encoded {
		return mustEncode(&discovery.DiscoveryResponse{VersionInfo: emptyVersion, TypeUrl: typeURL, Nonce: emptyVersion})
	},
}

// delta sends what changed since the client's last acknowledgement, or since
// what it says it has when it comes back.
var delta = &protocol{
	name: "delta",
	recv: func(stream grpc.ServerStream) (request, error) {
		var m discovery.DeltaDiscoveryRequest
		if err := stream.RecvMsg(&m); err != nil {
			return request{}, err
		}
		return request{
			typeURL: m.TypeUrl, nonce: m.ResponseNonce, refusal: m.ErrorDetail, node: m.Node,
			have: m.InitialResourceVersions,
		}, nil
	},
	answer: func(s *subscription, next *snapshot.TypeSet) encoded {
		if s.base == nil && len(s.have) > 0 {
			return next.DeltaFrom(s.have, s.typeURL)
		}
		return next.Delta(s.base, s.typeURL)
	},
	empty: func(typeURL string) encoded {
		return mustEncode(&discovery.DeltaDiscoveryResponse{SystemVersionInfo: emptyVersion, TypeUrl: typeURL, Nonce: emptyVersion})
	},
	inTurn: true,
}

// emptyVersion is the version of a type that we don't know.
const emptyVersion = "empty"

func mustEncode(m proto.Message) encoded {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // the type URL came in as valid UTF-8
	}
	return b
}
