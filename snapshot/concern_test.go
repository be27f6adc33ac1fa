package snapshot

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshwright/meshwright/intent"
)

// TestWriteRebuildsWhatItConcerns holds, in a fleet where each cluster serves
// one group and calls the services of the one before it, that a write gives a
// new view to the clusters that see a difference, and leaves every other
// cluster the very view it had.
func TestWriteRebuildsWhatItConcerns(t *testing.T) {
	const clusters = 30
	m := largeFleet(t, 10*3*clusters, clusters)
	v := newViews(m)
	v.build(t.Context(), m.Set())
	in := inboundPath(7, 3)
	policy := inboundSpec(3)
	policy.TrafficPolicy = &intent.TrafficPolicy{CircuitBreaking: &intent.CircuitBreaking{MaxConnections: 9}}
	moved := clusterSpec(7)
	moved.Gateways[0].Addresses = []string{"10.99.99.99"}
	withdrawn := clusterSpec(7)
	withdrawn.Gateways = nil
	for _, test := range []struct {
		write string
		op    intent.Op
		views []string // that are new
		units float64  // that were generated, once per cluster: two groups of ten services are 44
	}{
		{"what a client may call", putOp(t, in+"/clients/c/access-points/ap", accessPointSpec("POST")), []string{"edge/c7"}, 2},
		{"how clients balance", putOp(t, in, policy), []string{"edge/c7", "edge/c8"}, 2},
		{"one service less", removeOp(inboundPath(7, 4)), []string{"edge/c7", "edge/c8"}, 0},
		{"a gateway's address", putOp(t, clusterPath(7), moved), []string{"edge/c8"}, 42},
		{"a cluster's gateway", putOp(t, clusterPath(7), withdrawn), []string{"edge/c7", "edge/c8"}, 42},
		{"a cluster's labels", putOp(t, clusterPath(9), clusterSpec(9), "tier", "shop"), nil, 0},
		{"a new cluster", putOp(t, clusterPath(clusters), clusterSpec(clusters)), []string{fmt.Sprint("edge/c", clusters)}, 0},
	} {
		before := viewsOf(m.Set(), v)
		counted := counters(t, v.metrics)
		m.mustApply(t, test.op)
		v.build(t.Context(), m.Set())
		var got []string
		for cluster, view := range viewsOf(m.Set(), v) {
			if before[cluster] != view {
				got = append(got, cluster.ClusterName())
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.views, got); diff != "" {
			t.Errorf("%s: clusters with a new view (-want +got):\n%s", test.write, diff)
		}
		now := counters(t, v.metrics)
		if rebuilt := now["meshwright_snapshot_views_changed_total"] - counted["meshwright_snapshot_views_changed_total"]; int(rebuilt) != len(test.views) {
			t.Errorf("%s: %v views were rebuilt, want %d", test.write, rebuilt, len(test.views))
		}
		if units := now["meshwright_snapshot_intents_built_total"] - counted["meshwright_snapshot_intents_built_total"]; units != test.units {
			t.Errorf("%s: %v intents were generated, want %v", test.write, units, test.units)
		}
	}
}

func viewsOf(set *intent.Set, v *Views) map[intent.Path]*View {
	out := map[intent.Path]*View{}
	for cluster := range set.List(intent.KindCluster, "") {
		out[cluster.Path] = v.View(cluster.Path)
	}
	return out
}

// counters are the metrics that say how much was built, by name.
func counters(t testing.TB, m *metrics) map[string]float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.units, m.rebuilt)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		out[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	return out
}
