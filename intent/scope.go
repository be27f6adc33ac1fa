package intent

import (
	"iter"
	"slices"
	"strings"
)

// GroupsAt lists, in path order, the groups with a namespace whose apps run on
// a cluster.
func (s *Set) GroupsAt(namespace string, cluster Path) []*Object {
	c := s.Get(cluster)
	if c == nil {
		return nil
	}
	var paths []Path
	for p := range s.lookup(byNamespace, namespace+string(cluster)) {
		paths = append(paths, p)
	}
	for p := range s.lookup(byNamespace, namespace) {
		if s.Get(p).selects(c.Metadata.Labels) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var out []*Object
	for _, p := range slices.Compact(paths) {
		out = append(out, s.Get(p))
	}
	return out
}

// Scoped reports whether any group with a namespace asks for its sidecarScope.
func (s *Set) Scoped(namespace string) bool { return s.has(byScope, namespace) }

// ScopedAt returns the group that makes the Sidecar of a namespace on a
// cluster: the first of those whose apps run there and that ask for it, or nil.
func (s *Set) ScopedAt(namespace string, cluster Path) *Object {
	if !s.Scoped(namespace) {
		return nil
	}
	for _, g := range s.GroupsAt(namespace, cluster) {
		if g.Spec.(*GroupSpec).SidecarScope {
			return g
		}
	}
	return nil
}

// CallerNamespaces lists the namespaces that a client calls from, in order: its
// own, or that of its app's group.
func (s *Set) CallerNamespaces(client *Object) []string {
	if named := client.Spec.(*ClientSpec).Namespaces; len(named) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(named)))
	}
	if ns := s.Namespace(ClientGroup(client)); ns != "" {
		return []string{ns}
	}
	return nil
}

// Callers lists the clients that call from a namespace on a cluster, in path
// order, whichever group they belong to.
func (s *Set) Callers(namespace string, cluster Path) []*Object {
	found := map[Path]bool{}
	add := func(client *Object) {
		if slices.Contains(s.CallerNamespaces(client), namespace) && slices.Contains(s.ClientClusters(client), cluster) {
			found[client.Path] = true
		}
	}
	for _, group := range s.GroupsAt(namespace, cluster) {
		for client := range s.List(KindClient, group.Path) {
			add(client)
		}
		for p := range s.Guests(group.Path) {
			add(s.Get(p))
		}
	}
	for group := range s.ChoosersOf(cluster) {
		for p := range s.lookup(byCaller, namespace+string(group.Path)) {
			add(s.Get(p))
		}
	}
	var out []*Object
	for _, p := range sortedKeys(found) {
		out = append(out, s.Get(Path(p)))
	}
	return out
}

// ResourcesIn yields the Istio resources of one API group and kind that stand
// in a namespace, whichever clusters they are for.
func (s *Set) ResourcesIn(apiGroup, kind, namespace string) iter.Seq[*Object] {
	prefix := string(byRaw) + "\x00" + strings.Join([]string{apiGroup, kind, namespace, ""}, "/")
	return func(yield func(*Object) bool) {
		s.index.Ascend(prefix, func(key string, p Path) bool {
			return strings.HasPrefix(key, prefix) && yield(s.Get(p))
		})
	}
}

const networkingAPI = "networking.istio.io"

// checkScope holds the rule that a namespace has one Sidecar without a
// workloadSelector on any one cluster: what Istio would do with two is not
// defined. O is an Istio resource.
func (d *draft) checkScope(o *Object, v *violations) {
	spec := o.Spec.(*IstioResourceSpec)
	namespace := d.next.RawNamespace(o)
	if !spec.Resource.scopesNamespace() || !d.next.Scoped(namespace) {
		return
	}
	for _, cluster := range d.next.Chosen(spec.Clusters) {
		if group := d.next.ScopedAt(namespace, cluster); group != nil {
			v.in("spec").in("resource").in("spec").add(
				"a Sidecar without workloadSelector for namespace %s on cluster %s is made by %s, which asks for sidecarScope: give this one a workloadSelector, or take sidecarScope out there",
				namespace, cluster.ClusterName(), group.Path)
			return
		}
	}
}

// rivalScopes yields the Istio resources that checkScope may have to judge
// because of a group.
func (d *draft) rivalScopes(group *Object) iter.Seq[*Object] {
	spec := group.Spec.(*GroupSpec)
	if !spec.SidecarScope {
		return func(func(*Object) bool) {}
	}
	return d.next.ResourcesIn(networkingAPI, "Sidecar", spec.Namespace)
}

// scopesNamespace reports whether a resource is a Sidecar for all workloads of
// its namespace.
func (r *RawResource) scopesNamespace() bool {
	return r.Group() == networkingAPI && r.Kind == "Sidecar" && !r.selectsWorkloads()
}
