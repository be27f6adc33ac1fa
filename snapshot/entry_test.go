package snapshot

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	"pgregory.net/rapid"
)

// TestEntryIsProtobufs holds that an object is encoded as protobuf's own
// deterministic encoding does it.
func TestEntryIsProtobufs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.MapOfN(rapid.String(), rapid.String(), 0, 4)
		r := &Resource{
			Type: Types[ServiceEntry], Namespace: rapid.String().Draw(rt, "namespace"), Name: rapid.String().Draw(rt, "name"),
			Labels: texts.Draw(rt, "labels"), Annotations: texts.Draw(rt, "annotations"),
			CreatedAt: time.Unix(rapid.Int64Range(-9, 1<<33).Draw(rt, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(rt, "nanos")),
			Spec:      &networking.ServiceEntry{Hosts: rapid.SliceOfN(rapid.String(), 0, 3).Draw(rt, "hosts")},
		}
		o, err := newObject(r)
		if err != nil {
			rt.Fatal(err)
		}
		if want := reference(rt, r, o.Version); !bytes.Equal(o.entry, want) {
			rt.Fatalf("the entry is\n%x, protobuf's is\n%x", o.entry, want)
		}
	})
}

func reference(t *rapid.T, r *Resource, version string) []byte {
	deterministic := proto.MarshalOptions{Deterministic: true}
	must := func(data []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return must(deterministic.Marshal(&anypb.Any{
		TypeUrl: "type.googleapis.com/istio.mcp.v1alpha1.Resource",
		Value: must(deterministic.Marshal(&mcp.Resource{
			Metadata: &mcp.Metadata{
				Name: r.Namespace + "/" + r.Name, CreateTime: timestamppb.New(r.CreatedAt), Version: version,
				Labels: r.Labels, Annotations: r.Annotations,
			},
			Body: &anypb.Any{
				TypeUrl: "type.googleapis.com/" + string(r.Spec.ProtoReflect().Descriptor().FullName()),
				Value:   must(deterministic.Marshal(r.Spec)),
			},
		})),
	}))
}
