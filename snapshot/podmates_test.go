package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

// TestPodMateWarnings holds that services with the same pods are told of each
// other where one shuts the other, and where both have a port.
func TestPodMateWarnings(t *testing.T) {
	m := newMemory()
	m.mustApply(t, putOp(t, clusterPath(0), clusterSpec(0)))
	for i := range 2 { // two groups, one namespace
		m.mustApply(t, putOp(t, groupPath(i), groupSpec("shop", 0, 0)), putOp(t, groupPath(i)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}))
	}
	a, b := inboundPath(0, 0), inboundPath(1, 1)
	mate := inboundSpec(1)
	mate.AppLabel = inboundSpec(0).AppLabel
	m.mustApply(t, service(t, 0, 0)...)
	m.mustApply(t, putOp(t, b, mate))
	told := func(p intent.Path) []string {
		var out []string
		for _, w := range podMateWarnings(m.Set(), m.Set().Get(p)) {
			out = append(out, w.Message)
		}
		return out
	}
	const same = " has the same pods (namespace and appLabel) and "
	shut := []string{string(a) + same + "limits who may call them: calls of this service are refused until it declares its clients and their access points, too"}
	both := func(p intent.Path) []string {
		return []string{string(p) + same + "their ports 8080: there, whom either lets in may call, and whom either denies may not"}
	}
	for _, step := range []struct {
		change       func()
		wantA, wantB []string
	}{
		{func() {}, nil, shut},
		{func() { mate.Authorization = intent.AuthorizeClients }, both(b), both(a)},
		{func() { mate.TargetPort = 9090 }, nil, nil},
	} {
		step.change()
		spec := *mate
		m.mustApply(t, putOp(t, b, &spec))
		if diff := cmp.Diff([][]string{step.wantA, step.wantB}, [][]string{told(a), told(b)}); diff != "" {
			t.Errorf("warnings of both (-want +got):\n%s", diff)
		}
	}
}
