package intent

import (
	"cmp"
	"maps"
	"time"

	"github.com/tidwall/btree"
)

// draft is the next Set while a command builds it. It copies a tree when it
// first writes to it; the base is never written to.
type draft struct {
	base, next *Set
	own        map[any]bool // trees that are next's own
	touched    []Path       // in order, each once
	seen       map[Path]bool
}

// draft starts the Set after s. Time is clamped, so that it never runs
// backwards.
func (s *Set) draft(at time.Time) *draft {
	next := *s
	next.objects = maps.Clone(s.objects)
	next.revision++
	next.at = stored(at)
	if next.at.Before(s.at) {
		next.at = s.at
	}
	return &draft{base: s, next: &next, own: map[any]bool{}, seen: map[Path]bool{}}
}

// stored is a time as it is kept: in UTC, so that it reads the same after a
// restart, and one that can be written as JSON.
func stored(at time.Time) time.Time {
	at = at.Round(0).UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}

// writable returns the draft's own copy of one of its trees. Copying writes a
// mark into the tree that is copied, which other Sets may share.
func writable[K cmp.Ordered, V any](d *draft, tree **btree.Map[K, V]) *btree.Map[K, V] {
	if !d.own[*tree] {
		d.base.copying.Lock()
		*tree = (*tree).Copy()
		d.base.copying.Unlock()
		d.own[*tree] = true
	}
	return *tree
}

func (d *draft) tree(k Kind) *objectTree {
	tree := d.next.objects[k]
	d.next.objects[k] = writable(d, &tree)
	return tree
}

func (d *draft) index() *indexTree         { return writable(d, &d.next.index) }
func (d *draft) vips() *vipTree            { return writable(d, &d.next.vips) }
func (d *draft) confirmed() *confirmedTree { return writable(d, &d.next.confirmed) }

// changes compares the touched objects with the base, dropping what came and
// went within the command.
func (d *draft) changes() []Change {
	var out []Change
	for _, p := range d.touched {
		c := Change{Path: p, Old: d.base.Get(p), New: d.next.Get(p)}
		if c.Old != c.New {
			out = append(out, c)
		}
	}
	return out
}

// replace swaps one object and what follows from it: index keys, and what an
// edge confirmed, which goes with its cluster. When a group's namespace
// changes, the keys that depend on it move along.
func (d *draft) replace(p Path, old, o *Object) {
	var moved []*Object
	if old != nil && o != nil && p.Kind() == KindGroup && old.Spec.(*GroupSpec).Namespace != o.Spec.(*GroupSpec).Namespace {
		moved = d.next.namespaced(p)
	}
	was := d.next.keysOfAll(append(moved, old))
	if o == nil {
		d.tree(p.Kind()).Delete(p)
		if p.Kind() == KindCluster {
			d.forget(p)
		}
	} else {
		d.tree(p.Kind()).Set(p, o)
	}
	d.reindex(was, d.next.keysOfAll(append(moved, o)))
	if !d.seen[p] {
		d.seen[p] = true
		d.touched = append(d.touched, p)
	}
}

// namespaced lists a group's objects whose index keys hold its namespace.
func (s *Set) namespaced(group Path) []*Object {
	var out []*Object
	for _, k := range []Kind{KindInbound, KindOutbound, KindIstioResource} {
		for o := range s.List(k, group) {
			out = append(out, o)
		}
	}
	return out
}

// keysOfAll are the index keys of objects, some of which may be nil.
func (s *Set) keysOfAll(objects []*Object) map[string]Path {
	keys := map[string]Path{}
	for _, o := range objects {
		if o == nil {
			continue
		}
		for _, key := range s.keysOf(o) {
			keys[key] = o.Path
		}
	}
	return keys
}

// reindex takes the index from one set of keys to another. Most edits change
// none, and then the index is not even copied.
func (d *draft) reindex(was, is map[string]Path) {
	for key := range was {
		if _, stays := is[key]; !stays {
			d.index().Delete(key)
		}
	}
	for key, p := range is {
		if _, known := was[key]; !known {
			d.index().Set(key, p)
		}
	}
}
