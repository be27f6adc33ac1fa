package raftstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/meshwright/meshwright/intent"
	"github.com/prometheus/client_golang/prometheus"
)

func TestProposeAndRestartFromLog(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	for i := range 20 {
		r := mustPropose(t, s, cluster(fmt.Sprintf("c%02d", i)))
		if got, want := r.Revision, intent.Revision(i+1); got != want {
			t.Fatalf("revision %d, want %d", got, want)
		}
		if o := s.Set().Get(clusterPath(fmt.Sprintf("c%02d", i))); o != r.Objects[0] {
			t.Fatalf("after Propose the set shows %v, want the result's object %v", o, r.Objects[0])
		}
	}
	want := records(t, s.Set())
	wantFeed, _ := s.Since(0)
	mustClose(t, s)

	s = mustBeReady(t, c)
	if diff := cmp.Diff(want, records(t, s.Set())); diff != "" {
		t.Errorf("set after a restart (-want +got):\n%s", diff)
	}
	gotFeed, ok := s.Since(0)
	if !ok || len(gotFeed) != len(wantFeed) {
		t.Errorf("after a restart Since(0) gives %d transactions, %t; want %d", len(gotFeed), ok, len(wantFeed))
	}
	if r := mustPropose(t, s, cluster("next")); r.Revision != 21 {
		t.Errorf("revision %d after a restart, want 21", r.Revision)
	}
}

func TestRestartFromSnapshotAndLog(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	for i := range 10 {
		mustPropose(t, s, cluster(fmt.Sprintf("a%d", i)))
	}
	if err := s.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustPropose(t, s, cluster(fmt.Sprintf("b%d", i)))
	}
	want := records(t, s.Set())
	mustClose(t, s)

	s = mustBeReady(t, c)
	if diff := cmp.Diff(want, records(t, s.Set())); diff != "" {
		t.Errorf("set after a restart (-want +got):\n%s", diff)
	}
	if _, ok := s.Since(9); ok {
		t.Error("Since reaches behind the snapshot that was restored")
	}
	txs, ok := s.Since(10)
	if !ok || len(txs) != 5 || txs[0].Revision != 11 {
		t.Errorf("Since(10) = %v, %t; want the 5 transactions behind the snapshot", txs, ok)
	}
}

func TestSnapshotTakenByThreshold(t *testing.T) {
	c := testConfig(t.TempDir())
	c.SnapshotThreshold, c.SnapshotInterval = 10, 5*time.Millisecond
	s := mustBeReady(t, c)
	for i := 0; ; i++ {
		mustPropose(t, s, cluster(fmt.Sprintf("c%d", i)))
		if found, _ := filepath.Glob(filepath.Join(c.Dir, "snapshots", "*", "state.bin")); len(found) > 0 {
			return // the test's own deadline ends a run without one
		}
	}
}

func TestRefusalLeavesSet(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	mustPropose(t, s, cluster("a"))
	before, changed := s.Set(), s.Changed()
	twice := cluster("b", "a") // the second one exists: neither is made
	_, err := s.Propose(t.Context(), twice)
	var refusal *intent.Error
	if !errors.As(err, &refusal) || refusal.Kind != intent.Conflict || refusal.Op != 1 {
		t.Errorf("error %v, want a conflict at operation 1", err)
	}
	if s.Set() != before {
		t.Error("a refused command put another set in place")
	}
	select {
	case <-changed:
		t.Error("a refused command woke those who wait for a change")
	default:
	}
	mustPropose(t, s, cluster("c"))
	<-changed
}

func TestConcurrentProposals(t *testing.T) {
	const writers, each = 32, 20
	s := mustBeReady(t, testConfig(t.TempDir()))
	var mu sync.Mutex
	acknowledged := make([]string, writers*each) // by revision - 1
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("w%d-%d", w, i)
				r, err := s.Propose(t.Context(), cluster(name))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[r.Revision-1] = name
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	txs, ok := s.Since(0)
	if !ok {
		t.Fatal("Since(0) is compacted")
	}
	var applied []string
	for i, tx := range txs {
		if tx.Revision != intent.Revision(i+1) {
			t.Fatalf("transaction %d has revision %d", i, tx.Revision)
		}
		applied = append(applied, tx.Changes[0].Path.Name())
	}
	if diff := cmp.Diff(acknowledged, applied); diff != "" {
		t.Errorf("what was acknowledged, and what the feed shows (-want +got):\n%s", diff)
	}
	slices.Sort(acknowledged)
	if diff := cmp.Diff(acknowledged, names(s.Set())); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
}

func TestTooLarge(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	c := cluster("a")
	c.Ops[0].Object.Metadata.Description = strings.Repeat("x", MaxEntry)
	if _, err := s.Propose(t.Context(), c); !errors.Is(err, intent.ErrTooLarge) {
		t.Errorf("error %v, want intent.ErrTooLarge", err)
	}
	c.Ops[0].Object.Metadata.Description = strings.Repeat("x", MaxEntry-4096)
	mustPropose(t, s, c)
}

