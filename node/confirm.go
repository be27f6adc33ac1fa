package node

import (
	"context"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// confirmEvery is how often confirmations go into the log: a status after a
// crash may be this much behind.
const confirmEvery = 5 * time.Second

// confirmBatch bounds the confirmations of one log entry.
const confirmBatch = 1000

// recordConfirmations puts what edges have confirmed into the log, some
// seconds' worth at a time, so that a status survives a restart.
func (n *Node) recordConfirmations(ctx context.Context) error {
	tick := time.NewTicker(confirmEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), requestGrace)
			defer cancel()
			n.flushConfirmations(last)
			return nil
		case <-tick.C:
			n.flushConfirmations(ctx)
		}
	}
}

func (n *Node) flushConfirmations(ctx context.Context) {
	if n.store.Ready() != nil {
		return
	}
	pending := n.tracker.TakeConfirmations()
	for len(pending) > 0 {
		batch := pending[:min(confirmBatch, len(pending))]
		command := intent.Command{Kind: intent.Confirm, At: time.Now(), Confirmations: batch}
		if _, err := n.store.Propose(ctx, command); err != nil {
			n.tracker.ReturnConfirmations(pending)
			if ctx.Err() == nil {
				n.log.Warn("confirmations could not be stored, they are kept", "error", err.Error())
			}
			return
		}
		pending = pending[len(batch):]
	}
}
