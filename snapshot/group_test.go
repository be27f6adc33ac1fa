package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

// TestSharedNamespaceHasOneOwner holds that of the groups that share a
// namespace one makes its Namespace and one its Sidecar, and that the next does
// it when that one goes, or no longer asks.
func TestSharedNamespaceHasOneOwner(t *testing.T) {
	m := fleet(t, 2)
	scoped := func(namespace string, scope bool) *intent.GroupSpec {
		spec := groupSpec(namespace, 0, 0)
		spec.SidecarScope = scope
		return spec
	}
	m.mustApply(t, putOp(t, groupPath(0), scoped("shop", true)))
	m.mustApply(t, putOp(t, groupPath(1), scoped("shop", true)), putOp(t, groupPath(2), scoped("shop", true)))
	v := newViews(m)
	step := func(what string, namespaceBy, sidecarBy int, ops ...intent.Op) {
		t.Helper()
		if len(ops) > 0 {
			m.mustApply(t, ops...)
		}
		v.build(t.Context(), m.Set())
		fresh := newViews(m)
		fresh.build(t.Context(), m.Set())
		if diff := cmp.Diff(listing(fresh.View(clusterPath(0))), listing(v.View(clusterPath(0)))); diff != "" {
			t.Errorf("%s (-fresh +kept current):\n%s", what, diff)
		}
		for id, by := range map[TypeID]int{Namespace: namespaceBy, Sidecar: sidecarBy} {
			var got, want []intent.Path
			for o := range v.View(clusterPath(0)).Type(id).All() {
				got = append(got, o.Origins[0])
			}
			if by >= 0 {
				want = append(want, groupPath(by))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s is made by (-want +got):\n%s", what, Types[id].Kind, diff)
			}
		}
	}
	step("three groups ask", 0, 0)
	step("the first asks no more", 0, 1, putOp(t, groupPath(0), scoped("shop", false)))
	step("the second goes", 0, 2, removeOp(groupPath(1)))
	step("the first goes", 2, 2, removeOp(groupPath(0)))
	step("another comes first", 0, 2, putOp(t, groupPath(0), scoped("shop", false)))
	step("the last moves to a namespace of its own", 0, -1, putOp(t, groupPath(0), scoped("shop", false)), removeOp(groupPath(2)))
}

// TestScopeFollowsAnothersChange holds that a Sidecar is made anew when a
// service of another group comes to a cluster, or when a group changes that
// shares the namespace with two that ask.
func TestScopeFollowsAnothersChange(t *testing.T) {
	m := fleet(t, 2)
	asking := groupSpec("shop", 0, 0)
	asking.SidecarScope = true
	m.mustApply(t, putOp(t, groupPath(0), asking), putOp(t, groupPath(1), asking), putOp(t, groupPath(2), groupSpec("bank", 1, 1)))
	m.mustApply(t, append([]intent.Op{putOp(t, groupPath(2)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{})}, service(t, 2, 2)...)...)
	v := newViews(m)
	hosts := func() []any {
		v.build(t.Context(), m.Set())
		for o := range v.View(clusterPath(0)).Type(Sidecar).All() {
			manifest, err := o.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			return manifest["spec"].(map[string]any)["egress"].([]any)[0].(map[string]any)["hosts"].([]any)
		}
		return nil
	}
	want := []any{"*/svc0.shop.global", "./svc0.shop.svc.cluster.local", "istio-system/*"}
	if diff := cmp.Diff(want, hosts()); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	guest := clientSpec()
	guest.Group = &intent.GroupRef{Project: "p", CompositeApp: "ca", Version: "v1", Group: "g1"}
	m.mustApply(t, putOp(t, inboundPath(2, 2)+"/clients/c", guest))
	want = []any{"*/svc0.shop.global", "./svc0.shop.svc.cluster.local", "./svc2.bank.global", "./svc2.bank.svc.cluster.local", "istio-system/*"}
	if diff := cmp.Diff(want, hosts()); diff != "" {
		t.Errorf("with a guest (-want +got):\n%s", diff)
	}
	m.mustApply(t, putOp(t, groupPath(2), groupSpec("bank", 0, 1)))
	want = []any{"*/svc0.shop.global", "*/svc2.bank.global", "./svc0.shop.svc.cluster.local", "bank/svc2.bank.svc.cluster.local", "istio-system/*"}
	if diff := cmp.Diff(want, hosts()); diff != "" {
		t.Errorf("with the service here (-want +got):\n%s", diff)
	}
	m.mustApply(t, putOp(t, groupPath(1), groupSpec("shop", 1, 1)))
	want = []any{"*/svc0.shop.global", "./svc0.shop.svc.cluster.local", "istio-system/*"}
	if diff := cmp.Diff(want, hosts()); diff != "" {
		t.Errorf("with the guest's group elsewhere (-want +got):\n%s", diff)
	}
}
