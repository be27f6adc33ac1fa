package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
)

func entry(t testing.TB, c intent.Command) *raft.Log {
	t.Helper()
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Type: raft.LogCommand, Data: data}
}

func newTestFSM(t testing.TB, fail func(error)) *fsm {
	return newFSM(t.Context(), testConfig(t.TempDir()), newMetrics(nil), fail)
}

// A batch swaps once, whatever is in it.
func TestBatchSwapsOnce(t *testing.T) {
	f := newTestFSM(t, func(err error) { t.Error(err) })
	changed := f.state.Load().changed
	answers := f.ApplyBatch([]*raft.Log{
		entry(t, cluster("a")),
		{Type: raft.LogConfiguration},
		entry(t, cluster("a")), // refused
		entry(t, cluster("b")),
	})
	<-changed
	select {
	case <-f.state.Load().changed:
		t.Error("the batch swapped more than once")
	default:
	}
	var got []string
	for _, a := range answers {
		switch a, ok := a.(applied); {
		case !ok:
			got = append(got, "none")
		case a.err != nil:
			got = append(got, "refused at "+a.result.Revision.String())
		default:
			got = append(got, "applied at "+a.result.Revision.String())
		}
	}
	want := []string{"applied at 1", "none", "refused at 1", "applied at 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// An entry that can't be read stops the FSM at it: what came before counts,
// nothing behind it is applied, and there is no snapshot that would hide it.
func TestUnknownEntryStopsFSM(t *testing.T) {
	for name, data := range map[string][]byte{
		"version": {99, '{', '}'},
		"kind":    append([]byte{1}, `{"kind":"explode"}`...),
		"garbage": {1, '{'},
		"empty":   {},
	} {
		t.Run(name, func(t *testing.T) {
			var failures []error
			f := newTestFSM(t, func(err error) { failures = append(failures, err) })
			answers := f.ApplyBatch([]*raft.Log{entry(t, cluster("a")), {Data: data, Index: 7}, entry(t, cluster("b"))})
			answers = append(answers, f.Apply(entry(t, cluster("c"))))
			for i, a := range answers[1:] {
				if a.(applied).err != failures[0] {
					t.Errorf("answer %d is %v, want %v", i+1, a, failures[0])
				}
			}
			if len(failures) != 1 || !strings.Contains(failures[0].Error(), "entry 7") {
				t.Errorf("failures %v, want one that names entry 7", failures)
			}
			if diff := cmp.Diff([]string{"a"}, names(f.state.Load().set)); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if _, err := f.Snapshot(); err != failures[0] {
				t.Errorf("Snapshot says %v, want %v", err, failures[0])
			}
		})
	}
}

// The same in a whole node: it fails, takes nothing more, and fails again
// after a restart, since the entry is in its log for good.
func TestUnknownEntryFailsNode(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	mustPropose(t, s, cluster("a"))
	_, err := s.submit(t.Context(), []byte{99})
	if !errors.Is(err, intent.ErrUnknownOutcome) {
		t.Errorf("the proposer is told %v, want intent.ErrUnknownOutcome: a newer release will apply it", err)
	}
	if err := waitFailed(t, s); !errors.Is(err, intent.ErrUnknownCommand) {
		t.Errorf("failed with %v, want ErrUnknownCommand", err)
	}
	if _, err := s.Propose(t.Context(), cluster("b")); !errors.Is(err, intent.ErrUnavailable) || !errors.Is(err, intent.ErrUnknownCommand) {
		t.Errorf("a later proposer is told %v, want intent.ErrUnavailable and why", err)
	}
	mustClose(t, s)

	s = mustOpen(t, c)
	if err := waitFailed(t, s); !errors.Is(err, intent.ErrUnknownCommand) {
		t.Errorf("after a restart, failed with %v, want ErrUnknownCommand", err)
	}
	if err := s.WaitReady(t.Context()); !errors.Is(err, intent.ErrUnknownCommand) {
		t.Errorf("WaitReady says %v", err)
	}
}

// damageNewest flips a bit of the newest snapshot's content.
func damageNewest(t *testing.T, dir string) {
	t.Helper()
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, nil)
	if err != nil {
		t.Fatal(err)
	}
	metas, err := files.List()
	if err != nil || len(metas) != keptSnapshots {
		t.Fatalf("snapshots %v, %v; want %d", metas, err, keptSnapshots)
	}
	path := filepath.Join(dir, "snapshots", metas[0].ID, "state.bin")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSnapshot(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	snapshotAfter := func(name string) {
		for _, n := range []string{"1", "2", "3", "4", "5"} {
			mustPropose(t, s, cluster(name+n))
		}
		if err := s.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	snapshotAfter("a")
	snapshotAfter("b")
	mustPropose(t, s, cluster("c"))
	want := records(t, s.Set())
	mustClose(t, s)
	damageNewest(t, c.Dir)

	// The log reaches back to the older snapshot: nothing is lost.
	s = mustBeReady(t, c)
	if diff := cmp.Diff(want, records(t, s.Set())); diff != "" {
		t.Errorf("set from the older snapshot (-want +got):\n%s", diff)
	}
	if txs, ok := s.Since(5); !ok || len(txs) != 6 {
		t.Errorf("Since(5) gives %d transactions, %t: it was not the older snapshot", len(txs), ok)
	}
	mustClose(t, s)

	// It does not any more: the older snapshot must not be taken.
	bolt, err := openLog(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	last, err := bolt.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bolt.DeleteRange(1, last-3), bolt.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err = Open(c); err == nil || !strings.Contains(err.Error(), "CRC mismatch") {
		t.Errorf("Open says %v, want that the snapshot does not match its checksum", err)
	}
}

func TestPersistGivesUpOnClose(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFSM(ctx, testConfig(t.TempDir()), newMetrics(nil), nil)
	snap, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	sink, err := raft.NewInmemSnapshotStore().Create(1, 1, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Persist(sink); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// What leaves the revision, such as an edge's confirmation, is no transaction:
// nobody is told twice of the ones before it.
func TestFeedLacksWhatLeavesTheRevision(t *testing.T) {
	f := newTestFSM(t, func(err error) { t.Error(err) })
	f.Apply(entry(t, cluster("a")))
	for i := range 3 {
		f.Apply(entry(t, intent.Command{Kind: intent.Confirm, At: time.Now(), Confirmations: []intent.Confirmation{
			{Cluster: clusterPath("a"), Type: "g/K", Version: fmt.Sprint("v", i), Revision: 1, At: time.Now().Add(time.Duration(i) * time.Second)},
		}}))
	}
	again := cluster("a")
	again.ID, again.Ops[0].Method = "0190c2f0-0000-7000-8000-000000000001", intent.Put
	f.Apply(entry(t, again)) // changes nothing, but is remembered
	f.Apply(entry(t, cluster("b")))
	if got := len(f.state.Load().set.Confirmed(clusterPath("a"))); got != 1 {
		t.Fatalf("%d confirmations, want 1", got)
	}
	for rev, want := range [][]intent.Revision{{1, 2}, {2}, nil} {
		txs, ok := f.state.Load().feed.since(intent.Revision(rev))
		var got []intent.Revision
		for _, tx := range txs {
			got = append(got, tx.Revision)
		}
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("since(%d) is %t (-want +got):\n%s", rev, ok, diff)
		}
	}
	if _, ok := f.state.Load().feed.since(3); ok {
		t.Error("since reaches a revision that does not exist")
	}
}
