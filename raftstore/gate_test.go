package raftstore

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/meshwright/meshwright/intent"
)

// A store that can't elect itself is not ready, says why, and takes nothing.
func TestNotReadyBeforeLeading(t *testing.T) {
	c := testConfig(t.TempDir())
	c.ElectionTimeout = time.Hour
	s := mustOpen(t, c)
	if err := s.Ready(); !errors.Is(err, errElecting) {
		t.Errorf("Ready says %v, want %v", err, errElecting)
	}
	if _, err := s.Propose(t.Context(), cluster("a")); !errors.Is(err, intent.ErrUnavailable) {
		t.Errorf("Propose says %v, want intent.ErrUnavailable", err)
	}
	if err := s.Barrier(t.Context()); !errors.Is(err, intent.ErrUnavailable) {
		t.Errorf("Barrier says %v, want intent.ErrUnavailable", err)
	}
}

// Whoever finds the gate open sees all that was acknowledged before the start.
func TestReadyMeansApplied(t *testing.T) {
	c := testConfig(t.TempDir())
	s := mustBeReady(t, c)
	const writes = 300
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for s.Set().Revision() < writes {
				if _, err := s.Propose(t.Context(), cluster(uniqueName())); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want := s.Set().Revision()
	mustClose(t, s)

	s = mustOpen(t, c)
	sawShut := false
	deadline := time.Now().Add(time.Minute)
	for s.Ready() != nil {
		sawShut = true
		if time.Now().After(deadline) {
			t.Fatal(s.Ready())
		}
	}
	if got := s.Set().Revision(); got != want {
		t.Errorf("ready at revision %d, want %d", got, want)
	}
	if !sawShut {
		t.Error("the store was ready before it had elected itself")
	}
}

var nameCount atomic.Int64

func uniqueName() string { return fmt.Sprintf("n%d", nameCount.Add(1)) }

func TestBarrierSeesWrites(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	// Straight into raft, so that nothing but the barrier waits for it.
	entry, err := cluster("a").Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.raft.Apply(entry, 0)
	if err := s.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Set().Get(clusterPath("a")) == nil {
		t.Error("the set after a barrier lacks a write from before it")
	}
}

// Callers that come while an entry is under way share the next one.
func TestBarriersShareAnEntry(t *testing.T) {
	const callers = 100
	b := newBarriers()
	issued := make(chan struct{})
	answer := make(chan error)
	var entries atomic.Int64
	go b.run(t.Context(), func() error {
		entries.Add(1)
		issued <- struct{}{}
		return <-answer
	})
	first := b.join()
	<-issued
	var rounds []*round
	for range callers {
		rounds = append(rounds, b.join())
	}
	if len(slices.Compact(rounds)) != 1 || rounds[0] == first {
		t.Error("callers that came after an entry was issued do not share one later entry")
	}
	answer <- nil
	<-first.done
	<-issued
	answer <- raft.ErrNotLeader
	<-rounds[0].done
	if first.err != nil || rounds[0].err != raft.ErrNotLeader {
		t.Errorf("answers %v and %v, want each round its own", first.err, rounds[0].err)
	}
	if entries.Load() != 2 {
		t.Errorf("%d entries for two rounds", entries.Load())
	}
}

func TestBarrierConcurrent(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	before := s.raft.LastIndex()
	const callers, each = 64, 5
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := s.Barrier(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.raft.LastIndex() - before; n == 0 || n >= callers*each {
		t.Errorf("%d log entries for %d barriers", n, callers*each)
	}
}

// Close leaves no goroutine of the store or of raft behind.
func TestCloseWaitsForGoroutines(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, err := s.Propose(t.Context(), cluster(uniqueName()))
			if err := errors.Join(err, s.Barrier(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustClose(t, s)
	stacks := make([]byte, 1<<20)
	for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, "raftstore.(*") || strings.Contains(g, "raft.(*Raft)") {
			t.Errorf("left behind:\n%s", g)
		}
	}
}
