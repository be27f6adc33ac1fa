package raftstore

import (
	"errors"

	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
)

// ErrClosed is why a closed store is not ready.
var ErrClosed = errors.New("the store is closed")

// MaxEntry bounds the bytes of one encoded command: a log entry is copied,
// sent and synced as a whole, and delays all others meanwhile.
const MaxEntry = 1 << 20

// class says which of the errors of package intent an error of raft's is for a command
// that was handed to it. What is not known to be harmless is an unknown
// outcome; that includes a failed write, which may be on the disk all the same.
func class(err error) error {
	for _, harmless := range []error{
		raft.ErrNotLeader, raft.ErrEnqueueTimeout, raft.ErrLeadershipTransferInProgress,
		raft.ErrRaftShutdown, // only from before the queue: Close waits for what is in it
	} {
		if errors.Is(err, harmless) {
			return intent.ErrUnavailable
		}
	}
	return intent.ErrUnknownOutcome
}

// outcome is a proposal's label in the metrics and traces.
func outcome(err error) string {
	var refusal *intent.Error
	switch {
	case err == nil:
		return "applied"
	case errors.As(err, &refusal):
		return "refused"
	case errors.Is(err, intent.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, intent.ErrUnknownOutcome):
		return "unknown"
	case errors.Is(err, intent.ErrTooLarge):
		return "too_large"
	}
	return "error"
}
