package snapshot

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// sidecar limits what the proxies of a group's namespace hear of to what
// declared clients there may call on this cluster. It has no
// workloadSelector, and leaves outboundTrafficPolicy as the mesh has it: it says
// what proxies know, not what they may do. Its origins are the groups that ask
// for it; the hosts tell the rest.
//
// All that intents let the namespace call counts, whichever group it is of: one
// Sidecar holds for all workloads in it.
func sidecar(set *intent.Set, group, cluster *intent.Object, out *output) {
	namespace, root := group.Spec.(*intent.GroupSpec).Namespace, rootNamespace(cluster.Spec.(*intent.ClusterSpec))
	if namespace == root {
		out.problem(group.Path, "sidecarScope has no effect on cluster %s: %s is its root namespace, where a Sidecar would hold for the whole mesh: give the group a namespace of its own", cluster.Path.ClusterName(), root)
		return
	}
	var origins []intent.Path
	for _, g := range set.GroupsAt(namespace, cluster.Path) {
		if g.Spec.(*intent.GroupSpec).SidecarScope {
			origins = append(origins, g.Path)
		}
	}
	s := sight{set: set, namespace: namespace, cluster: cluster, hosts: []string{root + "/*"}} // the control plane's
	s.services()
	s.outbounds()
	s.entries(out)
	out.resources = append(out.resources, Resource{
		Type: Types[Sidecar], Namespace: namespace, Name: objectName(group.Path, roleMain),
		Labels: labelsFor(cluster, nil), Annotations: annotationsFor(origins, nil),
		CreatedAt: group.Metadata.CreatedAt,
		Spec: &networking.Sidecar{
			Egress: []*networking.IstioEgressListener{{Hosts: sortedUnique(s.hosts)}},
		},
		Origins: origins,
	})
}

// rootNamespace is that of the Istio of a cluster.
func rootNamespace(record *intent.ClusterSpec) string {
	if record.Istio != nil && record.Istio.RootNamespace != "" {
		return record.Istio.RootNamespace
	}
	return "istio-system"
}

// sight collects what one namespace of a cluster may call, as a Sidecar names
// it: namespace of the configuration, slash, host.
type sight struct {
	set       *intent.Set
	namespace string
	cluster   *intent.Object
	hosts     []string
}

// add names a host whose configuration stands in a namespace.
func (s *sight) add(namespace, host string) {
	if namespace == s.namespace {
		namespace = "."
	}
	s.hosts = append(s.hosts, namespace+"/"+host)
}

// services adds the services that clients in the namespace declare. What their
// inbounds make known under other names has its line here.
func (s *sight) services() {
	seen := map[intent.Path]bool{}
	for _, client := range s.set.Callers(s.namespace, s.cluster.Path) {
		if in := client.Path.Inbound(); !seen[in] {
			seen[in] = true
			s.service(s.set.Get(in))
		}
	}
}

// service adds the names by which one service is called here: its global name,
// and its Kubernetes name, which is the service itself where it runs and else
// what [plan.oldNameEntry] and [virtualServices] make of it.
func (s *sight) service(inbound *intent.Object) {
	servers := s.set.ServerClusters(inbound)
	if len(servers) == 0 {
		return
	}
	spec, namespace := inbound.Spec.(*intent.InboundSpec), s.set.Namespace(inbound.Path)
	host := s.set.Host(inbound)
	kubernetes := spec.ServiceName + "." + namespace + ".svc." + s.cluster.Spec.(*intent.ClusterSpec).ClusterDomain
	if !spec.InMesh() { // a Service of Kubernetes' leads to it everywhere
		s.add(namespace, kubernetes)
		return
	}
	if slices.Contains(servers, s.cluster.Path) {
		s.add(namespace, kubernetes)
		if host != kubernetes {
			s.add("*", host) // its entry may stand elsewhere: see [hostEntry]
		}
		return
	}
	s.add(s.namespace, host)
	if host == kubernetes || s.namesake(inbound) {
		return
	}
	s.add(s.namespace, kubernetes)
	if !spec.IsHTTP() { // reached by it where the cluster has a Service of that name
		s.add(namespace, kubernetes)
	}
}

// namesake reports whether the Kubernetes name of a service that does not run
// here may be another's (see [plan.findNamesake]).
func (s *sight) namesake(inbound *intent.Object) bool {
	for other := range s.set.Namesakes(inbound) {
		if slices.Contains(unitClusters(s.set, other), s.cluster.Path) {
			return true
		}
	}
	return false
}

// outbounds adds the services outside the mesh that apps in the namespace may
// call. One that is called through an egress gateway leads there by itself.
func (s *sight) outbounds() {
	for _, group := range s.set.GroupsAt(s.namespace, s.cluster.Path) {
		for o := range s.set.List(intent.KindOutbound, group.Path) {
			if !slices.Contains(unitClusters(s.set, o), s.cluster.Path) {
				continue
			}
			s.add(s.namespace, o.Spec.(*intent.OutboundSpec).ExternalServiceName)
		}
	}
}

// entries adds the hosts of the ServiceEntries that stand in the namespace as
// Istio resources. One may have a single word for a host, which no Sidecar may
// name.
func (s *sight) entries(out *output) {
	t := Types[ServiceEntry]
	for o := range s.set.ResourcesIn(t.Group, t.Kind, s.namespace) {
		r, violation := readRaw(s.set, o)
		if violation != nil || !slices.Contains(unitClusters(s.set, o), s.cluster.Path) {
			continue
		}
		for _, host := range r.Spec.(*networking.ServiceEntry).Hosts {
			if !strings.Contains(host, ".") {
				out.problem(o.Path, "proxies in namespace %s don't hear of host %q with sidecarScope: name it in full, as %s.example", s.namespace, host, host)
				continue
			}
			s.add(s.namespace, strings.ToLower(host))
		}
	}
}
