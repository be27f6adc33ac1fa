package snapshot

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

// fleet is a store with n clusters, and a group with one service whose server
// is on cluster 0 and whose client is on cluster 1.
func fleet(t testing.TB, n int) *memory {
	t.Helper()
	m := newMemory()
	for i := range n {
		m.mustApply(t, putOp(t, clusterPath(i), clusterSpec(i), "index", fmt.Sprint(i)))
	}
	m.mustApply(t, putOp(t, groupPath(0), groupSpec("shop", 0, 1)), putOp(t, groupPath(0)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}))
	m.mustApply(t, service(t, 0, 0)...)
	return m
}

// start runs Views and waits until it has built what the store holds.
func start(t testing.TB, m *memory) *Views {
	t.Helper()
	v := newViews(m)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := v.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	settle(t, m, v)
	return v
}

// settle waits until the views are built up to the store's revision.
func settle(t testing.TB, m *memory, v *Views) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		advanced := v.Advanced()
		if v.Ready() && v.Revision() >= m.Set().Revision() {
			return
		}
		select {
		case <-advanced:
		case <-timeout:
			t.Fatalf("views are at revision %d, the store is at %d", v.Revision(), m.Set().Revision())
		}
	}
}

func kinds(types TypeMask) []string {
	var out []string
	for id := range typeCount {
		if types.Has(id) {
			out = append(out, Types[id].Kind)
		}
	}
	return out
}

// TestChangeReachesWhomItConcerns holds that a change wakes the watches of its
// clusters with its types, and leaves every other view as it is.
func TestChangeReachesWhomItConcerns(t *testing.T) {
	m := fleet(t, 3)
	v := start(t, m)
	var watches []*Watch
	var before []*View
	for i := range 3 {
		w := v.Watch(clusterPath(i))
		defer w.Stop()
		if got := w.Take(); got != AllTypes {
			t.Fatalf("first Take = %v, want all types", kinds(got))
		}
		<-w.C
		watches = append(watches, w)
		before = append(before, v.View(clusterPath(i)))
	}
	m.mustApply(t, putOp(t, inboundPath(0, 0)+"/clients/c/access-points/ap", accessPointSpec("POST")))
	settle(t, m, v)

	got := map[int][]string{}
	for i, w := range watches {
		got[i] = kinds(w.Take())
	}
	want := map[int][]string{0: {"AuthorizationPolicy"}, 1: nil, 2: nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types that woke each cluster (-want +got):\n%s", diff)
	}
	for i := 1; i < 3; i++ {
		if v.View(clusterPath(i)) != before[i] {
			t.Errorf("cluster %d has a new view", i)
		}
	}
	for id := range typeCount {
		same := v.View(clusterPath(0)).Type(id) == before[0].Type(id)
		if same != (id != AuthorizationPolicy) {
			t.Errorf("%s: set unchanged is %v", Types[id].Kind, same)
		}
	}
}

// TestNothingBeforeReady holds that no view exists while the store may still
// lack what was committed.
func TestNothingBeforeReady(t *testing.T) {
	m := fleet(t, 2)
	m.ready = make(chan struct{})
	v := newViews(m)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = v.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	w := v.Watch(clusterPath(0))
	defer w.Stop()
	w.Take()
	<-w.C
	m.mustApply(t, putOp(t, clusterPath(7), clusterSpec(7)))
	if v.Ready() || v.View(clusterPath(0)) != nil {
		t.Fatal("a view was built before the store was ready")
	}
	close(m.ready)
	<-w.C
	if v.View(clusterPath(0)) == nil {
		t.Error("no view although the store is ready")
	}
}

// TestClusterGone holds that a deleted cluster has no view, which is not the
// same as an empty one, and that its watch learns of it.
func TestClusterGone(t *testing.T) {
	m := fleet(t, 3)
	v := start(t, m)
	w := v.Watch(clusterPath(2))
	defer w.Stop()
	w.Take()
	<-w.C
	m.mustApply(t, removeOp(clusterPath(2)))
	<-w.C
	if got := w.Take(); got != AllTypes {
		t.Errorf("Take = %v, want all types", kinds(got))
	}
	if v.View(clusterPath(2)) != nil {
		t.Error("the deleted cluster has a view")
	}
}

// TestDeliveryByBundleAlone holds that a cluster that takes bundles alone gets
// nothing over xDS.
func TestDeliveryByBundleAlone(t *testing.T) {
	m := fleet(t, 2)
	v := start(t, m)
	spec := clusterSpec(0)
	spec.Delivery = intent.DeliverBundle
	m.mustApply(t, putOp(t, clusterPath(0), spec, "index", "0"))
	settle(t, m, v)
	view := v.View(clusterPath(0))
	if view.Len() == 0 {
		t.Error("the bundle is empty")
	}
	for id := range typeCount {
		if view.OverXDS(id).Len() != 0 {
			t.Errorf("%s goes over xDS", Types[id].Kind)
		}
	}
}

