package intent

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// fleet returns a set of about n intents: groups of a hundred services, each
// with a client and an access point, on ten clusters.
func fleet(b *testing.B, n int) *Set {
	b.Helper()
	s, at := NewSet(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ops []Op
	flush := func() {
		entry, err := Command{Kind: Transact, At: at, Ops: ops}.Encode()
		if err != nil {
			b.Fatal(err)
		}
		next, _, err := s.Apply(mustDecode(b, entry)) // through the log, as objects come to be in memory
		if err != nil {
			b.Fatal(err)
		}
		s, ops = next, nil
	}
	add := func(p Path, spec Spec, labels map[string]string) {
		o := &Object{Path: p, Metadata: Metadata{Name: p.Name(), Labels: labels}, Spec: spec}
		o.Normalize()
		if ops = append(ops, Op{Method: Put, Path: p, Object: o}); len(ops) == MaxOps {
			flush()
		}
	}
	for i := range 10 {
		add(ClusterPath("acme", fmt.Sprint("edge-", i)), &ClusterSpec{
			Authorities: []string{fmt.Sprintf("edge-%d.example", i)},
			Gateways:    []Gateway{{Name: "ew", Role: EastWest, Addresses: []string{fmt.Sprint("192.0.2.", i)}}},
		}, map[string]string{"env": "prod", "edge": fmt.Sprint(i)})
	}
	for i := range n / 3 {
		group := Path(fmt.Sprintf("%sgroup-%d", testGroup, i/100))
		tg := group + "/traffic-group-intents/t"
		if i%100 == 0 {
			add(group, benchGroup(i/100), nil)
			add(tg, &TrafficGroupSpec{}, nil)
		}
		in := Path(fmt.Sprintf("%s/inbound-intents/service-%d", tg, i))
		add(in, benchInbound(i), nil)
		add(in+"/clients/front", benchClient(), nil)
		add(in+"/clients/front/access-points/read", &AccessPointSpec{Action: Allow, URL: []string{"/api/*"}, Access: []string{"GET"}}, nil)
	}
	if len(ops) > 0 {
		flush()
	}
	return s
}

func benchGroup(i int) *GroupSpec {
	return &GroupSpec{Namespace: fmt.Sprint("ns-", i), Placements: []Placement{
		{App: "cart", Clusters: []ClusterRef{{"acme", fmt.Sprint("edge-", i%10)}}},
		{App: "front", Selector: &Selector{MatchLabels: map[string]string{"env": "prod"}}},
	}}
}

func benchInbound(i int) *InboundSpec {
	return &InboundSpec{App: "cart", AppLabel: "app=cart", ServiceName: fmt.Sprint("service-", i), Port: 8080, Protocol: "HTTP"}
}

func benchClient() *ClientSpec {
	return &ClientSpec{App: "front", AppLabel: "app=front", ServiceName: "front", Namespaces: []string{"front"}, CIDRs: []string{}, ServiceAccount: "front"}
}

var benchSizes = []int{10, 1_000, 100_000}

// BenchmarkApply applies one command to sets of several sizes.
func BenchmarkApply(b *testing.B) {
	for _, n := range benchSizes {
		s := fleet(b, n)
		in := Path(testGroup + "group-0/traffic-group-intents/t/inbound-intents/service-1")
		group := Path(testGroup + "group-0")
		for _, bench := range []struct {
			name string
			spec Spec
			path Path
		}{
			{"inbound", benchInbound(1), in},
			{"client", benchClient(), in + "/clients/other"},
			{"group", benchGroup(0), group},
			{"cluster", &ClusterSpec{}, ClusterPath("acme", "edge-0")},
		} {
			b.Run(fmt.Sprintf("%s/intents=%d", bench.name, n), func(b *testing.B) {
				b.ReportAllocs()
				set, i := s, 0
				for b.Loop() {
					o := &Object{Path: bench.path, Metadata: Metadata{Name: bench.path.Name(), Description: fmt.Sprint(i)}, Spec: bench.spec}
					next, _, err := set.Apply(Command{Kind: Transact, Ops: []Op{{Method: Put, Path: bench.path, Object: o}}})
					if err != nil {
						b.Fatal(err)
					}
					set, i = next, i+1 // each changes something: the description
				}
			})
		}
	}
}

// BenchmarkApplyIdentified is an inbound with an idempotency key, when the
// memory of keys is full.
func BenchmarkApplyIdentified(b *testing.B) {
	set, i := fleet(b, 1000), 0
	p := Path(testGroup + "group-0/traffic-group-intents/t/inbound-intents/service-1")
	apply := func() {
		o := &Object{Path: p, Metadata: Metadata{Name: p.Name(), Description: fmt.Sprint(i)}, Spec: benchInbound(1)}
		next, _, err := set.Apply(Command{Kind: Transact, ID: fmt.Sprint("key-", i), Digest: "d", Ops: []Op{{Method: Put, Path: p, Object: o}}})
		if err != nil {
			b.Fatal(err)
		}
		set, i = next, i+1
	}
	for range MaxRepeats {
		apply()
	}
	b.ReportAllocs()
	for b.Loop() {
		apply()
	}
}

// BenchmarkFromRecords reads a set back, and reports the memory that it holds.
func BenchmarkFromRecords(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("intents=%d", n), func(b *testing.B) {
			var records []Record
			for r, err := range fleet(b, n).Records() {
				if err != nil {
					b.Fatal(err)
				}
				records = append(records, r)
			}
			yield := func(yield func(Record, error) bool) {
				for _, r := range records {
					if !yield(r, nil) {
						return
					}
				}
			}
			var set *Set
			before := heap()
			for b.Loop() {
				set = nil // so that one Set is held at a time
				var err error
				if set, err = FromRecords(yield); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "B/intent")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/intent")
			runtime.KeepAlive(set)
			runtime.KeepAlive(records)
		})
	}
}

// BenchmarkList reads one collection of a hundred.
func BenchmarkList(b *testing.B) {
	s := fleet(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(slices.Collect(s.List(KindInbound, testGroup+"group-7"))); n != 100 {
			b.Fatal(n)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
