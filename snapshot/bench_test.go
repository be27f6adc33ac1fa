package snapshot

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// BenchmarkOneChange measures the build after one access point changed, which
// concerns one cluster, in stores of several sizes. 5,000 clusters share the
// intents of the largest. It tells how many clusters got a new view per write.
func BenchmarkOneChange(b *testing.B) {
	for _, intents := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprint(intents), func(b *testing.B) {
			clusters := max(2, intents/20)
			m := largeFleet(b, intents, clusters)
			v := newViews(m)
			v.build(b.Context(), m.Set())
			ap := inboundPath(0, 0) + "/clients/c/access-points/ap"
			before := counters(b, v.metrics)["meshwright_snapshot_views_changed_total"]
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				m.mustApply(b, putOp(b, ap, accessPointSpec([]string{"POST", "GET"}[i%2])))
				b.StartTimer()
				v.build(b.Context(), m.Set())
			}
			rebuilt := counters(b, v.metrics)["meshwright_snapshot_views_changed_total"] - before
			b.ReportMetric(rebuilt/float64(b.N), "clusters/op")
		})
	}
}

// BenchmarkFullBuild measures what a restart must do, and what the views then
// hold in memory for each intent.
func BenchmarkFullBuild(b *testing.B) {
	for _, intents := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(intents), func(b *testing.B) {
			m := largeFleet(b, intents, max(2, intents/20))
			without := heap()
			var v *Views
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				v = newViews(m)
				v.build(b.Context(), m.Set())
			}
			b.StopTimer()
			b.ReportMetric((heap()-without)/float64(intents), "B/intent")
			b.ReportMetric(gauges(b, v.metrics)["meshwright_snapshot_objects"], "objects")
		})
	}
}

// heap is what is in use, in bytes.
func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// BenchmarkAdmit measures what a write waits for before it is proposed.
func BenchmarkAdmit(b *testing.B) {
	m := largeFleet(b, 1_000, 50)
	old := m.Set()
	m.mustApply(b, putOp(b, inboundPath(0, 0)+"/clients/c/access-points/ap", accessPointSpec("POST")))
	transactions, _ := m.Since(old.Revision())
	for b.Loop() {
		if _, err := Admit(old, m.Set(), changesOf(transactions)); err != nil {
			b.Fatal(err)
		}
	}
}

// largeFleet holds about n intents: in each group ten services of three
// intents each, spread over the clusters.
func largeFleet(b testing.TB, n, clusters int) *memory {
	b.Helper()
	m := newMemory()
	for i := range clusters {
		m.mustApply(b, putOp(b, clusterPath(i), clusterSpec(i)))
	}
	for g, made := 0, 0; made < n; g++ {
		ops := []intent.Op{
			putOp(b, groupPath(g), groupSpec(fmt.Sprint("ns", g), g%clusters, (g+1)%clusters)),
			putOp(b, groupPath(g)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}),
		}
		for i := 0; i < 10 && made < n; i++ {
			ops = append(ops, service(b, g, i)...)
			made += 3
		}
		m.mustApply(b, ops...)
	}
	return m
}
