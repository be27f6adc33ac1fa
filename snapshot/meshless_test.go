package snapshot

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshwright/meshwright/intent"
)

func TestMeshlessWarnings(t *testing.T) {
	in := inboundPath(0, 0)
	client := clientSpec()
	client.CIDRs = []string{"10.0.0.0/8", "0.0.0.0/0", "::/0"}
	everything := &intent.AccessPointSpec{Action: intent.Allow, URL: []string{"*"}, Access: []string{"*"}, Ports: []int{8080}}
	const portsAlone = "methods, paths, users and when mean nothing without a proxy beside the service: only ports are held"
	for _, test := range []struct {
		name string
		set  func(*intent.InboundSpec)
		want []Problem
	}{
		{"with a proxy", func(*intent.InboundSpec) {}, nil},
		{"without a sidecar", func(s *intent.InboundSpec) {
			s.Management = &intent.Management{SidecarProxy: "no"}
			s.TrafficPolicy, s.GlobalName = &intent.TrafficPolicy{}, "svc.example"
		}, []Problem{
			{in + "/clients/c", "0.0.0.0/0 lets in every address: nothing beside the service knows who calls"},
			{in + "/clients/c", "::/0 lets in every address: nothing beside the service knows who calls"},
			{in + "/clients/c/access-points/ap", portsAlone},
		}},
		{"without a mesh", func(s *intent.InboundSpec) {
			s.ServiceMesh, s.Management = "none", &intent.Management{SidecarProxy: "yes"}
			s.TrafficPolicy, s.GlobalName = &intent.TrafficPolicy{}, "svc.example"
		}, []Problem{
			{in, "trafficPolicy means nothing without the mesh's proxies"},
			{in, "globalName means nothing without a mesh: clients call it as svc0.shop"},
			{in, "management.sidecarProxy means nothing without a mesh"},
			{in + "/clients/c", "0.0.0.0/0 lets in every address: nothing beside the service knows who calls"},
			{in + "/clients/c", "::/0 lets in every address: nothing beside the service knows who calls"},
			{in + "/clients/c/access-points/ap", portsAlone},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := fleet(t, 2)
			spec := inboundSpec(0)
			test.set(spec)
			m.mustApply(t,
				putOp(t, in, spec), putOp(t, in+"/clients/c", client),
				putOp(t, in+"/clients/c/access-points/all", everything),
			)
			set := m.Set()
			if diff := cmp.Diff(test.want, meshlessWarnings(set, set.Get(in))); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIngressPassesThePolicy holds that a service which is called from outside
// the mesh too lets its ingress gateway in. No write of it is taken yet without
// a generator for the rest of it, so it is stored as it is.
func TestIngressPassesThePolicy(t *testing.T) {
	m := newMemory()
	record := clusterSpec(0)
	record.Gateways = []intent.Gateway{{Name: "in", Role: intent.Ingress, Namespace: "edge", Selector: map[string]string{"istio": "in"}}}
	m.mustApply(t, putOp(t, clusterPath(0), record), putOp(t, groupPath(0), groupSpec("shop", 0, 0)), putOp(t, groupPath(0)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}))
	spec := inboundSpec(0)
	spec.Management, spec.Authorization = &intent.Management{SidecarProxy: "no"}, intent.AuthorizeClients
	op := putOp(t, inboundPath(0, 0), spec)
	op.Object.Spec.(*intent.InboundSpec).ExternalSupport = true
	m.mustApply(t, op)
	resources, _ := generate(m.Set(), m.Set().Get(inboundPath(0, 0)), m.Set().Get(clusterPath(0)))
	i := slices.IndexFunc(resources, func(r Resource) bool { return r.Type.ID == NetworkPolicy })
	if i < 0 {
		t.Fatal("there is no NetworkPolicy")
	}
	want := map[string]any{"spec": map[string]any{
		"podSelector": map[string]any{"matchLabels": map[string]any{"app": "server0"}},
		"policyTypes": []any{"Ingress"},
		"ingress": []any{map[string]any{
			"from": []any{map[string]any{
				"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "edge"}},
				"podSelector":       map[string]any{"matchLabels": map[string]any{"istio": "in"}},
			}},
			"ports": []any{map[string]any{"port": 8080.0, "protocol": "TCP"}},
		}},
	}}
	if diff := cmp.Diff(want, resources[i].Spec.(*structpb.Struct).AsMap()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}
