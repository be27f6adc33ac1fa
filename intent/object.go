package intent

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Revision counts the mutating transactions of a store. The empty store is at
// revision 0.
type Revision uint64

// String is the revision as resourceVersion and ETag show it.
func (r Revision) String() string { return strconv.FormatUint(uint64(r), 10) }

// Metadata is what every object carries beside its spec. The fields after
// Labels are read-only: the store fills them in, and ignores them in a write.
type Metadata struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	UserData1   string            `json:"userData1,omitempty"`
	UserData2   string            `json:"userData2,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`

	ResourceVersion string    `json:"resourceVersion,omitempty"` // revision that last changed the object
	Generation      int64     `json:"generation,omitempty"`      // counts changes of spec
	CreatedAt       time.Time `json:"createdAt,omitzero"`
	UpdatedAt       time.Time `json:"updatedAt,omitzero"`
}

// Spec is the noun itself: one of *ClusterSpec, *GroupSpec, *TrafficGroupSpec,
// *InboundSpec, *ClientSpec, *AccessPointSpec, *RoutingRuleSpec, *OutboundSpec
// and *IstioResourceSpec.
type Spec interface {
	// normalize rewrites accepted spellings to the one that is stored.
	normalize()
	// validate reports all that is wrong with the spec by itself.
	validate(v *violations)
}

// Object is one object of the REST tree. Objects in a [Set] are shared between
// goroutines and never changed.
type Object struct {
	Path     Path     `json:"-"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`

	// LastGateways are a cluster's gateways as they were when its east-west
	// gateway last had an address. They keep its neighbours' configuration
	// whole while the record has none (generation.md, rule 6).
	LastGateways []Gateway `json:"-"`
}

// Kind is the noun the object is.
func (o *Object) Kind() Kind { return o.Path.Kind() }

// Revision is the store revision that last changed the object.
func (o *Object) Revision() Revision {
	n, _ := strconv.ParseUint(o.Metadata.ResourceVersion, 10, 64) // written by Apply
	return Revision(n)
}

// NewSpec returns an empty spec for a kind, ready to be decoded into.
func NewSpec(k Kind) Spec {
	switch k {
	case KindCluster:
		return &ClusterSpec{}
	case KindGroup:
		return &GroupSpec{}
	case KindTrafficGroup:
		return &TrafficGroupSpec{}
	case KindInbound:
		return &InboundSpec{}
	case KindClient:
		return &ClientSpec{}
	case KindAccessPoint:
		return &AccessPointSpec{}
	case KindRoutingRule:
		return &RoutingRuleSpec{}
	case KindOutbound:
		return &OutboundSpec{}
	case KindIstioResource:
		return &IstioResourceSpec{}
	}
	return nil
}

// DecodeObject reads the JSON of an object whose path is known: metadata and
// spec, the spec as the noun that the path names.
func DecodeObject(p Path, data []byte) (*Object, error) {
	return decodeObject(p, data, json.Unmarshal)
}

func decodeObject(p Path, data []byte, decode func([]byte, any) error) (*Object, error) {
	spec := NewSpec(p.Kind())
	if spec == nil {
		return nil, Errorf(Malformed, "%q is not the path of an object", clip(string(p)))
	}
	o := Object{Path: p, Spec: spec}
	if err := decode(data, &o); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", p.Kind(), p, err)
	}
	if o.Spec == nil { // "spec": null
		o.Spec = NewSpec(p.Kind())
	}
	return &o, nil
}

// Normalize rewrites the accepted spellings of a fresh object's fields to the
// ones that are stored and shown. Call it once, before Validate.
func (o *Object) Normalize() { o.Spec.normalize() }
