package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/meshwright/meshwright/intent"
)

// Resource is an object as a generator makes it.
type Resource struct {
	Type        *Type
	Namespace   string
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	CreatedAt   time.Time // that of the intent: istiod settles ties by it
	Spec        proto.Message
	Origins     []intent.Path // the intents that made it
}

// Problem says why an intent could not be given to a cluster in full.
type Problem struct {
	Intent  intent.Path `json:"intent"`
	Message string      `json:"message"`
}

// Object is one object, encoded and hashed once, shared by every cluster
// that gets it, and never changed.
type Object struct {
	Type        *Type
	Namespace   string
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	CreatedAt   time.Time
	Origins     []intent.Path
	Version     string // hash of spec, labels and annotations

	workloads string // of a security object: which ones it is for, see workloadsOf

	sum   [sha256.Size]byte // hash over everything, names included
	entry []byte            // encoded google.protobuf.Any of the istio.mcp.v1alpha1.Resource
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// newObject encodes and hashes a resource.
func newObject(r *Resource) (*Object, error) {
	body, err := deterministic.Marshal(r.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s/%s: %w", r.Type.Kind, r.Namespace, r.Name, err)
	}
	o := &Object{
		Type: r.Type, Namespace: r.Namespace, Name: r.Name,
		Labels: r.Labels, Annotations: r.Annotations, CreatedAt: r.CreatedAt, Origins: r.Origins,
		workloads: workloadsOf(r.Spec),
	}
	content := contentHash(body, r.Labels, r.Annotations)
	o.Version = hex.EncodeToString(content[:12])
	o.entry = encodeEntry(o, string(r.Spec.ProtoReflect().Descriptor().FullName()), body)
	h := sha256.New()
	h.Write([]byte(r.Type.Group + "/" + r.Type.Kind + "\x00"))
	h.Write(o.entry)
	h.Sum(o.sum[:0])
	return o, nil
}

// contentHash is the hash of what istiod compares by version: each part with
// its length, maps in key order.
func contentHash(body []byte, labels, annotations map[string]string) [sha256.Size]byte {
	text := make([]byte, 0, 512)
	part := func(s string) {
		text = strconv.AppendInt(text, int64(len(s)), 10)
		text = append(append(text, ':'), s...)
	}
	h := sha256.New()
	h.Write(append(strconv.AppendInt(text, int64(len(body)), 10), ':'))
	h.Write(body)
	for _, m := range []map[string]string{labels, annotations} {
		text = append(strconv.AppendInt(text, int64(len(m)), 10), ';')
		for _, k := range slices.Sorted(maps.Keys(m)) {
			part(k)
			part(m[k])
		}
	}
	h.Write(text)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// FullName is the object's namespace/name, as xDS names it; /name for one that
// has no namespace.
func (o *Object) FullName() string { return o.Namespace + "/" + o.Name }

// Size is the object's size on an xDS stream, in bytes.
func (o *Object) Size() int { return len(o.entry) }

// Spec decodes the object's spec. The caller owns the message.
func (o *Object) Spec() (proto.Message, error) {
	var outer anypb.Any
	var resource mcp.Resource
	if err := proto.Unmarshal(o.entry, &outer); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", o.Type.Kind, o.FullName(), err)
	}
	if err := proto.Unmarshal(outer.Value, &resource); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", o.Type.Kind, o.FullName(), err)
	}
	spec := o.Type.NewSpec()
	if err := proto.Unmarshal(resource.Body.Value, spec); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", o.Type.Kind, o.FullName(), err)
	}
	return spec, nil
}

// Manifest is the object as Kubernetes takes it: apiVersion, kind, metadata
// and spec, of plain JSON values. That of a Secret holds its data.
func (o *Object) Manifest() (map[string]any, error) {
	message, err := o.Spec()
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("write %s %s as JSON: %w", o.Type.Kind, o.FullName(), err)
	}
	var content map[string]any
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("read %s %s as JSON: %w", o.Type.Kind, o.FullName(), err)
	}
	metadata := map[string]any{"name": o.Name}
	if o.Namespace != "" {
		metadata["namespace"] = o.Namespace
	}
	if len(o.Labels) > 0 {
		metadata["labels"] = plain(o.Labels)
	}
	if len(o.Annotations) > 0 {
		metadata["annotations"] = plain(o.Annotations)
	}
	if o.Type.OverXDS() {
		content = map[string]any{"spec": content}
	}
	if content["apiVersion"] == nil {
		content["apiVersion"] = o.Type.APIVersion()
	}
	content["kind"], content["metadata"] = o.Type.Kind, metadata
	return content, nil
}

func plain(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
