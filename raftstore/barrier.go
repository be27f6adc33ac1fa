package raftstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/meshwright/meshwright/intent"
)

// barriers lets one log entry serve all who wait for one.
type barriers struct {
	kick chan struct{} // room for one: a round has waiters

	mu   sync.Mutex
	next *round // whose entry was not issued yet, nil when nobody waits
}

// round is the callers of one entry. err may be read once done is closed.
type round struct {
	done chan struct{}
	err  error
}

func newBarriers() *barriers { return &barriers{kick: make(chan struct{}, 1)} }

// join adds a caller to the round that is issued next.
func (b *barriers) join() *round {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &round{done: make(chan struct{})}
		b.kick <- struct{}{} // has room: take emptied it before it took the last round
	}
	return b.next
}

// take closes the next round to newcomers.
func (b *barriers) take() *round {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.next
	b.next = nil
	return r
}

// run issues rounds, one after the other, until ctx is done.
func (b *barriers) run(ctx context.Context, issue func() error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.kick:
		}
		r := b.take()
		r.err = issue()
		close(r.done)
	}
}

// Barrier returns once this node has applied everything that was committed
// when it was called: a read of Set after it is linearizable. The error is
// [intent.ErrUnavailable]; a barrier changes nothing, so it may always be repeated.
func (s *Store) Barrier(ctx context.Context) error {
	err := s.Ready()
	if err == nil {
		err = ctx.Err() // a context that has ended does not race the answer
	}
	if err != nil {
		return fmt.Errorf("barrier: %w: %w", intent.ErrUnavailable, err)
	}
	r := s.barriers.join()
	select {
	case <-r.done:
		err = r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.failed:
		err = s.Ready()
	case <-s.closing.Done():
		err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("barrier: %w: %w", intent.ErrUnavailable, err)
	}
	return nil
}
