package snapshot

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"github.com/meshwright/meshwright/intent"
)

// tracerName is whose spans these are. The tracer is asked for at each use:
// a tracer that is kept stays with the first provider of the process.
const tracerName = "github.com/meshwright/meshwright/snapshot"

// state is what the last build left: the Set it was built from, and what each
// unit made for each cluster.
type state struct {
	set      *intent.Set
	units    map[intent.Path]map[intent.Path]*madeBy // unit → cluster
	clusters map[intent.Path]map[intent.Path]bool    // cluster → units
	views    map[intent.Path]*View
}

// build brings the views up to a Set: the units that the changes since the
// last build concern, or everything when those are not known.
func (v *Views) build(ctx context.Context, set *intent.Set) {
	if v.state != nil && v.state.set == set {
		return
	}
	started := time.Now()
	scope, units, clusters := v.plan(set)
	_, span := otel.Tracer(tracerName).Start(ctx, "build")
	defer span.End()
	span.SetAttributes(attribute.String("scope", scope), attribute.Int("units", len(units)),
		attribute.Int64("revision", int64(set.Revision())))

	b := build{state: v.state, set: set, sets: v.sets, log: v.config.Logger, changes: map[intent.Path]map[TypeID][]replacement{}}
	for _, cluster := range slices.Sorted(maps.Keys(clusters)) {
		b.touch(cluster)
	}
	paths := slices.Sorted(maps.Keys(units))
	for i, made := range b.workOut(paths) {
		b.settle(paths[i], made)
	}
	next := b.views()
	v.state.set = set
	v.publish(set.Revision(), next)

	v.metrics.builds.WithLabelValues(scope).Inc()
	v.metrics.duration.Observe(time.Since(started).Seconds())
	v.metrics.units.Add(float64(b.generated.Load()))
	v.metrics.rebuilt.Add(float64(len(next)))
	v.metrics.clusters.Set(float64(len(v.state.views)))
	v.metrics.objects.Add(float64(b.objects))
	v.metrics.problems.Add(float64(b.problems))
	v.metrics.revision.Set(float64(set.Revision()))
}

// plan says which units and clusters a build must look at.
func (v *Views) plan(set *intent.Set) (scope string, units, clusters map[intent.Path]bool) {
	if v.state != nil {
		if transactions, ok := v.config.Source.Since(v.state.set.Revision()); ok && set.Revision() >= v.state.set.Revision() {
			a := affected(v.state.set, set, changesOf(transactions))
			for cluster := range a.clusters {
				maps.Copy(a.units, v.state.clusters[cluster])
			}
			a.mirrors(v.state.set, set)
			return "change", a.units, a.touched
		}
	} else {
		v.state = &state{
			units:    map[intent.Path]map[intent.Path]*madeBy{},
			clusters: map[intent.Path]map[intent.Path]bool{},
			views:    map[intent.Path]*View{},
		}
	}
	// Nothing is dropped before it is built anew: what stays the same keeps its
	// type sets, so its edges hear nothing.
	units, clusters = map[intent.Path]bool{}, map[intent.Path]bool{}
	for u := range v.state.units {
		units[u] = true
	}
	for c := range v.state.views {
		clusters[c] = true
	}
	for _, kind := range unitKinds {
		for o := range set.List(kind, "") {
			units[o.Path] = true
		}
	}
	for o := range set.List(intent.KindCluster, "") {
		clusters[o.Path] = true
	}
	return "all", units, clusters
}

// changesOf strings the changes of transactions together. Some may be newer
// than the Set that is built: what they concern is then only looked at twice.
func changesOf(transactions []intent.Transaction) []intent.Change {
	var out []intent.Change
	for _, t := range transactions {
		out = append(out, t.Changes...)
	}
	return out
}

// build collects one build's changes.
type build struct {
	*state
	set  *intent.Set
	sets *sets
	log  interface{ Error(string, ...any) }

	changes   map[intent.Path]map[TypeID][]replacement // by cluster
	made      map[intent.Path]map[intent.Path]*madeBy  // cluster → unit; nil: no more
	generated atomic.Int64                             // counted by all workers
	objects   int
	problems  int
}

// touch marks a cluster as one whose view must be made anew.
func (b *build) touch(cluster intent.Path) {
	if b.changes[cluster] == nil {
		b.changes[cluster] = map[TypeID][]replacement{}
	}
}

// workOut generates units anew, on all CPUs: each by itself, and of the state
// nothing is changed. What comes back is what each makes, by cluster.
func (b *build) workOut(units []intent.Path) []map[intent.Path]*madeBy {
	out := make([]map[intent.Path]*madeBy, len(units))
	workers := min(runtime.GOMAXPROCS(0), len(units))
	if workers <= 1 {
		for i, unit := range units {
			out[i] = b.unit(unit)
		}
		return out
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(units) {
					return
				}
				out[i] = b.unit(units[i])
			}
		})
	}
	wg.Wait()
	return out
}

// unit generates one unit anew for every cluster that it concerns.
func (b *build) unit(path intent.Path) map[intent.Path]*madeBy {
	before := b.units[path]
	after := map[intent.Path]*madeBy{}
	unit := b.set.Get(path)
	if unit == nil {
		return after
	}
	shared := map[[32]byte]*Object{}
	for _, made := range before {
		for _, o := range made.objects {
			shared[o.sum] = o
		}
	}
	variants := map[string]*madeBy{}
	for _, cluster := range unitClusters(b.set, unit) {
		record := b.set.Get(cluster)
		variant := variantOf(unit, record)
		made := variants[variant]
		if made == nil {
			var sound bool
			made, sound = b.generate(unit, record, before[cluster], shared)
			b.generated.Add(1)
			if sound && variant != "" {
				variants[variant] = made
			}
		}
		after[cluster] = made
	}
	return after
}

