package snapshot

import (
	"maps"
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// housemates adds the groups that share a namespace with one that is concerned
// and make its Namespace or its Sidecar, or made them, on any of its clusters.
func (a *affectedBy) housemates(old, next *intent.Set, group intent.Path) {
	for _, at := range []*intent.Set{old, next} {
		o := at.Get(group)
		if o == nil {
			continue
		}
		namespace := o.Spec.(*intent.GroupSpec).Namespace
		for _, cluster := range groupClusters(at, o) {
			was, is := firstAt(old, namespace, cluster), firstAt(next, namespace, cluster)
			if was != is {
				a.add(was, is)
			}
			a.scopeAt(old, namespace, cluster)
			a.scopeAt(next, namespace, cluster)
		}
	}
}

// firstAt is the group that makes a Namespace on a cluster, or "".
func firstAt(set *intent.Set, namespace string, cluster intent.Path) intent.Path {
	for _, g := range set.GroupsAt(namespace, cluster) {
		return g.Path
	}
	return ""
}

func (a *affectedBy) add(units ...intent.Path) {
	for _, unit := range units {
		if unit != "" {
			a.units[unit] = true
		}
	}
}

// scopeAt adds the group that makes a namespace's Sidecar on a cluster.
func (a *affectedBy) scopeAt(set *intent.Set, namespace string, cluster intent.Path) {
	if g := set.ScopedAt(namespace, cluster); g != nil {
		a.units[g.Path] = true
	}
}

// scopes adds the groups whose Sidecars name what is concerned: a service that
// clients in their namespaces call, or what else those may call. Groups of
// other Sidecars are found by [affectedBy.housemates].
func (a *affectedBy) scopes(sets ...*intent.Set) {
	for _, unit := range slices.Collect(maps.Keys(a.units)) {
		for _, set := range sets {
			if o := set.Get(unit); o != nil {
				a.scopesNaming(set, o)
			}
		}
	}
}

func (a *affectedBy) scopesNaming(set *intent.Set, unit *intent.Object) {
	add := func(namespace string, clusters func() []intent.Path) {
		if !set.Scoped(namespace) {
			return // most are not: spare them the list of clusters
		}
		for _, cluster := range clusters() {
			a.scopeAt(set, namespace, cluster)
		}
	}
	switch spec := unit.Spec.(type) {
	case *intent.InboundSpec:
		for client := range set.List(intent.KindClient, unit.Path) {
			for _, namespace := range set.CallerNamespaces(client) {
				add(namespace, func() []intent.Path { return set.ClientClusters(client) })
			}
		}
	case *intent.OutboundSpec:
		add(set.Namespace(unit.Path), func() []intent.Path { return unitClusters(set, unit) })
	case *intent.IstioResourceSpec:
		if t := Types[ServiceEntry]; spec.Resource.Group() == t.Group && spec.Resource.Kind == t.Kind {
			add(set.RawNamespace(unit), func() []intent.Path { return unitClusters(set, unit) })
		}
	}
}
