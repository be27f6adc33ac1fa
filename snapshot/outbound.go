package snapshot

import (
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// An outside is a host outside the mesh as one namespace of one cluster knows
// it: all its outbounds there, each for a port of its own, in path order. The
// first makes the objects that they share.
//
// They share a ServiceEntry and a DestinationRule, because istiod merges
// ServiceEntries of one host only when they are alike, and of several
// DestinationRules takes the traffic policy of one: the TLS of all other ports
// would be lost, and their calls would leave in plain text.
type outside struct {
	cluster   *intent.Object
	record    *intent.ClusterSpec
	namespace string // of the apps
	host      string
	outbounds []outbound
	gateway   *intent.Gateway // through which all calls leave, or nil
}

type outbound struct {
	*intent.Object
	spec *intent.OutboundSpec
}

// outboundObjects leads apps to a service outside the mesh: straight from
// their sidecars, or through the cluster's egress gateway.
func outboundObjects(set *intent.Set, unit, cluster *intent.Object, out *output) {
	o := outbound{unit, unit.Spec.(*intent.OutboundSpec)}
	e := newOutside(set, o, cluster)
	if o.spec.EgressGateway && !e.findGateway(&o, out) {
		return // nothing may lead around the gateway
	}
	e.secret(&o, out)
	if e.gateway != nil {
		e.leaveByGateway(&o, out)
	}
	if e.outbounds[0].Path != o.Path {
		return // the first outbound makes the rest
	}
	e.serviceEntry(out)
	if e.gateway != nil {
		e.leadToGateway(out)
	} else {
		e.originateTLS(out)
	}
}

func newOutside(set *intent.Set, o outbound, cluster *intent.Object) *outside {
	e := &outside{
		cluster: cluster, record: cluster.Spec.(*intent.ClusterSpec),
		namespace: set.Namespace(o.Path), host: o.spec.ExternalServiceName,
	}
	for other := range set.SameHost(o.Object) {
		if slices.Contains(set.OutboundClusters(other), cluster.Path) {
			e.outbounds = append(e.outbounds, outbound{other, other.Spec.(*intent.OutboundSpec)})
		}
	}
	return e
}

// makerOf is the unit that makes what a unit shares with others of its kind on
// a cluster: itself, unless it is an outbound whose host another one serves.
func makerOf(set *intent.Set, unit, cluster *intent.Object) intent.Path {
	spec, ok := unit.Spec.(*intent.OutboundSpec)
	if !ok {
		return unit.Path
	}
	return newOutside(set, outbound{unit, spec}, cluster).outbounds[0].Path
}

// resource is an object for one outbound, by its name and age, with others as
// its origins, too.
func (e *outside) resource(id TypeID, namespace string, of *outbound, r role, spec proto.Message, others ...outbound) Resource {
	origins := []intent.Path{of.Path}
	for _, o := range others {
		origins = append(origins, o.Path)
	}
	slices.Sort(origins)
	origins = slices.Compact(origins)
	return Resource{
		Type: Types[id], Namespace: namespace, Name: objectName(of.Path, r),
		Labels:      labelsFor(e.cluster, nil),
		Annotations: annotationsFor(origins, nil),
		CreatedAt:   of.Metadata.CreatedAt,
		Spec:        spec,
		Origins:     origins,
	}
}

// shared is an object for all outbounds of the host, private to the namespace
// of the apps.
func (e *outside) shared(id TypeID, spec proto.Message) Resource {
	return e.resource(id, e.namespace, &e.outbounds[0], roleMain, spec, e.outbounds...)
}

// serviceEntry makes the host known to the apps. With an egress gateway the
// gateway is all that it leads to: so nothing can lead around the gateway,
// whatever else a proxy is told or has not been told yet.
func (e *outside) serviceEntry(out *output) {
	first := e.outbounds[0].spec
	spec := &networking.ServiceEntry{
		Hosts: []string{e.host}, Addresses: e.addresses(), Location: networking.ServiceEntry_MESH_EXTERNAL,
		Resolution: resolution(first), Endpoints: endpointsOf(first), ExportTo: []string{"."},
	}
	for _, o := range e.outbounds {
		spec.Ports = append(spec.Ports, o.port())
	}
	if e.gateway != nil {
		spec.Resolution = networking.ServiceEntry_DNS
		toGateway := &networking.WorkloadEntry{Address: e.gatewayHost(), Ports: map[string]uint32{}}
		for i, port := range spec.Ports {
			port.TargetPort = 0
			toGateway.Ports[spec.Ports[i].Name] = e.gatewayPort()
		}
		spec.Endpoints = []*networking.WorkloadEntry{toGateway}
	}
	out.resources = append(out.resources, e.shared(ServiceEntry, spec))
}

// port is the port that the app calls, and the one that the service listens on
// where that is another.
func (o *outbound) port() *networking.ServicePort {
	p := &networking.ServicePort{
		Number: uint32(o.spec.Port), Name: intent.PortName(o.spec.Protocol, o.spec.Port), Protocol: string(o.spec.Protocol),
	}
	if target := o.spec.TargetPort(); target != o.spec.Port {
		p.TargetPort = uint32(target)
	}
	return p
}

// addresses are those that apps dial, where only they tell calls apart.
func (e *outside) addresses() []string {
	for _, o := range e.outbounds {
		if a := o.spec.Addresses(); len(a) > 0 {
			return a
		}
	}
	return nil
}

func resolution(o *intent.OutboundSpec) networking.ServiceEntry_Resolution {
	return networking.ServiceEntry_Resolution(networking.ServiceEntry_Resolution_value[o.Resolution])
}

func endpointsOf(o *intent.OutboundSpec) []*networking.WorkloadEntry {
	var out []*networking.WorkloadEntry
	for _, address := range o.Endpoints {
		out = append(out, &networking.WorkloadEntry{Address: address})
	}
	return out
}
