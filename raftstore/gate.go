package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
)

// Why a store is not ready, in the order of a start.
var (
	errElecting = errors.New("no leader has been elected yet")
	errReplay   = errors.New("the log is still being applied")
	errSettings = errors.New("the store's settings are being changed")
)

// retryPause is between two tries of a leader to become ready.
const retryPause = 50 * time.Millisecond

// becomeReady opens the serving gate: once this node leads, an entry of its
// own that comes back applied proves that everything committed earlier is
// applied too. The gate stays open when leadership goes: what this node shows
// only grows.
func (s *Store) becomeReady(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-s.raft.LeaderCh():
			if leads && s.lead(ctx) {
				return
			}
		}
	}
}

// lead tries to open the gate while this node leads. It returns true when
// there is nothing left to try.
func (s *Store) lead(ctx context.Context) bool {
	for s.raft.State() == raft.Leader {
		err := s.catchUp(ctx)
		if err == nil {
			s.setReady(nil)
			s.metrics.ready.Set(1)
			close(s.ready)
			return true
		}
		var refusal *intent.Error
		if errors.As(err, &refusal) {
			s.fail(fmt.Errorf("change the store's settings: %w", err))
			return true
		}
		s.log.Warn("store is not ready yet", "error", err)
		select {
		case <-ctx.Done():
			return true
		case <-s.failed:
			return true
		case <-time.After(retryPause):
		}
	}
	return false
}

func (s *Store) catchUp(ctx context.Context) error {
	s.setReady(errReplay)
	if err := s.raft.Barrier(s.config.ProposeTimeout).Error(); err != nil {
		return err
	}
	if s.Set().Settings() == s.config.Settings {
		return nil
	}
	s.setReady(errSettings)
	settings := s.config.Settings
	entry, err := intent.Command{Kind: intent.Configure, At: time.Now().UTC(), Settings: &settings}.Encode()
	if err != nil {
		return err
	}
	_, err = s.submit(ctx, entry)
	return err
}

// notReady is why the gate is shut; its err is nil once it is open.
type notReady struct{ err error }

// setReady notes how far the start has come, unless the store failed or was
// closed: that stays.
func (s *Store) setReady(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.gate.Store(&notReady{err})
	}
}

// end shuts the gate for good. It returns false when it was shut before.
func (s *Store) end(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false
	}
	s.ended = err
	s.gate.Store(&notReady{err})
	s.metrics.ready.Set(0)
	return true
}

// Ready returns nil once this node has applied everything that was committed
// before it started, and may serve; else what is missing.
func (s *Store) Ready() error { return s.gate.Load().err }

// WaitReady waits until Ready returns nil. The error is that of ctx, or why
// the store never will be ready.
func (s *Store) WaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return s.Ready()
	case <-s.failed:
	case <-s.closing.Done():
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w: %w", ctx.Err(), s.Ready())
	}
	return s.Ready()
}
