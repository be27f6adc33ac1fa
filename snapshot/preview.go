package snapshot

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/meshwright/meshwright/intent"
)

// Diff is what a change does to each cluster.
type Diff struct {
	Revision intent.Revision `json:"revision"` // that the change was worked out against
	Clusters []ClusterDiff   `json:"clusters"` // in name order; those alone that see a change
	Warnings []string        `json:"warnings"` // those of [Admit], for the caller to add
}

// ClusterDiff is what a change does to one cluster.
type ClusterDiff struct {
	Cluster string           `json:"cluster"` // provider/cluster
	Added   []map[string]any `json:"added"`   // manifests
	Changed []ObjectPatch    `json:"changed"`
	Removed []ObjectRef      `json:"removed"`
}

// ObjectRef names an object in a cluster.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// ObjectPatch is an object's change as a JSON merge patch (RFC 7396).
type ObjectPatch struct {
	ObjectRef
	Patch json.RawMessage `json:"patch"`
}

// Admit judges what a change would generate by Istio's own validation, before
// it is proposed, and lists what the answer to the write should warn of. The
// error is an [intent.Error] of kind Invalid that holds Istio's words.
func Admit(old, next *intent.Set, changes []intent.Change) ([]string, error) {
	var said remarks
	units := unitsBetween(old, next, changes)
	rank := func(p intent.Path) int {
		if p.Kind() == intent.KindIstioResource {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(units, func(a, b intent.Path) int { // Istio resources go before what is made of them elsewhere
		return cmp.Compare(rank(a), rank(b))
	})
	for _, path := range units {
		unit := next.Get(path)
		if unit == nil {
			continue
		}
		warned := warnings(next, unit)
		if err := said.admit(next, unit, warned); err != nil {
			return nil, err
		}
		said.warn(warned)
	}
	return said.told(), nil
}

// admit judges one unit, and notes what some clusters can't be given beside
// what it is warned of.
func (r *remarks) admit(set *intent.Set, unit *intent.Object, warned []Problem) error {
	if unit.Kind() == intent.KindIstioResource {
		return admit(set, unit)
	}
	seen := map[[sha256.Size]byte]bool{}
	for _, cluster := range unitClusters(set, unit) {
		resources, problems := generate(set, unit, set.Get(cluster))
		r.missing(cluster, problems, warned)
		for i := range resources {
			if err := admitResource(&resources[i], unit, cluster, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// Preview works out what a change does to each cluster. It looks at all units
// that the change concerns together: an object may pass from one to another.
func Preview(old, next *intent.Set, changes []intent.Change) (*Diff, error) {
	d := &Diff{Revision: old.Revision(), Clusters: []ClusterDiff{}, Warnings: []string{}}
	before, after := manifests{}, manifests{}
	for _, path := range unitsBetween(old, next, changes) {
		if err := before.add(old, path); err != nil {
			return nil, err
		}
		if err := after.add(next, path); err != nil {
			return nil, err
		}
	}
	for _, cluster := range union(before, after) {
		c := ClusterDiff{Cluster: cluster.ClusterName(), Added: []map[string]any{}, Changed: []ObjectPatch{}, Removed: []ObjectRef{}}
		if err := c.compare(before[cluster], after[cluster]); err != nil {
			return nil, err
		}
		if len(c.Added)+len(c.Changed)+len(c.Removed) > 0 {
			d.Clusters = append(d.Clusters, c)
		}
	}
	return d, nil
}

// manifests are objects by cluster.
type manifests map[intent.Path]map[ObjectRef]*Object

// add generates one unit's objects for all its clusters.
func (m manifests) add(set *intent.Set, path intent.Path) error {
	unit := set.Get(path)
	if unit == nil {
		return nil
	}
	for _, cluster := range unitClusters(set, unit) {
		resources, _ := generate(set, unit, set.Get(cluster))
		if m[cluster] == nil {
			m[cluster] = map[ObjectRef]*Object{}
		}
		for i := range resources {
			o, err := newObject(&resources[i])
			if err != nil {
				return err
			}
			m[cluster][ObjectRef{o.Type.Kind, o.Namespace, o.Name}] = o
		}
	}
	return nil
}

func union[V any](a, b map[intent.Path]V) []intent.Path {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// compare adds what differs between two states of the cluster.
func (c *ClusterDiff) compare(before, after map[ObjectRef]*Object) error {
	for _, ref := range sortedRefs(after) {
		now, was := after[ref], before[ref]
		switch {
		case was == nil:
			manifest, err := shown(now)
			if err != nil {
				return err
			}
			c.Added = append(c.Added, manifest)
		case was.sum != now.sum:
			patch, err := mergePatch(was, now)
			if err != nil {
				return err
			}
			c.Changed = append(c.Changed, ObjectPatch{ref, patch})
		}
	}
	for _, ref := range sortedRefs(before) {
		if after[ref] == nil {
			c.Removed = append(c.Removed, ref)
		}
	}
	return nil
}

// shown is an object's manifest with fingerprints in the place of a Secret's
// values: a preview tells that they change, not what they are.
func shown(o *Object) (map[string]any, error) {
	manifest, err := o.Manifest()
	if err != nil || o.Type.ID != Secret {
		return manifest, err
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := manifest[field].(map[string]any)
		for k, v := range values {
			sum := sha256.Sum256([]byte(fmt.Sprint(v)))
			values[k] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return manifest, nil
}

func sortedRefs(m map[ObjectRef]*Object) []ObjectRef {
	return slices.SortedFunc(maps.Keys(m), func(a, b ObjectRef) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

func mergePatch(was, now *Object) (json.RawMessage, error) {
	var sides [2][]byte
	for i, o := range []*Object{was, now} {
		manifest, err := shown(o)
		if err != nil {
			return nil, err
		}
		if sides[i], err = json.Marshal(manifest); err != nil {
			return nil, fmt.Errorf("compare %s %s: %w", o.Type.Kind, o.FullName(), err)
		}
	}
	patch, err := jsonpatch.CreateMergePatch(sides[0], sides[1])
	if err != nil {
		return nil, fmt.Errorf("compare %s %s: %w", was.Type.Kind, was.FullName(), err)
	}
	return bytes.TrimSpace(patch), nil
}
