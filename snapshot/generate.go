package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/meshwright/meshwright/intent"
)

const (
	managedByLabel    = "app.kubernetes.io/managed-by"
	managedBy         = "meshwright"
	revisionLabel     = "istio.io/rev"
	intentsAnnotation = "meshwright.io/intents"
)

// generators make an inbound's objects for one cluster, each those of one
// kind, out of the plan alone.
var generators = []func(*plan, *output){
	serviceEntries,
	destinationRules,
	gateways,
	virtualServices,
	peerAuthentications,
	requestAuthentications,
	authorizationPolicies,
	externalAccess,
	networkPolicies,
}

// meshlessGenerators are those for an inbound without a service mesh: of
// Kubernetes' own kinds alone.
var meshlessGenerators = []func(*plan, *output){
	services,
	endpointSlices,
	networkPolicies,
}

// output collects what one unit makes for one cluster.
type output struct {
	resources []Resource
	problems  []Problem
}

func (o *output) problem(p intent.Path, format string, args ...any) {
	o.problems = append(o.problems, Problem{Intent: p, Message: fmt.Sprintf(format, args...)})
}

// unitKinds are the kinds of intents that objects are made for: an inbound with
// all that stands below it, an outbound, an Istio resource, and a group for
// what its namespace needs as a whole. An object of such a kind is a unit: the
// least that is generated anew.
var unitKinds = []intent.Kind{intent.KindGroup, intent.KindInbound, intent.KindOutbound, intent.KindIstioResource}

// unitClusters lists, in path order, the clusters that a unit concerns.
func unitClusters(set *intent.Set, unit *intent.Object) []intent.Path {
	switch spec := unit.Spec.(type) {
	case *intent.GroupSpec:
		return groupClusters(set, unit)
	case *intent.OutboundSpec:
		return set.OutboundClusters(unit)
	case *intent.IstioResourceSpec:
		return set.Chosen(spec.Clusters)
	}
	clusters := set.ServerClusters(unit)
	for client := range set.List(intent.KindClient, unit.Path) {
		clusters = append(clusters, set.ClientClusters(client)...)
	}
	slices.Sort(clusters)
	return slices.Compact(clusters)
}

// generate makes a unit's objects for one cluster, in the order of their
// types, namespaces and names, and says what could not be made and why.
//
// It is pure: the same Set, unit and cluster give the same answer, byte for
// byte, on every replica.
func generate(set *intent.Set, unit, cluster *intent.Object) ([]Resource, []Problem) {
	var out output
	switch unit.Spec.(type) {
	case *intent.GroupSpec:
		groupObjects(set, unit, cluster, &out)
	case *intent.OutboundSpec:
		outboundObjects(set, unit, cluster, &out)
	case *intent.IstioResourceSpec:
		rawResource(set, unit, cluster, &out)
	default:
		p := newPlan(set, unit, cluster, &out)
		for _, g := range p.generators() {
			g(p, &out)
		}
	}
	slices.SortFunc(out.resources, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Type.ID, b.Type.ID), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	sortProblems(out.problems)
	return out.resources, slices.Compact(out.problems)
}

func (p *plan) generators() []func(*plan, *output) {
	if p.spec.InMesh() {
		return generators
	}
	return meshlessGenerators
}

// variantOf names the clusters to which a unit gives the same objects; it is
// "" when each gets its own. An Istio resource differs by revision alone.
func variantOf(unit, cluster *intent.Object) string {
	if unit.Kind() != intent.KindIstioResource {
		return ""
	}
	return "revision=" + labelsFor(cluster, nil)[revisionLabel]
}

// resource is an object of the plan's inbound. Its name comes from the intent
// that it is for, its origins are the inbound and the others named.
func (p *plan) resource(id TypeID, namespace string, of intent.Path, r role, spec proto.Message, origins ...intent.Path) Resource {
	origins = append(slices.Clone(origins), p.inbound.Path)
	slices.Sort(origins)
	origins = slices.Compact(origins)
	return Resource{
		Type: Types[id], Namespace: namespace, Name: objectName(of, r),
		Labels:      labelsFor(p.cluster, nil),
		Annotations: annotationsFor(origins, nil),
		CreatedAt:   p.inbound.Metadata.CreatedAt,
		Spec:        spec,
		Origins:     origins,
	}
}

// labelsFor adds ours to an object's labels. A stock istiod drops objects of
// another revision, so the revision is set only where the cluster names one.
func labelsFor(cluster *intent.Object, labels map[string]string) map[string]string {
	out := map[string]string{}
	if install := cluster.Spec.(*intent.ClusterSpec).Istio; install != nil && install.Revision != "" {
		out[revisionLabel] = install.Revision
	}
	for k, v := range labels {
		out[k] = v
	}
	out[managedByLabel] = managedBy
	return out
}

func annotationsFor(origins []intent.Path, annotations map[string]string) map[string]string {
	paths := make([]string, len(origins))
	for i, p := range origins {
		paths[i] = string(p)
	}
	out := map[string]string{}
	for k, v := range annotations {
		out[k] = v
	}
	out[intentsAnnotation] = strings.Join(paths, ",")
	return out
}