func TestProposeHonoursContext(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Propose(ctx, cluster("a")); !errors.Is(err, intent.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want intent.ErrUnavailable because of the context", err)
	}
	if err := s.Barrier(ctx); !errors.Is(err, intent.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("barrier: error %v, want intent.ErrUnavailable because of the context", err)
	}
}

func TestClosedStore(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	mustPropose(t, s, cluster("a"))
	mustClose(t, s)
	mustClose(t, s)
	if err := s.Ready(); !errors.Is(err, ErrClosed) {
		t.Errorf("Ready says %v", err)
	}
	if _, err := s.Propose(t.Context(), cluster("b")); !errors.Is(err, intent.ErrUnavailable) {
		t.Errorf("Propose says %v, want intent.ErrUnavailable", err)
	}
	if err := s.Barrier(t.Context()); !errors.Is(err, intent.ErrUnavailable) {
		t.Errorf("Barrier says %v, want intent.ErrUnavailable", err)
	}
	if diff := cmp.Diff([]string{"a"}, names(s.Set())); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
}

// Close while many write: each write is acknowledged and kept, or refused as
// unavailable and absent. Nothing hangs, and nothing is in doubt.
func TestCloseDrains(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	var mu sync.Mutex
	var kept []string
	var wg sync.WaitGroup
	started := make(chan struct{}, 1)
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				_, err := s.Propose(t.Context(), cluster(name))
				if err != nil {
					if !errors.Is(err, intent.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				kept = append(kept, name)
				mu.Unlock()
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	<-started
	mustClose(t, s)
	wg.Wait()
	s = mustBeReady(t, c)
	slices.Sort(kept)
	if diff := cmp.Diff(kept, names(s.Set())); diff != "" {
		t.Errorf("acknowledged, and in the set after a restart (-want +got):\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	c := testConfig(t.TempDir())
	c.Settings.HostSuffix = "mesh.example"
	s := mustBeReady(t, c)
	if diff := cmp.Diff("mesh.example", s.Set().Settings().HostSuffix); diff != "" {
		t.Errorf("suffix (-want +got):\n%s", diff)
	}
	if s.Set().Revision() != 1 {
		t.Errorf("revision %d, want 1: settings are a transaction", s.Set().Revision())
	}
	mustClose(t, s)

	s = mustBeReady(t, c)
	if s.Set().Revision() != 1 {
		t.Errorf("revision %d after a restart with the same settings, want 1", s.Set().Revision())
	}
	useSuffix(t, s)
	mustClose(t, s)

	c.Settings.HostSuffix = "other.example"
	s = mustOpen(t, c)
	err := waitFailed(t, s)
	var refusal *intent.Error
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "settings") {
		t.Errorf("failed with %v, want the settings' refusal", err)
	}
	if got := s.Ready(); !errors.Is(got, err) {
		t.Errorf("Ready says %v, want %v", got, err)
	}
	if err := s.WaitReady(t.Context()); err == nil {
		t.Error("WaitReady says that a failed store is ready")
	}
}

// useSuffix makes an inbound whose global name relies on the host suffix.
func useSuffix(t *testing.T, s *Store) {
	t.Helper()
	group := intent.Path("/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g")
	op := func(p intent.Path, spec intent.Spec) intent.Op {
		o := &intent.Object{Metadata: intent.Metadata{Name: p.Name()}, Spec: spec}
		o.Normalize()
		return intent.Op{Method: intent.Create, Path: p, Object: o}
	}
	mustPropose(t, s, intent.Command{Kind: intent.Transact, At: time.Now().UTC(), Ops: []intent.Op{
		op(group, &intent.GroupSpec{Namespace: "shop"}),
		op(group+"/traffic-group-intents/t", &intent.TrafficGroupSpec{}),
		op(group+"/traffic-group-intents/t/inbound-intents/i", &intent.InboundSpec{App: "web", ServiceName: "web"}),
	}})
}

func TestMetrics(t *testing.T) {
	c := testConfig(t.TempDir())
	reg := prometheus.NewPedanticRegistry()
	c.Registerer = reg
	s := mustBeReady(t, c)
	mustPropose(t, s, cluster("a"))
	s.Propose(t.Context(), cluster("a"))
	want := map[string]float64{
		"meshwright_raftstore_proposals_total applied": 1,
		"meshwright_raftstore_proposals_total refused": 1,
		"meshwright_raftstore_ready":                   1,
		"meshwright_raftstore_revision":                1,
		"meshwright_raftstore_snapshot_bytes":          0,
	}
	if diff := cmp.Diff(want, gather(t, reg)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// gather reads the counters and gauges, by name and label value.
func gather(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch {
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				out[name] = m.GetGauge().GetValue()
			}
		}
	}
	return out
}
