package raftstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
)

func TestErrorClasses(t *testing.T) {
	for _, tc := range []struct {
		err, want error
		label     string
	}{
		{raft.ErrNotLeader, intent.ErrUnavailable, "unavailable"},
		{raft.ErrEnqueueTimeout, intent.ErrUnavailable, "unavailable"},
		{raft.ErrLeadershipTransferInProgress, intent.ErrUnavailable, "unavailable"},
		{raft.ErrRaftShutdown, intent.ErrUnavailable, "unavailable"},
		{raft.ErrLeadershipLost, intent.ErrUnknownOutcome, "unknown"},
		{raft.ErrAbortedByRestore, intent.ErrUnknownOutcome, "unknown"},
		{errors.New("input/output error"), intent.ErrUnknownOutcome, "unknown"},
	} {
		got := class(tc.err)
		if got != tc.want || outcome(fmt.Errorf("propose: %w: %w", got, tc.err)) != tc.label {
			t.Errorf("%v is %v, counted as %s; want %v, %s", tc.err, got, outcome(got), tc.want, tc.label)
		}
	}
	for label, err := range map[string]error{
		"applied":   nil,
		"refused":   intent.Errorf(intent.Conflict, "no"),
		"too_large": intent.ErrTooLarge,
		"error":     errors.New("encode"),
	} {
		if got := outcome(err); got != label {
			t.Errorf("outcome(%v) = %s, want %s", err, got, label)
		}
	}
}

// A deadline that passes while raft has the entry leaves the outcome open, and
// the proposer does not wait any longer.
func TestDeadlineBehindQueue(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	reached, release := make(chan struct{}), make(chan struct{})
	s.fsm.fail = func(error) { // holds the FSM's goroutine up
		close(reached)
		<-release
	}
	held := make(chan error, 1)
	go func() {
		_, err := s.submit(t.Context(), []byte{99})
		held <- err
	}()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.Propose(ctx, cluster("a"))
	if !errors.Is(err, intent.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want intent.ErrUnknownOutcome because the deadline passed", err)
	}
	close(release)
	if err := <-held; !errors.Is(err, intent.ErrUnknownOutcome) {
		t.Errorf("the entry that held the FSM up: %v, want intent.ErrUnknownOutcome", err)
	}
}
