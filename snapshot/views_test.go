package snapshot

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

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

// TestNamePassesBetweenIntents holds that an object stays when one intent gives
// it in place of another, and that a preview shows what the cluster will see.
func TestNamePassesBetweenIntents(t *testing.T) {
	for _, path := range [][2]intent.Path{{rawPath(0, 0), rawPath(0, 1)}, {rawPath(0, 1), rawPath(0, 0)}} {
		m := fleet(t, 2)
		m.mustApply(t, putOp(t, path[0], rawSpec("x", 0)))
		v := newViews(m)
		v.build(t.Context(), m.Set())
		old := m.Set()
		m.mustApply(t, removeOp(path[0]), putOp(t, path[1], rawSpec("x", 0)))
		v.build(t.Context(), m.Set())
		if o := v.View(clusterPath(0)).Type(VirtualService).Get("shop/x"); o == nil || o.Origins[0] != path[1] {
			t.Errorf("from %s to %s: the object is %v", path[0].Name(), path[1].Name(), o)
		}

		transactions, _ := m.Since(old.Revision())
		diff, err := Preview(old, m.Set(), changesOf(transactions))
		if err != nil {
			t.Fatal(err)
		}
		if len(diff.Clusters) != 1 || len(diff.Clusters[0].Changed) != 1 || len(diff.Clusters[0].Added)+len(diff.Clusters[0].Removed) > 0 {
			t.Errorf("preview: %+v, want one change", diff.Clusters)
		}
	}
}

// TestPanicKeepsTheLastGoodObjects holds that a generator that panics takes no
// object from a cluster, though another cluster, which comes first and has
// none yet, would get the same ones.
func TestPanicKeepsTheLastGoodObjects(t *testing.T) {
	m := fleet(t, 2)
	m.mustApply(t, putOp(t, rawPath(0, 0), rawSpec("x", 1)))
	v := newViews(m)
	v.build(t.Context(), m.Set())

	sound := Types[VirtualService].NewSpec
	Types[VirtualService].NewSpec = func() proto.Message { panic("a defect") }
	m.mustApply(t, putOp(t, rawPath(0, 0), rawSpec("x", 0, 1)))
	v.build(t.Context(), m.Set())
	Types[VirtualService].NewSpec = sound
	for i, want := range []int{0, 1} {
		view := v.View(clusterPath(i))
		if got := len(view.By(rawPath(0, 0))); got != want || view.Type(VirtualService).Get("shop/x") == nil != (want == 0) {
			t.Errorf("cluster %d has %d objects, want %d", i, got, want)
		}
		if len(view.Problems(rawPath(0, 0))) != 1 {
			t.Errorf("cluster %d: the problem is not reported", i)
		}
	}

	m.mustApply(t, putOp(t, rawPath(0, 0), rawSpec("y", 0, 1)))
	v.build(t.Context(), m.Set())
	for i := range 2 {
		if view := v.View(clusterPath(i)); view.Type(VirtualService).Get("shop/y") == nil || len(view.Problems("")) != 0 {
			t.Errorf("cluster %d did not recover", i)
		}
	}
}
