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

// groupObjects makes what a group's namespace needs as a whole.
func groupObjects(set *intent.Set, group, cluster *intent.Object, out *output) {}
