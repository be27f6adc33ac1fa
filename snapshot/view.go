package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"github.com/meshwright/meshwright/intent"
)

// View is what one cluster gets, at one revision. It is immutable.
type View struct {
	Cluster  intent.Path
	Revision intent.Revision // of the store, when the view last changed
	Delivery intent.Delivery

	types [typeCount]*TypeSet
	empty [typeCount]*TypeSet              // what a channel carries that the cluster does not use
	units *btree.Map[intent.Path, *madeBy] // by unit, see unitKinds
}

// madeBy is what one unit (see [unitKinds]) makes for one cluster.
type madeBy struct {
	objects  []*Object
	problems []Problem
	maker    intent.Path // the unit that makes what this one shares with others: mostly itself
}

// Type returns the cluster's objects of one type, whatever channel they go by.
// It is never nil.
func (v *View) Type(id TypeID) *TypeSet { return v.types[id] }

// OverXDS returns the objects of one type that the cluster's istiod gets from
// us: none of a type that istiod does not take, or when the cluster's record
// says that it takes bundles alone.
func (v *View) OverXDS(id TypeID) *TypeSet {
	if v.Delivery == intent.DeliverBundle || !Types[id].OverXDS() {
		return v.empty[id]
	}
	return v.types[id]
}

// Objects yields all objects in the order in which a bundle lists them.
func (v *View) Objects() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for _, set := range v.types {
			for o := range set.All() {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Len counts the objects.
func (v *View) Len() int {
	n := 0
	for _, set := range v.types {
		n += set.Len()
	}
	return n
}

// Version is the hash of all objects: the ETag of the cluster's bundle.
func (v *View) Version() string {
	h := sha256.New()
	for _, set := range v.types {
		h.Write([]byte(set.version))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// By lists the objects that an intent, or anything below it, made for the
// cluster, in the order of their unit; those that it shares with the intents
// of another unit last.
func (v *View) By(p intent.Path) []*Object {
	var out []*Object
	seen := map[intent.Path]bool{}
	take := func(unit intent.Path, made *madeBy) {
		if seen[unit] {
			return
		}
		seen[unit] = true
		for _, o := range made.objects {
			if slices.ContainsFunc(o.Origins, func(origin intent.Path) bool { return within(origin, p) }) {
				out = append(out, o)
			}
		}
	}
	for unit, made := range v.below(p) {
		take(unit, made)
	}
	for _, made := range v.below(p) {
		if other, ok := v.units.Get(made.maker); ok {
			take(made.maker, other)
		}
	}
	return out
}

// Problems lists what an intent, or anything below it, could not be given in
// full, and why; path "" means all intents.
func (v *View) Problems(p intent.Path) []Problem {
	var out []Problem
	for _, made := range v.below(p) {
		for _, problem := range made.problems {
			if within(problem.Intent, p) || within(p, problem.Intent) {
				out = append(out, problem)
			}
		}
	}
	return out
}

// Concerns reports whether an intent, or anything below it, has to do with the
// cluster at all.
func (v *View) Concerns(p intent.Path) bool {
	for range v.below(p) {
		return true
	}
	return false
}

// below yields what the units made that p is, stands under, or holds.
func (v *View) below(p intent.Path) iter.Seq2[intent.Path, *madeBy] {
	unit := unitOf(p)
	return func(yield func(intent.Path, *madeBy) bool) {
		v.units.Ascend(unit, func(u intent.Path, made *madeBy) bool {
			if !strings.HasPrefix(string(u), string(unit)) {
				return false
			}
			return !within(u, unit) || yield(u, made)
		})
	}
}

// within reports whether p is the object at root or stands below it.
func within(p, root intent.Path) bool {
	return p == root || root == "" || strings.HasPrefix(string(p), string(root)+"/")
}

// unitOf is the intent that objects are made for when p is, or stands under,
// an inbound; else p itself.
func unitOf(p intent.Path) intent.Path {
	if in := p.Inbound(); in != "" {
		return in
	}
	return p
}
