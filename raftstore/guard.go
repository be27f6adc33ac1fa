package raftstore

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// deleteChunk bounds what one bolt transaction deletes. bolt has one writer:
// a long head deleted at once would hold up every append for seconds.
const deleteChunk = 2048

// guard stands between raft and the bolt store and keeps the promise that a
// write which failed is never tried again: after a failed sync nobody knows
// what the disk holds, and a second sync that succeeds proves nothing about
// the first. The node fails instead, and finds out when it starts anew.
//
// Here is also the place for what more than one member will need: a write that
// stalls (a limit on how long one may take, then the same as a failure), and a
// full disk (ENOSPC: read-only instead of failed).
type guard struct {
	bolt    *raftboltdb.BoltStore
	metrics *metrics
	fail    func(error) // called once, with the first error
	failed  atomic.Pointer[error]
}

// write runs one write, unless one has failed before.
func (g *guard) write(what string, f func() error) error {
	if err := g.failed.Load(); err != nil {
		return *err
	}
	err := f()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("log store: %s: %w", what, err)
	if g.failed.CompareAndSwap(nil, &err) {
		g.fail(err)
	}
	return err
}

// StoreLog appends one entry.
func (g *guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries in one transaction and syncs it.
func (g *guard) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	err := g.write("append", func() error { return g.bolt.StoreLogs(logs) })
	if err == nil {
		g.metrics.append.Observe(time.Since(start).Seconds())
	}
	return err
}

// DeleteRange deletes the entries lo to hi, in several transactions. What a
// crash leaves in between must have no hole: the log's head is deleted upwards,
// its tail downwards.
func (g *guard) DeleteRange(lo, hi uint64) error {
	last, err := g.LastIndex()
	if err != nil {
		return err
	}
	tail := hi >= last
	for lo <= hi {
		from, to := lo, min(lo+deleteChunk-1, hi)
		if tail {
			from, to = max(lo, hi-min(hi, deleteChunk-1)), hi
		}
		if err := g.write("truncate", func() error { return g.bolt.DeleteRange(from, to) }); err != nil {
			return err
		}
		if !tail {
			lo = to + 1
			continue
		}
		if from == 0 {
			break
		}
		hi = from - 1
	}
	return nil
}

// Set keeps a value of raft's own: its term and its vote.
func (g *guard) Set(key, value []byte) error {
	return g.write("keep vote", func() error { return g.bolt.Set(key, value) })
}

// SetUint64 is Set for a number.
func (g *guard) SetUint64(key []byte, value uint64) error {
	return g.write("keep term", func() error { return g.bolt.SetUint64(key, value) })
}

// The reads go straight through. raft panics by itself on an entry that it
// can't read: there is no way to go on.

// FirstIndex is the oldest entry's, 0 when there is none.
func (g *guard) FirstIndex() (uint64, error) { return g.bolt.FirstIndex() }

// LastIndex is the newest entry's, 0 when there is none.
func (g *guard) LastIndex() (uint64, error) { return g.bolt.LastIndex() }

// GetLog reads one entry.
func (g *guard) GetLog(index uint64, l *raft.Log) error { return g.bolt.GetLog(index, l) }

// Get reads what Set kept. raft knows "not found" by its text.
func (g *guard) Get(key []byte) ([]byte, error) { return g.bolt.Get(key) }

// GetUint64 reads what SetUint64 kept.
func (g *guard) GetUint64(key []byte) (uint64, error) { return g.bolt.GetUint64(key) }
