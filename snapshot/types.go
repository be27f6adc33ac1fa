package snapshot

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
)

// TypeID is the place of a type in [Types].
type TypeID int

// The types, in the order in which a bundle lists them: what others refer to
// goes first. A stream has an order of its own. Those from ServiceEntry to
// TrafficExtension are what istiod takes from a configuration source; the
// others go by bundles alone.
const (
	Namespace TypeID = iota
	Secret
	Service
	EndpointSlice
	NetworkPolicy

	ServiceEntry
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

	KubernetesGateway // the Gateway API's
	HTTPRoute
	GRPCRoute
	TLSRoute
	TCPRoute
	ReferenceGrant
	DNSEndpoint // external-dns's
	typeCount
)

// Type is one kind of object.
type Type struct {
	ID      TypeID
	Group   string // API group: networking.istio.io; "" for Kubernetes' core
	Version string // API version in manifests
	Kind    string // VirtualService

	// NewSpec makes an empty spec, in the version that istiod decodes whatever
	// it asked for. That of a type which goes by bundles alone is a
	// google.protobuf.Struct of the manifest without its type and metadata, but
	// with an apiVersion other than the type's.
	NewSpec func() proto.Message
}

// OverXDS reports whether istiod takes the type from a configuration source.
func (t *Type) OverXDS() bool { return ServiceEntry <= t.ID && t.ID <= TrafficExtension }

// XDSTypes are those that istiod takes from a configuration source.
var XDSTypes = Types[ServiceEntry : TrafficExtension+1]

// APIVersion is the type's group and version as manifests state it.
func (t *Type) APIVersion() string {
	if t.Group == "" {
		return t.Version
	}
	return t.Group + "/" + t.Version
}

// Types lists every type by its TypeID.
var Types = [typeCount]*Type{
	Namespace:     {Version: "v1", Kind: "Namespace", NewSpec: fresh[structpb.Struct]()},
	Secret:        {Version: "v1", Kind: "Secret", NewSpec: fresh[structpb.Struct]()},
	Service:       {Version: "v1", Kind: "Service", NewSpec: fresh[structpb.Struct]()},
	EndpointSlice: {Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice", NewSpec: fresh[structpb.Struct]()},
	NetworkPolicy: {Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", NewSpec: fresh[structpb.Struct]()},

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

	KubernetesGateway: {Group: gatewayAPI, Version: "v1", Kind: "Gateway", NewSpec: fresh[structpb.Struct]()},
	HTTPRoute:         {Group: gatewayAPI, Version: "v1", Kind: "HTTPRoute", NewSpec: fresh[structpb.Struct]()},
	GRPCRoute:         {Group: gatewayAPI, Version: "v1", Kind: "GRPCRoute", NewSpec: fresh[structpb.Struct]()},
	TLSRoute:          {Group: gatewayAPI, Version: "v1", Kind: "TLSRoute", NewSpec: fresh[structpb.Struct]()},
	TCPRoute:          {Group: gatewayAPI, Version: "v1", Kind: "TCPRoute", NewSpec: fresh[structpb.Struct]()},
	ReferenceGrant:    {Group: gatewayAPI, Version: "v1beta1", Kind: "ReferenceGrant", NewSpec: fresh[structpb.Struct]()},
	DNSEndpoint:       {Group: "externaldns.k8s.io", Version: "v1alpha1", Kind: "DNSEndpoint", NewSpec: fresh[structpb.Struct]()},
}

const gatewayAPI = "gateway.networking.k8s.io"

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
// it names. Types that go by bundles alone are not found.
func TypeByURL(url string) (*Type, bool) {
	group, versionKind, ok := strings.Cut(url, "/")
	if !ok {
		return nil, false
	}
	version, kind, ok := strings.Cut(versionKind, "/")
	if !ok || version == "" {
		return nil, false
	}
	t, ok := TypeByGroupKind(group, kind)
	return t, ok && t.OverXDS()
}

// TypeByGroupKind finds a type by its API group and kind.
func TypeByGroupKind(group, kind string) (*Type, bool) {
	t, ok := byGroupKind[group+"/"+kind]
	return t, ok
}

// TypeMask is a set of types.
type TypeMask uint64

// AllTypes holds every type.
const AllTypes TypeMask = 1<<typeCount - 1

// Has reports whether the set holds a type.
func (m TypeMask) Has(id TypeID) bool { return m&(1<<id) != 0 }

func maskOf(id TypeID) TypeMask { return 1 << id }
