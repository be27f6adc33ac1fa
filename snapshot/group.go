package snapshot

import (
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// groupClusters lists, in path order, the clusters that a group's apps run on.
func groupClusters(set *intent.Set, group *intent.Object) []intent.Path {
	var clusters []intent.Path
	for _, p := range group.Spec.(*intent.GroupSpec).Placements {
		clusters = append(clusters, set.Placed(group.Path, p.App)...)
	}
	slices.Sort(clusters)
	return slices.Compact(clusters)
}

// groupObjects makes what a group's namespace needs as a whole. Groups may share
// a namespace, and each object is made by one of them: the Namespace by the
// first that has an app on the cluster, the Sidecar by the first of those that
// ask for it. When that one goes, the next does it (see
// [affectedBy.housemates]).
func groupObjects(set *intent.Set, group, cluster *intent.Object, out *output) {
	namespace := group.Spec.(*intent.GroupSpec).Namespace
	if first := set.GroupsAt(namespace, cluster.Path)[0]; first.Path == group.Path {
		out.resources = append(out.resources, namespaceObject(group))
	}
	if first := set.ScopedAt(namespace, cluster.Path); first != nil && first.Path == group.Path {
		sidecar(set, group, cluster, out)
	}
}
