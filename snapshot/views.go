package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshwright/meshwright/intent"
)

// Source is the store as Views reads it.
type Source interface {
	// Set is the current Set.
	Set() *intent.Set
	// Changed is closed at the next change of Set.
	Changed() <-chan struct{}
	// Since lists the transactions after a revision, in order; false when they
	// are no longer all known.
	Since(intent.Revision) ([]intent.Transaction, bool)
	// WaitReady returns once the Set holds everything that was committed, or
	// with the reason why it never will.
	WaitReady(context.Context) error
}

// Config says what Views needs.
type Config struct {
	Source     Source
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// A change is built when none has followed for Quiet, or when it has
	// waited for MaxWait, whichever comes first.
	Quiet   time.Duration
	MaxWait time.Duration
}

// DefaultConfig returns the hold-off that a busy server wants.
func DefaultConfig() Config {
	return Config{Quiet: time.Millisecond, MaxWait: 20 * time.Millisecond}
}

// Views keeps every cluster's [View] current. Run is its only writer; readers
// take immutable views.
type Views struct {
	config  Config
	metrics *metrics
	sets    *sets
	state   *state // owned by Run

	revision atomic.Uint64
	ready    atomic.Bool

	mu       sync.RWMutex // guards clusters and the watches in it
	clusters map[intent.Path]*published
	advanced chan struct{} // closed when revision moves on
}

// published is a cluster's view and who waits for the next one.
type published struct {
	view    atomic.Pointer[View] // nil while there is no such cluster
	watches map[*Watch]struct{}
}

// New makes Views; nothing is built before Run.
func New(config Config) *Views {
	return &Views{
		config:   config,
		metrics:  newMetrics(config.Registerer),
		sets:     newSets(),
		clusters: map[intent.Path]*published{},
		advanced: make(chan struct{}),
	}
}

// View returns a cluster's current view: nil for an unknown cluster, and
// before the first build.
func (v *Views) View(cluster intent.Path) *View {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if p := v.clusters[cluster]; p != nil {
		return p.view.Load()
	}
	return nil
}

// Revision is the store's revision up to which all views are built.
func (v *Views) Revision() intent.Revision { return intent.Revision(v.revision.Load()) }

// Advanced is closed when Revision moves on.
func (v *Views) Advanced() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.advanced
}

// Ready reports whether every view has been built from a store that holds all
// that was committed. Before that nothing may be sent to an edge.
func (v *Views) Ready() bool { return v.ready.Load() }

// Run builds all views once the store is ready, then rebuilds after each
// change what it concerns, until ctx ends.
func (v *Views) Run(ctx context.Context) error {
	if err := v.config.Source.WaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop while it waited
		}
		return fmt.Errorf("wait for the store: %w", err)
	}
	for {
		changed := v.config.Source.Changed()
		v.build(ctx, v.config.Source.Set())
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if !v.holdOff(ctx) {
			return nil
		}
	}
}

// holdOff waits until changes pause, within bounds. It is false when ctx ends.
func (v *Views) holdOff(ctx context.Context) bool {
	latest := time.NewTimer(v.config.MaxWait)
	defer latest.Stop()
	for {
		quiet := time.NewTimer(v.config.Quiet)
		select {
		case <-ctx.Done():
			quiet.Stop()
			return false
		case <-latest.C:
			quiet.Stop()
			return true
		case <-quiet.C:
			return true
		case <-v.config.Source.Changed():
			quiet.Stop()
		}
	}
}

// Watch wakes its owner when the view of one cluster changes.
type Watch struct {
	C <-chan struct{} // holds at most one wake-up

	views   *Views
	cluster intent.Path
	wake    chan struct{}
	pending atomic.Uint64
}

// Watch starts a watch of a cluster, known or not. Its first Take returns all
// types. The caller must Stop it.
func (v *Views) Watch(cluster intent.Path) *Watch {
	w := &Watch{views: v, cluster: cluster, wake: make(chan struct{}, 1)}
	w.C = w.wake
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.clusters[cluster]
	if p == nil {
		p = &published{}
		v.clusters[cluster] = p
	}
	if p.watches == nil {
		p.watches = map[*Watch]struct{}{}
	}
	p.watches[w] = struct{}{}
	w.notify(AllTypes)
	return w
}

// Take returns the types that changed since the last Take. Read the view after
// it, never before.
func (w *Watch) Take() TypeMask { return TypeMask(w.pending.Swap(0)) }

// Stop ends the watch.
func (w *Watch) Stop() {
	w.views.mu.Lock()
	defer w.views.mu.Unlock()
	p := w.views.clusters[w.cluster]
	delete(p.watches, w)
	if len(p.watches) == 0 && p.view.Load() == nil {
		delete(w.views.clusters, w.cluster)
	}
}

func (w *Watch) notify(types TypeMask) {
	w.pending.Or(uint64(types))
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// publish makes the new views visible, then wakes their watches. A nil view
// means that the cluster is gone.
func (v *Views) publish(revision intent.Revision, views map[intent.Path]*View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for cluster, next := range views {
		p := v.clusters[cluster]
		if p == nil {
			p = &published{}
			v.clusters[cluster] = p
		}
		types := difference(p.view.Swap(next), next)
		if types != 0 {
			for w := range p.watches {
				w.notify(types)
			}
		}
		if next == nil && len(p.watches) == 0 {
			delete(v.clusters, cluster)
		}
	}
	v.revision.Store(uint64(revision))
	v.ready.Store(true)
	close(v.advanced)
	v.advanced = make(chan struct{})
}

// difference is the set of types in which two views of a cluster differ over
// xDS.
func difference(old, next *View) TypeMask {
	if old == nil || next == nil {
		return AllTypes
	}
	var types TypeMask
	for _, t := range XDSTypes {
		if old.OverXDS(t.ID) != next.OverXDS(t.ID) {
			types |= maskOf(t.ID)
		}
	}
	return types
}
