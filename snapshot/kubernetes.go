package snapshot

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	kubejson "sigs.k8s.io/json"
)

// kubernetesObjects make an empty object of each type that goes by bundles
// alone, to read a manifest with.
var kubernetesObjects = map[TypeID]func() any{
	Namespace:         func() any { return &corev1.Namespace{} },
	Secret:            func() any { return &corev1.Secret{} },
	Service:           func() any { return &corev1.Service{} },
	EndpointSlice:     func() any { return &discoveryv1.EndpointSlice{} },
	NetworkPolicy:     func() any { return &networkingv1.NetworkPolicy{} },
	KubernetesGateway: func() any { return &gatewayv1.Gateway{} },
	HTTPRoute:         func() any { return &gatewayv1.HTTPRoute{} },
	GRPCRoute:         func() any { return &gatewayv1.GRPCRoute{} },
	TLSRoute:          func() any { return &gatewayv1.TLSRoute{} },
	TCPRoute:          func() any { return &gatewayv1.TCPRoute{} },
	ReferenceGrant:    func() any { return &gatewayv1.ReferenceGrant{} },
	DNSEndpoint:       func() any { return &dnsEndpoint{} },
}

// dnsEndpoint is external-dns's DNSEndpoint, as far as it is ours to write:
// https://kubernetes-sigs.github.io/external-dns/latest/docs/sources/crd/
type dnsEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec dnsEndpointSpec `json:"spec,omitempty"`
}

type dnsEndpointSpec struct {
	Endpoints []dnsRecord `json:"endpoints,omitempty"`
}

type dnsRecord struct {
	DNSName          string            `json:"dnsName"`
	Targets          []string          `json:"targets"`
	RecordType       string            `json:"recordType,omitempty"` // A, AAAA, CNAME
	SetIdentifier    string            `json:"setIdentifier,omitempty"`
	RecordTTL        int64             `json:"recordTTL,omitempty"` // seconds
	Labels           map[string]string `json:"labels,omitempty"`
	ProviderSpecific []dnsProperty     `json:"providerSpecific,omitempty"`
}

type dnsProperty struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// kubernetesSpec is a Kubernetes object as [Resource.Spec] holds it: without
// its type, metadata and status, which are the Resource's or nobody's.
func kubernetesSpec(object any) *structpb.Struct {
	text, err := json.Marshal(object)
	if err == nil {
		content := map[string]any{}
		if err = json.Unmarshal(text, &content); err == nil {
			for _, field := range []string{"apiVersion", "kind", "metadata", "status"} {
				delete(content, field)
			}
			var spec *structpb.Struct
			if spec, err = structpb.NewStruct(content); err == nil {
				return spec
			}
		}
	}
	panic(fmt.Sprintf("a %T is no JSON object: %v", object, err)) // our own types always are
}

// checkKubernetes reads a spec strictly as its kind: the Kubernetes API's
// fields and types are what can be judged here.
func checkKubernetes(t *Type, spec *structpb.Struct) error {
	text, err := spec.MarshalJSON()
	if err != nil {
		return fmt.Errorf("can't be written as JSON: %w", err)
	}
	refusals, err := kubejson.UnmarshalStrict(text, kubernetesObjects[t.ID]())
	if err != nil {
		return fmt.Errorf("can't be read as a %s: %s", t.Kind, oneLine(err.Error()))
	}
	if len(refusals) > 0 {
		words := make([]string, len(refusals))
		for i, r := range refusals {
			words[i] = oneLine(r.Error())
		}
		return fmt.Errorf("can't be read as a %s: %s", t.Kind, strings.Join(words, "; "))
	}
	return nil
}