// TestStatusOfIntents holds what a view says of each intent.
func TestStatusOfIntents(t *testing.T) {
	m := fleet(t, 3)
	v := start(t, m)
	names := func(objects []*Object) map[string]int {
		out := map[string]int{}
		for _, o := range objects {
			out[o.Type.Kind]++
		}
		return out
	}
	server := v.View(clusterPath(0))
	ap := inboundPath(0, 0) + "/clients/c/access-points/ap"
	if diff := cmp.Diff(map[string]int{"AuthorizationPolicy": 1}, names(server.By(ap))); diff != "" {
		t.Errorf("made by the access point (-want +got):\n%s", diff)
	}
	if got, want := len(server.By(groupPath(0))), server.Len(); got != want {
		t.Errorf("made by the group: %d objects, want all %d", got, want)
	}
	if v.View(clusterPath(2)).Concerns(groupPath(0)) || !server.Concerns(ap) {
		t.Error("Concerns is wrong about who has to do with an intent")
	}
}

// TestIncrementalIsFull holds, for random writes, that views kept current step
// by step are those that a fresh start builds, and that Admit never panics.
func TestIncrementalIsFull(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := fleet(t, 4)
		v := newViews(m)
		v.build(t.Context(), m.Set())
		for range rapid.IntRange(1, 15).Draw(rt, "writes") {
			ops := []intent.Op{randomOp(t, rt)}
			old := m.Set()
			if m.apply(ops...) != nil {
				continue
			}
			transactions, _ := m.Since(old.Revision())
			if err := Admit(old, m.Set(), changesOf(transactions)); err != nil {
				rt.Fatalf("%v: %v", ops[0].Path, err)
			}
			if rapid.Bool().Draw(rt, "build") {
				v.build(t.Context(), m.Set())
			}
		}
		v.build(t.Context(), m.Set())
		fresh := newViews(m)
		fresh.build(t.Context(), m.Set())
		for i := range 5 {
			got, want := v.View(clusterPath(i)), fresh.View(clusterPath(i))
			if (got == nil) != (want == nil) {
				rt.Fatalf("cluster %d: view exists: %v, want %v", i, got != nil, want != nil)
			}
			if got == nil {
				continue
			}
			if diff := cmp.Diff(listing(want), listing(got)); diff != "" {
				rt.Fatalf("cluster %d (-fresh +kept current):\n%s", i, diff)
			}
			if diff := cmp.Diff(want.Problems(""), got.Problems("")); diff != "" {
				rt.Fatalf("cluster %d problems (-fresh +kept current):\n%s", i, diff)
			}
		}
	})
}

func listing(v *View) []string {
	var out []string
	for o := range v.Objects() {
		out = append(out, o.Type.Kind+" "+o.FullName()+" "+o.Version)
	}
	for id := range typeCount {
		out = append(out, Types[id].Kind+" "+v.Type(id).Version())
	}
	return out
}

func randomOp(t *testing.T, rt *rapid.T) intent.Op {
	i := rapid.IntRange(0, 4).Draw(rt, "cluster")
	n := rapid.IntRange(0, 2).Draw(rt, "number")
	in := inboundPath(n%2, n)
	switch rapid.IntRange(0, 10).Draw(rt, "op") {
	case 0:
		spec := clusterSpec(i)
		if rapid.Bool().Draw(rt, "address") {
			spec.Gateways[0].Addresses = nil
		}
		return putOp(t, clusterPath(i), spec, "index", fmt.Sprint(rapid.IntRange(0, 2).Draw(rt, "label")))
	case 1:
		return removeOp(clusterPath(i))
	case 2:
		return putOp(t, groupPath(n%2), groupSpec(rapid.SampledFrom([]string{"shop", "bank"}).Draw(rt, "namespace"), i, rapid.IntRange(0, 3).Draw(rt, "client")))
	case 3:
		spec := groupSpec("shop", 0, 1)
		spec.Placements[0] = intent.Placement{App: "server", Selector: &intent.Selector{MatchLabels: map[string]string{"index": fmt.Sprint(n)}}}
		return putOp(t, groupPath(n%2), spec)
	case 4:
		return putOp(t, groupPath(n%2)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{})
	case 5, 6:
		return putOp(t, in, inboundSpec(n))
	case 7:
		spec := clientSpec()
		if rapid.Bool().Draw(rt, "guest") {
			spec.Group = &intent.GroupRef{Project: "p", CompositeApp: "ca", Version: "v1", Group: fmt.Sprint("g", 1-n%2)}
		}
		return putOp(t, in+"/clients/c", spec)
	case 8:
		return putOp(t, in+"/clients/c/access-points/ap", accessPointSpec(rapid.SampledFrom([]string{"GET", "POST"}).Draw(rt, "method")))
	case 9:
		return removeOp(in)
	}
	return removeOp(groupPath(n % 2))
}
