package snapshot

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// FuzzRawResource holds that a raw resource of any kind and content is either
// refused with a field, or becomes an object that can be encoded and shown.
func FuzzRawResource(f *testing.F) {
	for id, t := range Types {
		f.Add(byte(id), t.APIVersion(), []byte(`{}`))
	}
	f.Add(byte(ServiceEntry), "networking.istio.io/v1", []byte(`{"hosts":["a.b"],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`))
	f.Add(byte(VirtualService), "networking.istio.io/v1alpha3", []byte(`{"hosts":["a"],"http":[{"route":[{"destination":{"host":"a"},"weight":100}]}]}`))
	f.Add(byte(EnvoyFilter), "networking.istio.io/v1alpha3", []byte(`{"configPatches":[{"applyTo":"CLUSTER","patch":{"operation":"MERGE","value":{"x":1}}}]}`))
	f.Add(byte(AuthorizationPolicy), "security.istio.io/v1", []byte(`{"rules":[{"to":[{"operation":{"paths":["/{*}"]}}]}]}`))
	f.Add(byte(ServiceEntry), "networking.istio.io/v1", []byte(`{"hosts":[""]}`))
	f.Add(byte(ServiceEntry), "networking.istio.io/v1", []byte(`{"hosts":["a"],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`))
	cluster := putOp(f, clusterPath(0), clusterSpec(0))
	scoped := groupSpec("shop", 0, 0)
	scoped.SidecarScope = true
	group := putOp(f, groupPath(0), scoped)
	traffic := putOp(f, groupPath(0)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{})
	f.Fuzz(func(t *testing.T, id byte, apiVersion string, spec []byte) {
		o := &intent.Object{
			Path:     groupPath(0) + "/traffic-group-intents/tg/istio-resources/r",
			Metadata: intent.Metadata{Name: "r"},
			Spec: &intent.IstioResourceSpec{
				Clusters: intent.ClusterChoice{Clusters: []intent.ClusterRef{{ClusterProvider: "edge", Cluster: "c0"}}},
				Resource: intent.RawResource{
					APIVersion: apiVersion, Kind: Types[int(id)%len(Types)].Kind, Metadata: intent.RawMetadata{Name: "r"}, Spec: spec,
				},
			},
		}
		if !json.Valid(spec) {
			return // the REST layer refuses it before
		}
		o.Normalize()
		if o.Validate() != nil {
			return
		}
		m := newMemory()
		m.mustApply(t, cluster, group, traffic)
		before := m.Set()
		if m.apply(intent.Op{Method: intent.Put, Path: o.Path, Object: o}) != nil {
			return
		}
		transactions, _ := m.Since(before.Revision())
		_, err := Admit(before, m.Set(), changesOf(transactions))
		var refusal *intent.Error
		switch {
		case err == nil:
			showAll(t, m)
		case !errors.As(err, &refusal) || len(refusal.Violations) == 0 || refusal.Violations[0].Message == "":
			t.Fatalf("a refusal without its reason: %v", err)
		case refusal.Path != o.Path:
			t.Fatalf("it makes an object of %s illegal: %v", refusal.Path, err)
		}
	})
}

// showAll builds the views and writes every object as a manifest.
func showAll(t *testing.T, m *memory) {
	t.Helper()
	v := newViews(m)
	v.build(t.Context(), m.Set())
	view := v.View(clusterPath(0))
	if view.Len() != 3 { // with the group's Namespace and Sidecar
		t.Fatalf("with the accepted resource there are %d objects, problems %v", view.Len(), view.Problems(""))
	}
	for o := range view.Objects() {
		if _, err := o.Manifest(); err != nil {
			t.Fatal(err)
		}
	}
}
