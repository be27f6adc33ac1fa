package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
