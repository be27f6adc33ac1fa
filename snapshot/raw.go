package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshwright/meshwright/intent"
)

// rawResource passes an Istio resource on as it was given, with our label and
// annotation added.
func rawResource(set *intent.Set, unit, cluster *intent.Object, out *output) {
	r, violation := readRaw(set, unit)
	if violation != nil {
		// A write of such a resource is refused; this one was stored by a
		// release that took it.
		out.problem(unit.Path, "%s %s", violation.Field, violation.Message)
		return
	}
	r.Labels = labelsFor(cluster, r.Labels)
	out.resources = append(out.resources, *r)
}

// admit refuses an Istio resource that can't be delivered: of a kind that
// istiod does not take, with a spec that can't be read as its kind, or one
// that Istio's own validation refuses. The error is an [intent.Error] of kind
// Invalid whose violations point into the intent.
func admit(set *intent.Set, unit *intent.Object) error {
	r, violation := readRaw(set, unit)
	if violation == nil {
		if err := checkBounds(r); err != nil {
			violation = &intent.Violation{Field: "/spec/resource/spec", Message: err.Error()}
		} else if err := check(r); err != nil {
			violation = &intent.Violation{Field: "/spec/resource/spec", Message: "is refused by Istio: " + err.Error()}
		}
	}
	if violation == nil {
		return nil
	}
	return &intent.Error{
		Kind: intent.Invalid, Path: unit.Path,
		Detail:     "the Istio resource can't be delivered",
		Violations: []intent.Violation{*violation},
	}
}

// readRaw reads an Istio resource as the kind that it says it is, or returns
// what is wrong with it.
func readRaw(set *intent.Set, unit *intent.Object) (*Resource, *intent.Violation) {
	raw := &unit.Spec.(*intent.IstioResourceSpec).Resource
	t, ok := TypeByGroupKind(raw.Group(), raw.Kind)
	if !ok || slices.Contains(notRaw, t.ID) {
		return nil, &intent.Violation{
			Field:   "/spec/resource/kind",
			Message: fmt.Sprintf("%s of %s can't be delivered by this release: it takes %s", raw.Kind, raw.APIVersion, knownKinds()),
		}
	}
	if strings.HasPrefix(raw.Metadata.Name, namePrefix) {
		return nil, &intent.Violation{
			Field:   "/spec/resource/metadata/name",
			Message: fmt.Sprintf("%q begins with %q, which is kept for generated objects: choose another name", raw.Metadata.Name, namePrefix),
		}
	}
	spec, err := decodeSpec(t, raw.Spec)
	if err != nil {
		return nil, &intent.Violation{Field: "/spec/resource/spec", Message: err.Error()}
	}
	if violation := keepVersion(t, raw.APIVersion, spec); violation != nil {
		return nil, violation
	}
	return &Resource{
		Type: t, Namespace: set.RawNamespace(unit), Name: raw.Metadata.Name,
		Labels:      raw.Metadata.Labels,
		Annotations: annotationsFor([]intent.Path{unit.Path}, raw.Metadata.Annotations),
		CreatedAt:   unit.Metadata.CreatedAt,
		Spec:        spec,
		Origins:     []intent.Path{unit.Path},
	}, nil
}

// decodeSpec reads the JSON of a spec strictly, whatever API version it was
// written for: Istio's versions of a kind share one message.
func decodeSpec(t *Type, text []byte) (proto.Message, error) {
	spec := t.NewSpec()
	if len(text) > 0 && !t.OverXDS() {
		text = append(append([]byte(`{"spec":`), text...), '}')
	}
	if len(text) == 0 {
		return spec, nil
	}
	if err := protojson.Unmarshal(text, spec); err != nil {
		message := strings.TrimPrefix(oneLine(err.Error()), "proto: ")
		return nil, fmt.Errorf("can't be read as the spec of a %s: %s", t.Kind, message)
	}
	return spec, nil
}

// otherVersions are those that clusters may serve a kind in besides the one in
// which it is generated.
var otherVersions = map[TypeID][]string{
	KubernetesGateway: {"v1beta1"},
	HTTPRoute:         {"v1beta1"},
	GRPCRoute:         {"v1alpha2"},
	TLSRoute:          {"v1alpha3", "v1alpha2"},
	TCPRoute:          {"v1alpha2"},
	ReferenceGrant:    {"v1", "v1alpha2"},
}

// keepVersion leaves an object of a kind that goes by bundles alone in the API
// version that its author gave: a cluster may serve no other. Istio's kinds are
// delivered in the version in which they are generated, the newest: it does not
// matter to istiod, and bundles need it anyhow.
func keepVersion(t *Type, given string, spec proto.Message) *intent.Violation {
	manifest, ok := spec.(*structpb.Struct)
	if !ok || given == t.APIVersion() {
		return nil
	}
	served := []string{t.APIVersion()}
	for _, version := range otherVersions[t.ID] {
		served = append(served, t.Group+"/"+version)
	}
	if !slices.Contains(served, given) {
		return &intent.Violation{
			Field:   "/spec/resource/apiVersion",
			Message: fmt.Sprintf("%s is no version of %s that is known: give %s", given, t.Kind, strings.Join(served, " or ")),
		}
	}
	proto.Merge(manifest, &structpb.Struct{Fields: map[string]*structpb.Value{"apiVersion": structpb.NewStringValue(given)}})
	return nil
}

// notRaw are the types that are generated only: a Secret's values would show
// in answers, and namespaces and services are their owners' to make.
var notRaw = []TypeID{Namespace, Secret, Service, EndpointSlice}

func knownKinds() string {
	var kinds []string
	for _, t := range Types {
		if !slices.Contains(notRaw, t.ID) {
			kinds = append(kinds, t.Kind+" ("+t.APIVersion()+")")
		}
	}
	return strings.Join(kinds, ", ")
}
