package snapshot

import (
	"strings"

	"google.golang.org/protobuf/proto"
	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
)

// TypeID is the place of a type in [Types].
type TypeID int

// The types that istiod takes from a configuration source, in the order in
// which they are pushed: what others refer to goes first.
const (
	ServiceEntry TypeID = iota
	WorkloadEntry
	WorkloadGroup
	DestinationRule
	Gateway
	VirtualService
	Sidecar
	EnvoyFilter
	ProxyConfig
	PeerAuthentication
	RequestAuthentication
	AuthorizationPolicy
	Telemetry
	WasmPlugin
	TrafficExtension
	typeCount
)

// Type is one kind of Istio object.
type Type struct {
	ID      TypeID
	Group   string               // API group: networking.istio.io
	Version string               // API version in manifests
	Kind    string               // VirtualService
	NewSpec func() proto.Message // an empty spec, in the version that istiod decodes whatever it asked for
}

// APIVersion is the type's group and version as manifests state it.
func (t *Type) APIVersion() string { return t.Group + "/" + t.Version }

// Types lists every type by its TypeID.
var Types = [typeCount]*Type{
	ServiceEntry:          {Group: "networking.istio.io", Version: "v1", Kind: "ServiceEntry", NewSpec: fresh[networking.ServiceEntry]()},
	WorkloadEntry:         {Group: "networking.istio.io", Version: "v1", Kind: "WorkloadEntry", NewSpec: fresh[networking.WorkloadEntry]()},
	WorkloadGroup:         {Group: "networking.istio.io", Version: "v1", Kind: "WorkloadGroup", NewSpec: fresh[networking.WorkloadGroup]()},
	DestinationRule:       {Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule", NewSpec: fresh[networking.DestinationRule]()},
	Gateway:               {Group: "networking.istio.io", Version: "v1", Kind: "Gateway", NewSpec: fresh[networking.Gateway]()},
	VirtualService:        {Group: "networking.istio.io", Version: "v1", Kind: "VirtualService", NewSpec: fresh[networking.VirtualService]()},
	Sidecar:               {Group: "networking.istio.io", Version: "v1", Kind: "Sidecar", NewSpec: fresh[networking.Sidecar]()},
	EnvoyFilter:           {Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter", NewSpec: fresh[networking.EnvoyFilter]()},
	ProxyConfig:           {Group: "networking.istio.io", Version: "v1beta1", Kind: "ProxyConfig", NewSpec: fresh[networkingv1beta1.ProxyConfig]()},
	PeerAuthentication:    {Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication", NewSpec: fresh[security.PeerAuthentication]()},
	RequestAuthentication: {Group: "security.istio.io", Version: "v1", Kind: "RequestAuthentication", NewSpec: fresh[security.RequestAuthentication]()},
	AuthorizationPolicy:   {Group: "security.istio.io", Version: "v1", Kind: "AuthorizationPolicy", NewSpec: fresh[security.AuthorizationPolicy]()},
	Telemetry:             {Group: "telemetry.istio.io", Version: "v1", Kind: "Telemetry", NewSpec: fresh[telemetry.Telemetry]()},
	WasmPlugin:            {Group: "extensions.istio.io", Version: "v1alpha1", Kind: "WasmPlugin", NewSpec: fresh[extensions.WasmPlugin]()},
	TrafficExtension:      {Group: "extensions.istio.io", Version: "v1alpha1", Kind: "TrafficExtension", NewSpec: fresh[extensions.TrafficExtension]()},
}

func fresh[T any, P interface {
	*T
	proto.Message
}]() func() proto.Message {
	return func() proto.Message { return P(new(T)) }
}

var byGroupKind = func() map[string]*Type {
	m := map[string]*Type{}
	for i, t := range Types {
		t.ID = TypeID(i)
		m[t.Group+"/"+t.Kind] = t
	}
	return m
}()

// TypeByURL finds the type that an xDS type URL such as
// networking.istio.io/v1alpha3/VirtualService asks for, whatever API version
// it names.
func TypeByURL(url string) (*Type, bool) {
	group, versionKind, ok := strings.Cut(url, "/")
	if !ok {
		return nil, false
	}
	version, kind, ok := strings.Cut(versionKind, "/")
	if !ok || version == "" {
		return nil, false
	}
	return TypeByGroupKind(group, kind)
}

// TypeByGroupKind finds a type by its API group and kind.
func TypeByGroupKind(group, kind string) (*Type, bool) {
	t, ok := byGroupKind[group+"/"+kind]
	return t, ok
}

// TypeMask is a set of types.
type TypeMask uint32

// AllTypes holds every type.
const AllTypes TypeMask = 1<<typeCount - 1

// Has reports whether the set holds a type.
func (m TypeMask) Has(id TypeID) bool { return m&(1<<id) != 0 }

func maskOf(id TypeID) TypeMask { return 1 << id }
