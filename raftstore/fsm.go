package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
)

// state is what readers see: one immutable value, but for the channel, which
// is closed when the next state has taken its place.
type state struct {
	set     *intent.Set
	feed    feed
	changed chan struct{}
}

// applied is the answer to one entry's proposer.
type applied struct {
	result intent.Result
	err    error // an *intent.Error, or why the FSM stopped
}

// fsm adapts intent.Set to raft: decode, apply, swap. raft calls all of it
// from one goroutine at a time, but for persist, which works on a copy.
type fsm struct {
	closing                context.Context // done: give up writing a snapshot
	maxTxs, maxFeedChanges int
	metrics                *metrics
	fail                   func(error) // stops the node
	stopped                error       // why no entry is applied any more
	restoreErr             error       // why the last restore failed
	state                  atomic.Pointer[state]
}

func newFSM(closing context.Context, c Config, m *metrics, fail func(error)) *fsm {
	f := &fsm{closing: closing, maxTxs: c.FeedTransactions, maxFeedChanges: c.FeedChanges, metrics: m, fail: fail}
	f.state.Store(&state{set: intent.NewSet(), changed: make(chan struct{})})
	return f
}

// swap publishes a state and wakes those who wait for one.
func (f *fsm) swap(set *intent.Set, feed feed) {
	old := f.state.Swap(&state{set: set, feed: feed, changed: make(chan struct{})})
	close(old.changed)
	f.metrics.revision.Set(float64(set.Revision()))
}

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries in order and swaps the Set once.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	now := f.state.Load()
	set, feed := now.set, now.feed
	answers := make([]any, len(logs))
	for i, l := range logs {
		if l.Type != raft.LogCommand { // membership: raft keeps it
			continue
		}
		next, answer := f.apply(set, l)
		if next.Revision() != set.Revision() { // else nothing that anybody follows: a confirmation, a repeat
			tx := intent.Transaction{Revision: answer.result.Revision, Changes: answer.result.Changes}
			feed = feed.append(tx, f.maxTxs, f.maxFeedChanges)
		}
		set, answers[i] = next, answer
	}
	if set != now.set {
		f.swap(set, feed)
	}
	return answers
}

// apply is one entry's step. An entry that this release can't read stops the
// FSM for good: to skip it would be to differ from the other replicas.
func (f *fsm) apply(set *intent.Set, l *raft.Log) (*intent.Set, applied) {
	if f.stopped != nil {
		return set, applied{err: f.stopped}
	}
	var refusal *intent.Error
	c, err := intent.DecodeCommand(l.Data)
	if err == nil {
		next, result, err := set.Apply(c)
		if err == nil || errors.As(err, &refusal) {
			return next, applied{result, err}
		}
		return set, applied{err: f.stop(l, err)}
	}
	return set, applied{err: f.stop(l, err)}
}

func (f *fsm) stop(l *raft.Log, err error) error {
	f.stopped = fmt.Errorf("apply log entry %d: %w", l.Index, err)
	f.fail(f.stopped)
	return f.stopped
}

// Snapshot copies a pointer. A stopped FSM gives none: raft would take it for
// the state after entries that were not applied.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.stopped != nil {
		return nil, f.stopped
	}
	return &snapshot{set: f.state.Load().set, closing: f.closing, metrics: f.metrics}, nil
}

// Restore reads and verifies a whole snapshot before it swaps the Set. The
// feed starts anew: what changed on the way is not known.
func (f *fsm) Restore(r io.ReadCloser) error {
	set, err := readSet(r)
	if err != nil {
		f.restoreErr = err
		return err
	}
	f.restoreErr = nil
	f.swap(set, feed{base: set.Revision()})
	return nil
}

// snapshot is a Set on its way to the disk.
type snapshot struct {
	set     *intent.Set
	closing context.Context
	metrics *metrics
}

// Persist writes the Set. raft closes the sink, or cancels it on an error.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	start := time.Now()
	n, err := writeSet(s.closing, sink, s.set)
	if err != nil {
		return err
	}
	s.metrics.snapshotBytes.Set(float64(n))
	s.metrics.snapshotSeconds.Observe(time.Since(start).Seconds())
	return nil
}

// Release has nothing to free.
func (s *snapshot) Release() {}