// settle takes a unit's place in the state over to what it makes now.
func (b *build) settle(path intent.Path, after map[intent.Path]*madeBy) {
	before := b.units[path]
	for cluster, made := range before {
		if after[cluster] == nil {
			b.replace(path, cluster, made, nil)
		}
	}
	for cluster, made := range after {
		b.replace(path, cluster, before[cluster], made)
	}
	if len(after) == 0 {
		delete(b.units, path)
	} else {
		b.units[path] = after
	}
}

// generate makes a unit's objects for one cluster. A generator that panics
// costs its own unit the update, and says so; the last good objects stay. What
// it leaves then is not sound: it is this cluster's alone.
func (b *build) generate(unit, cluster *intent.Object, last *madeBy, shared map[[32]byte]*Object) (made *madeBy, sound bool) {
	defer func() {
		if r := recover(); r != nil {
			b.log.Error("generator panicked", "intent", string(unit.Path), "cluster", cluster.Path.ClusterName(), "panic", fmt.Sprint(r))
			made = &madeBy{problems: []Problem{{unit.Path, "an internal error kept this intent from being generated: see the server's log"}}}
			if last != nil {
				made.objects = last.objects
			}
			sound = false
		}
	}()
	resources, problems := generate(b.set, unit, cluster)
	made = &madeBy{problems: problems, maker: makerOf(b.set, unit, cluster)}
	for i := range resources {
		o, err := newObject(&resources[i])
		if err != nil {
			made.problems = append(made.problems, Problem{unit.Path, err.Error()})
			continue
		}
		if known := shared[o.sum]; known != nil {
			o = known
		}
		shared[o.sum] = o
		made.objects = append(made.objects, o)
	}
	return made, true
}

// replace notes what a unit made for a cluster before and makes now.
func (b *build) replace(unit, cluster intent.Path, old, made *madeBy) {
	if old != nil && made != nil && slices.Equal(old.objects, made.objects) && slices.Equal(old.problems, made.problems) && old.maker == made.maker {
		return
	}
	b.touch(cluster)
	if b.made == nil {
		b.made = map[intent.Path]map[intent.Path]*madeBy{}
	}
	if b.made[cluster] == nil {
		b.made[cluster] = map[intent.Path]*madeBy{}
	}
	b.made[cluster][unit] = made
	type name struct {
		id              TypeID
		namespace, name string
	}
	pairs := map[name]*replacement{}
	order := []name{}
	note := func(o *Object) *replacement {
		key := name{o.Type.ID, o.Namespace, o.Name}
		if pairs[key] == nil {
			pairs[key] = &replacement{}
			order = append(order, key)
		}
		return pairs[key]
	}
	if old != nil {
		b.objects -= len(old.objects)
		b.problems -= len(old.problems)
		for _, o := range old.objects {
			note(o).old = o
		}
	}
	if made != nil {
		b.objects += len(made.objects)
		b.problems += len(made.problems)
		for _, o := range made.objects {
			note(o).new = o
		}
	}
	for _, key := range order {
		r := pairs[key]
		if r.old == r.new {
			continue
		}
		id := typeOf(*r)
		b.changes[cluster][id] = append(b.changes[cluster][id], *r)
	}
}

func typeOf(r replacement) TypeID {
	if r.new != nil {
		return r.new.Type.ID
	}
	return r.old.Type.ID
}

// views makes the views of all touched clusters; nil for one that is gone.
func (b *build) views() map[intent.Path]*View {
	out := map[intent.Path]*View{}
	for cluster, changes := range b.changes {
		record := b.set.Get(cluster)
		old := b.state.views[cluster]
		if record == nil {
			delete(b.clusters, cluster)
			delete(b.state.views, cluster)
			out[cluster] = nil
			continue
		}
		next := b.view(cluster, old, changes)
		next.Delivery = record.Spec.(*intent.ClusterSpec).Delivery
		if old != nil && old.types == next.types && old.units == next.units && old.Delivery == next.Delivery {
			continue
		}
		b.state.views[cluster] = next
		out[cluster] = next
	}
	return out
}

// view is a cluster's old view, or an empty one, after changes.
func (b *build) view(cluster intent.Path, old *View, changes map[TypeID][]replacement) *View {
	next := &View{Cluster: cluster, Revision: b.set.Revision()}
	if old != nil {
		next.types, next.empty, next.units = old.types, old.empty, old.units
	} else {
		for id, t := range Types {
			next.empty[id] = b.sets.empty(t)
		}
		next.types = next.empty
		next.units = &btree.Map[intent.Path, *madeBy]{}
		b.clusters[cluster] = map[intent.Path]bool{}
	}
	for id, replacements := range changes {
		next.types[id] = b.sets.after(next.types[id], replacements)
	}
	if made := b.made[cluster]; len(made) > 0 {
		next.units = next.units.Copy()
		for unit, m := range made {
			if m == nil {
				next.units.Delete(unit)
				delete(b.clusters[cluster], unit)
			} else {
				next.units.Set(unit, m)
				b.clusters[cluster][unit] = true
			}
		}
	}
	return next
}
