package raftstore

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// BenchmarkPropose writes one small object per command, from 1, 16 and 128
// goroutines: through the Store, and beside it through raft and bolt alone,
// set up the same, with entries of the same size and an FSM that does nothing.
// Their ratio is what this package and intent cost.
func BenchmarkPropose(b *testing.B) {
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("store/writers=%d", writers), func(b *testing.B) {
			s := mustBeReady(b, testConfig(b.TempDir()))
			benchWriters(b, writers, func(n int64) error {
				_, err := s.Propose(b.Context(), cluster(benchName(n)))
				return err
			})
		})
		b.Run(fmt.Sprintf("bare/writers=%d", writers), func(b *testing.B) {
			r := bareRaft(b)
			entry, err := cluster(benchName(0)).Encode()
			if err != nil {
				b.Fatal(err)
			}
			benchWriters(b, writers, func(int64) error { return r.Apply(entry, 0).Error() })
		})
	}
}

func benchName(n int64) string { return fmt.Sprintf("cluster-%012d", n) }

// benchWriters calls write b.N times in all, from several goroutines.
func benchWriters(b *testing.B, writers int, write func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := write(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

// nothing is an FSM that does nothing, a batch at a time.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// bareRaft is raft on bolt as Open sets them up, without what Open adds.
func bareRaft(b *testing.B) *raft.Raft {
	c := testConfig(b.TempDir())
	bolt, err := openLog(c.Dir)
	if err != nil {
		b.Fatal(err)
	}
	config := c.raft("bare", slog.New(slog.DiscardHandler))
	snaps, err := raft.NewFileSnapshotStoreWithLogger(c.Dir, keptSnapshots, config.Logger)
	if err != nil {
		b.Fatal(err)
	}
	addr, transport := raft.NewInmemTransport("")
	err = raft.BootstrapCluster(config, bolt, bolt, snaps, transport,
		raft.Configuration{Servers: []raft.Server{{ID: config.LocalID, Address: addr}}})
	if err != nil {
		b.Fatal(err)
	}
	r, err := raft.NewRaft(config, nothing{}, bolt, bolt, snaps, transport)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.Shutdown().Error(); err != nil {
			b.Error(err)
		}
		bolt.Close()
	})
	select {
	case <-r.LeaderCh():
	case <-time.After(time.Minute):
		b.Fatal("bare raft did not elect itself")
	}
	return r
}

func BenchmarkBarrier(b *testing.B) {
	s := mustBeReady(b, testConfig(b.TempDir()))
	benchWriters(b, 128, func(int64) error { return s.Barrier(b.Context()) })
}

// BenchmarkStream writes and reads a snapshot of 100,000 objects.
func BenchmarkStream(b *testing.B) {
	set := bigSet(b, 100_000)
	stream := encode(b, set)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(stream)))
		for b.Loop() {
			if _, err := writeSet(b.Context(), io.Discard, set); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(stream)))
		for b.Loop() {
			if _, err := readSet(bytes.NewReader(stream)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
