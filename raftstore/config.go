package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
	"github.com/meshwright/meshwright/intent"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says how to open a [Store]. Start from [DefaultConfig].
type Config struct {
	Dir  string // data directory; made when it is not there
	Addr string // host:port that this node listens on for its peers

	// Settings are what the store's shared settings shall be: when they differ,
	// the node proposes to change them before it is ready.
	Settings intent.Settings

	Logger     *slog.Logger          // nil: discard
	Registerer prometheus.Registerer // nil: metrics are not registered

	// ElectionTimeout is how long a node waits for a leader before it stands
	// for election. A node without peers waits for nobody.
	ElectionTimeout time.Duration
	// ProposeTimeout bounds a proposal whose context has no deadline.
	ProposeTimeout time.Duration

	SnapshotInterval  time.Duration // how often to look whether a snapshot is due, up to doubled at random
	SnapshotThreshold uint64        // log entries since the last snapshot that make one due
	TrailingLogs      uint64        // log entries kept behind a snapshot

	FeedTransactions int // transactions that Since can look back
	FeedChanges      int // changes in all of these together
}

// minTrailingLogs keeps followers clear of a snapshot install that never ends,
// and leaves the older snapshot usable. See DESIGN.md.
const minTrailingLogs = 10240

// DefaultConfig returns the settings of a production node, without Dir.
func DefaultConfig() Config {
	return Config{
		Addr:              "127.0.0.1:0",
		Settings:          intent.DefaultSettings(),
		ElectionTimeout:   150 * time.Millisecond,
		ProposeTimeout:    10 * time.Second,
		SnapshotInterval:  30 * time.Second,
		SnapshotThreshold: 8192,
		TrailingLogs:      2 * minTrailingLogs,
		FeedTransactions:  10_000,
		FeedChanges:       100_000,
	}
}

// Validate reports the first field that no store could work with.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("field Dir must name the data directory")
	case c.Addr == "":
		return errors.New("field Addr must be the host:port to listen on for peers")
	case c.ElectionTimeout < 10*time.Millisecond:
		return fmt.Errorf("field ElectionTimeout must be at least 10ms, is %s", c.ElectionTimeout)
	case c.ProposeTimeout <= 0:
		return fmt.Errorf("field ProposeTimeout must be positive, is %s", c.ProposeTimeout)
	case c.SnapshotInterval < 5*time.Millisecond:
		return fmt.Errorf("field SnapshotInterval must be at least 5ms, is %s", c.SnapshotInterval)
	case c.SnapshotThreshold == 0:
		return errors.New("field SnapshotThreshold must be positive")
	case c.TrailingLogs < minTrailingLogs:
		return fmt.Errorf("field TrailingLogs must be at least %d, is %d", minTrailingLogs, c.TrailingLogs)
	case c.FeedTransactions <= 0:
		return errors.New("field FeedTransactions must be positive")
	case c.FeedChanges <= 0:
		return errors.New("field FeedChanges must be positive")
	}
	if err := c.Settings.Validate(); err != nil {
		return fmt.Errorf("field Settings: %w", err)
	}
	return nil
}

// maxAppend bounds the entries of one write to the log, of one message to a
// follower and of one batch of the FSM.
const maxAppend = 64

// raft is the library's configuration. DESIGN.md says why for each line.
func (c Config) raft(id raft.ServerID, log *slog.Logger) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = id
	rc.HeartbeatTimeout = c.ElectionTimeout
	rc.ElectionTimeout = c.ElectionTimeout
	rc.LeaderLeaseTimeout = c.ElectionTimeout / 2
	rc.MaxAppendEntries = maxAppend
	rc.BatchApplyCh = true
	rc.ShutdownOnRemove = false
	rc.SnapshotInterval = c.SnapshotInterval
	rc.SnapshotThreshold = c.SnapshotThreshold
	rc.TrailingLogs = c.TrailingLogs
	rc.NoLegacyTelemetry = true
	rc.Logger = newRaftLogger(log)
	return rc
}
