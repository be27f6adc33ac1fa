package snapshot

import (
	"maps"
	"reflect"
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// affectedBy is what some changes concern.
type affectedBy struct {
	units    map[intent.Path]bool
	clusters map[intent.Path]bool // whose records changed: all their units are concerned
	touched  map[intent.Path]bool // that came, went or changed
}

// affected finds what lies between two Sets. Placements can change without
// their group: by the labels of a cluster, or through another group's apps.
func affected(old, next *intent.Set, changes []intent.Change) affectedBy {
	a := affectedBy{units: map[intent.Path]bool{}, clusters: map[intent.Path]bool{}, touched: map[intent.Path]bool{}}
	for _, c := range changes {
		switch c.Path.Kind() {
		case intent.KindCluster:
			a.cluster(old, next, c)
		case intent.KindGroup:
			if c.Old == nil || c.New == nil || !reflect.DeepEqual(c.Old.Spec, c.New.Spec) {
				a.group(old, next, c.Path)
			}
		case intent.KindOutbound, intent.KindIstioResource:
			a.units[c.Path] = true
		default:
			if in := c.Path.Inbound(); in != "" {
				a.units[in] = true
			}
		}
	}
	a.neighbours(old, next)
	a.scopes(old, next)
	return a
}

// neighbours adds the inbounds whose services bear the name of one that is
// concerned, for which of them the name leads to depends on all of them; those
// that share its pods, whose NetworkPolicies and PeerAuthentications depend on
// all of them; and the outbounds that share the host of one.
func (a *affectedBy) neighbours(sets ...*intent.Set) {
	for _, unit := range slices.Collect(maps.Keys(a.units)) {
		for _, set := range sets {
			o := set.Get(unit)
			if o == nil {
				continue
			}
			switch o.Kind() {
			case intent.KindInbound:
				for other := range set.Namesakes(o) {
					a.units[other.Path] = true
				}
				for other := range set.PodMates(o) {
					a.units[other.Path] = true
				}
			case intent.KindOutbound:
				for other := range set.SameHost(o) {
					a.units[other.Path] = true
				}
			}
		}
	}
}

func (a *affectedBy) cluster(old, next *intent.Set, c intent.Change) {
	a.touched[c.Path] = true
	var labels []map[string]string
	for _, o := range []*intent.Object{c.Old, c.New} {
		if o != nil {
			labels = append(labels, o.Metadata.Labels)
		}
	}
	if c.Old != nil && c.New != nil {
		if !reflect.DeepEqual(c.Old.Spec, c.New.Spec) || !reflect.DeepEqual(c.Old.LastGateways, c.New.LastGateways) {
			a.clusters[c.Path] = true
		}
		if maps.Equal(c.Old.Metadata.Labels, c.New.Metadata.Labels) {
			return
		}
	}
	for _, set := range []*intent.Set{old, next} {
		for o := range set.SelectedBy(labels...) {
			if o.Kind() == intent.KindIstioResource {
				a.units[o.Path] = true
			} else {
				a.group(old, next, o.Path)
			}
		}
	}
}

// group marks every unit that a group's namespace or placements decide: itself,
// its own, and those of other groups that its apps call.
func (a *affectedBy) group(old, next *intent.Set, group intent.Path) {
	a.units[group] = true
	a.housemates(old, next, group)
	for _, set := range []*intent.Set{old, next} {
		for _, kind := range unitKinds {
			for o := range set.List(kind, group) {
				a.units[o.Path] = true
			}
		}
		for client := range set.Guests(group) {
			a.units[client.Inbound()] = true
		}
	}
}

// mirrors adds the inbounds that mirror calls to one that is concerned: whether
// their callers can reach it decides their routes.
func (a *affectedBy) mirrors(sets ...*intent.Set) {
	for _, unit := range slices.Collect(maps.Keys(a.units)) {
		for _, set := range sets {
			for rule := range set.MirroredBy(unit) {
				a.units[rule.Inbound()] = true
			}
		}
	}
}

// unitsBetween lists the units that lie between two Sets, in path order.
func unitsBetween(old, next *intent.Set, changes []intent.Change) []intent.Path {
	a := affected(old, next, changes)
	for cluster := range a.clusters {
		for unit := range a.reaching(next, cluster) {
			a.units[unit] = true
		}
	}
	a.mirrors(old, next)
	return slices.Sorted(maps.Keys(a.units))
}

// reaching finds the units that concern a cluster in a Set that no views were
// built from: through the groups that place something there.
func (a *affectedBy) reaching(set *intent.Set, cluster intent.Path) map[intent.Path]bool {
	found := affectedBy{units: map[intent.Path]bool{}}
	for o := range set.ChoosersOf(cluster) {
		if o.Kind() == intent.KindIstioResource {
			found.units[o.Path] = true
		} else {
			found.group(set, set, o.Path)
		}
	}
	return found.units
}
