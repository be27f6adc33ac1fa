package raftstore

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/meshwright/meshwright/intent"
)

// A write that fails ends the node: the proposer's outcome is unknown, nothing
// is tried again, and what was acknowledged is there after a restart.
func TestFailedWriteFailsNode(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	mustPropose(t, s, cluster("a"))
	if err := s.bolt.Close(); err != nil { // the disk goes away
		t.Fatal(err)
	}
	if _, err := s.Propose(t.Context(), cluster("b")); !errors.Is(err, intent.ErrUnknownOutcome) {
		t.Errorf("error %v, want intent.ErrUnknownOutcome", err)
	}
	err := waitFailed(t, s)
	if !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		t.Errorf("failed with %v, want bolt's error", err)
	}
	if got := s.Ready(); got != err {
		t.Errorf("Ready says %v, want %v", got, err)
	}
	if _, err := s.Propose(t.Context(), cluster("c")); !errors.Is(err, intent.ErrUnavailable) {
		t.Errorf("error %v, want intent.ErrUnavailable", err)
	}
	if s.raft.ReloadableConfig().ElectionTimeout <= c.ElectionTimeout {
		t.Error("a failed node still campaigns")
	}
	mustClose(t, s)

	s = mustBeReady(t, c)
	if s.Set().Get(clusterPath("a")) == nil {
		t.Error("an acknowledged write is gone")
	}
}

func TestGuardNeverRetries(t *testing.T) {
	var failures []error
	bolt, err := openLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{bolt: bolt, metrics: newMetrics(nil), fail: func(err error) { failures = append(failures, err) }}
	if err := g.StoreLog(&raft.Log{Index: 1}); err != nil {
		t.Fatal(err)
	}
	if err := bolt.Close(); err != nil {
		t.Fatal(err)
	}
	first := g.StoreLog(&raft.Log{Index: 2})
	for what, err := range map[string]error{
		"StoreLogs": g.StoreLogs([]*raft.Log{{Index: 2}}),
		"Set":       g.Set([]byte("k"), []byte("v")),
		"SetUint64": g.SetUint64([]byte("k"), 1),
	} {
		if err != first {
			t.Errorf("%s says %v, want the first error again", what, err)
		}
	}
	if len(failures) != 1 || failures[0] != first {
		t.Errorf("failures %v, want %v once", failures, first)
	}
}

func TestGuardDeleteRange(t *testing.T) {
	const entries = 3*deleteChunk + 5
	for _, tc := range []struct {
		name              string
		from, to          uint64
		first, last, gone uint64
	}{
		{"head", 1, 2*deleteChunk + 7, 2*deleteChunk + 8, entries, 2*deleteChunk + 7},
		{"head by one", 1, 1, 2, entries, 1},
		{"tail", 3, entries, 1, 2, 3},
		{"tail beyond the end", entries - deleteChunk, entries + 10, 1, entries - deleteChunk - 1, entries},
		{"all", 1, entries, 0, 0, 1},
		{"nothing", 5, 4, 1, entries, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bolt, err := openLog(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer bolt.Close()
			g := &guard{bolt: bolt, metrics: newMetrics(nil), fail: func(err error) { t.Error(err) }}
			logs := make([]*raft.Log, entries)
			for i := range logs {
				logs[i] = &raft.Log{Index: uint64(i + 1)}
			}
			if err := g.StoreLogs(logs); err != nil {
				t.Fatal(err)
			}
			if err := g.DeleteRange(tc.from, tc.to); err != nil {
				t.Fatal(err)
			}
			first, err1 := g.FirstIndex()
			last, err2 := g.LastIndex()
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if first != tc.first || last != tc.last {
				t.Errorf("left %d to %d, want %d to %d", first, last, tc.first, tc.last)
			}
			if err := g.GetLog(tc.gone, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
				t.Errorf("entry %d: %v, want that it is gone", tc.gone, err)
			}
		})
	}
}
