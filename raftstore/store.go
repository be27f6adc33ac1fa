package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/meshwright/meshwright/intent"
)

// Store is this node's replica.
//
//	Propose ─▶ raft ─▶ guard ─▶ bolt          (the log, synced)
//	             │
//	             └──▶ fsm: Set.Apply, swap ─▶ Set, Changed, Since
//	                   └──▶ stream ─▶ snapshot files
type Store struct {
	config   Config
	log      *slog.Logger
	metrics  *metrics
	fsm      *fsm
	bolt     *raftboltdb.BoltStore
	raft     *raft.Raft
	barriers *barriers

	closing    context.Context // done when Close begins
	close      context.CancelFunc
	closeOnce  sync.Once
	closeErr   error
	background sync.WaitGroup // this package's goroutines
	inflight   sync.WaitGroup // proposals that raft has not answered

	gate   atomic.Pointer[notReady]
	ready  chan struct{}             // closed when the gate opens
	failed chan struct{}             // closed when the store fails
	cause  chan error                // why it failed, once
	voter  atomic.Pointer[raft.Raft] // raft, for fail: raft's goroutines may call it before Open is done

	mu    sync.Mutex // guards ended, and inflight's growth against Close
	ended error      // why the gate is shut for good
}

// closeTimeout bounds Close when the disk does not answer any more.
const closeTimeout = 10 * time.Second

// Open opens the data directory, making a new store when there is none, and
// starts the replica. It returns before the replica may serve: see
// [Store.Ready]. Errors: a config that is not legal, a directory that another
// process has open, an address that can't be listened on, files that are
// damaged beyond what the log can make good.
func Open(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open store: config: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		config: c, log: c.Logger, metrics: newMetrics(c.Registerer), barriers: newBarriers(),
		ready: make(chan struct{}), failed: make(chan struct{}), cause: make(chan error, 1),
	}
	s.gate.Store(&notReady{errElecting})
	s.closing, s.close = context.WithCancel(context.Background())
	s.fsm = newFSM(s.closing, c, s.metrics, s.fail)
	if err := s.start(); err != nil {
		s.close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.background.Go(func() { s.becomeReady(s.closing) })
	s.background.Go(func() {
		s.barriers.run(s.closing, func() error { return s.raft.Barrier(c.ProposeTimeout).Error() })
	})
	return s, nil
}

// start opens the files and the listener and starts raft on them.
func (s *Store) start() (err error) {
	logger := newRaftLogger(s.log)
	if s.bolt, err = openLog(s.config.Dir); err != nil {
		return err
	}
	undo := []func() error{s.bolt.Close}
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	logs := &guard{bolt: s.bolt, metrics: s.metrics, fail: s.fail}
	snaps, err := openSnapshots(s.config.Dir, logs, logger)
	if err != nil {
		return err
	}
	hasState, err := hasState(logs, snaps)
	if err != nil {
		return fmt.Errorf("look for earlier state: %w", err)
	}
	id, err := nodeID(s.config.Dir, hasState)
	if err != nil {
		return err
	}
	if err := syncDir(s.config.Dir); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	transport, err := raft.NewTCPTransportWithLogger(s.config.Addr, nil, 3, 10*time.Second, logger)
	if err != nil {
		return fmt.Errorf("listen for peers on %s: %w", s.config.Addr, err)
	}
	undo = append(undo, transport.Close)
	config := s.config.raft(id, s.log)
	if !hasState {
		if err := bootstrap(config, logs, snaps, transport); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	s.raft, err = raft.NewRaft(config, s.fsm, logs, logs, snaps, transport)
	if err != nil {
		if damage := snaps.openErr.Load(); damage != nil {
			err = errors.Join(err, *damage)
		}
		return fmt.Errorf("start raft: %w", errors.Join(err, s.fsm.restoreErr))
	}
	s.voter.Store(s.raft)
	select {
	case <-s.failed: // before voter was known
		s.keepQuiet()
	default:
	}
	s.log.Info("store opened", "node", string(id), "addr", string(transport.LocalAddr()), "new", !hasState)
	return nil
}

// hasState reports whether the log or the snapshots hold anything. raft's own
// test also counts the term, which is written first of all: a node that died
// between it and its first entry would never have a member.
func hasState(logs raft.LogStore, snaps raft.SnapshotStore) (bool, error) {
	last, err := logs.LastIndex()
	if err != nil || last > 0 {
		return true, err
	}
	list, err := snaps.List()
	return len(list) > 0, err
}

// bootstrap makes this node the only member of a new store.
func bootstrap(config *raft.Config, logs *guard, snaps raft.SnapshotStore, transport raft.Transport) error {
	if err := logs.SetUint64([]byte("CurrentTerm"), 0); err != nil { // see hasState
		return err
	}
	self := raft.Server{Suffrage: raft.Voter, ID: config.LocalID, Address: transport.LocalAddr()}
	return raft.BootstrapCluster(config, logs, logs, snaps, transport, raft.Configuration{Servers: []raft.Server{self}})
}

// Set returns the current Set. It never blocks. Until the store is ready that
// is as far as the log was replayed: older than what was shown before the
// restart, so not for showing.
func (s *Store) Set() *intent.Set { return s.fsm.state.Load().set }

// Changed returns a channel that is closed when another Set takes the place of
// the current one. Take the channel first, then the Set, then wait.
func (s *Store) Changed() <-chan struct{} { return s.fsm.state.Load().changed }

// Since returns the transactions after a revision, oldest first, without a
// gap, up to at least the Set that was read before the call. ok is false when
// the store does not reach back so far: compare whole Sets then. The slice is
// shared: do not change it.
func (s *Store) Since(rev intent.Revision) (txs []intent.Transaction, ok bool) {
	return s.fsm.state.Load().feed.since(rev)
}

// Failed gives the one error after which the store can't go on: a log entry
// that this release does not know, a failed write, settings that were refused.
// The node is to exit.
func (s *Store) Failed() <-chan error { return s.cause }

// fail ends the store's service, once. raft would stand for election again and
// panic on the first write that is refused, so it is told to wait instead.
func (s *Store) fail(err error) {
	if !s.end(err) {
		return
	}
	s.log.Error("store failed", "error", err)
	s.cause <- err
	close(s.failed)
	s.keepQuiet()
}

// keepQuiet keeps raft, once there is one, from campaigning.
func (s *Store) keepQuiet() {
	r := s.voter.Load()
	if r == nil {
		return
	}
	quiet := r.ReloadableConfig()
	quiet.HeartbeatTimeout, quiet.ElectionTimeout = 24*time.Hour, 24*time.Hour
	if err := r.ReloadConfig(quiet); err != nil {
		s.log.Error("failed store could not be kept from campaigning", "error", err)
	}
}

// Close stops the replica: new proposals are refused, those under way are
// answered, then the files are closed. It gives up after some seconds when the
// disk does not answer; the process should exit then.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.end(ErrClosed)
		s.mu.Lock() // see enter
		s.close()
		s.mu.Unlock()
		done := make(chan error, 1)
		go func() {
			// raft answers whatever is in its queue only while it runs.
			s.background.Wait()
			s.inflight.Wait()
			err := s.raft.Shutdown().Error() // closes the transport too
			done <- errors.Join(err, s.bolt.Close())
		}()
		select {
		case s.closeErr = <-done:
		case <-time.After(closeTimeout):
			s.closeErr = errors.New("the disk does not answer: the store is left as it is")
		}
		if s.closeErr != nil {
			s.closeErr = fmt.Errorf("close store: %w", s.closeErr)
		}
	})
	return s.closeErr
}
