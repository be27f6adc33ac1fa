package snapshot

import (
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// A hostEntry is one place where the global name H is made known: a namespace,
// and what H leads to there. All objects for H in a namespace follow from it.
//
// Every entry is seen by one namespace alone, because H means different things
// to a caller, which may be led to any cluster, and to a gateway, which must
// only ever lead inwards: a gateway that knew other clusters' gateways for H
// would send calls in circles.
//
// Inside a serving cluster H leads to the service's Kubernetes name, by DNS,
// and so to the ClusterIP. A STATIC entry that selects pods (workloadSelector)
// would balance by pod, but it takes ports to be pods' ports, and an intent may
// know the Service's port alone: Kubernetes knows the mapping, and applies it
// behind the ClusterIP. What arrives there reaches the pod's sidecar as it was
// sent, so mutual TLS holds from client to pod, through a gateway too, which
// passes on the client's own TLS bytes. The price: calls by H inside a cluster
// are balanced by connection. Calls by the Kubernetes name are balanced by
// instance, by the DestinationRule for that name.
//
// A gateway that must tell versions apart needs the pods all the same, and takes
// targetPort for their ports. Pods can be selected in their own namespace only,
// so there the gateway's entry stands, seen by the gateway's. istiod joins all
// endpoints of a host in one namespace, whoever may see them: callers in the
// service's namespace then have their entry in the gateway's, seen by them.
type hostEntry struct {
	namespace string // where the entry stands
	seen      string // the namespace that sees it, where its other objects stand
	selects   bool   // pods by the service's label
	gateway   bool   // for the east-west gateway
	sites     []site
	clients   []intent.Path // it is made for
}

// entries lists where H is made known on this cluster, in namespace order.
func (p *plan) entries() []hostEntry {
	if p.serves && p.ownName() {
		return nil // the service answers to H by itself
	}
	var out []hostEntry
	if p.exposed && p.gateway != nil {
		e := hostEntry{namespace: p.gateway.Namespace, seen: p.gateway.Namespace, gateway: true, sites: []site{p.localSite()}}
		if e.selects = p.picksVersions(); e.selects {
			e.namespace = p.namespace
		}
		out = append(out, e)
	}
	for _, c := range p.callers {
		e := hostEntry{namespace: c.namespace, seen: c.namespace, sites: p.sites, clients: c.clients}
		switch {
		case len(out) > 0 && out[0].gateway && out[0].seen == c.namespace:
			out[0].clients = c.clients // one H per namespace: callers beside the gateway see what it sees
		case len(p.sites) > 0:
			if len(out) > 0 && out[0].selects && out[0].namespace == e.namespace {
				e.namespace = p.gateway.Namespace
			}
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b hostEntry) int { return strings.Compare(a.seen, b.seen) })
	return out
}

// exportTo says who sees the entry.
func (e *hostEntry) exportTo() []string {
	if e.seen != e.namespace {
		return []string{e.seen}
	}
	return []string{"."}
}

func (e *hostEntry) role() role {
	if e.gateway {
		return roleGateway
	}
	return roleMain
}

// crosses reports whether calls of the entry come from, or go to, another
// cluster.
func (e *hostEntry) crosses() bool {
	return e.gateway || slices.ContainsFunc(e.sites, func(s site) bool { return !s.local })
}

// serviceEntries makes H known, and the old name where the service does not
// run.
func serviceEntries(p *plan, out *output) {
	for _, e := range p.entries() {
		spec := &networking.ServiceEntry{
			Hosts:           []string{p.host},
			Ports:           entryPorts(p.ports),
			Location:        networking.ServiceEntry_MESH_INTERNAL,
			Resolution:      networking.ServiceEntry_STATIC,
			ExportTo:        e.exportTo(),
			SubjectAltNames: p.accounts,
		}
		if e.selects {
			p.selectPods(spec)
		} else {
			spec.Endpoints = p.endpoints(&e)
		}
		// A host name among the endpoints makes it DNS, which takes IP
		// addresses too.
		for _, ep := range spec.Endpoints {
			if _, err := netip.ParseAddr(ep.Address); err != nil {
				spec.Resolution = networking.ServiceEntry_DNS
			}
		}
		spec.Addresses = p.virtualAddresses()
		if e.gateway && len(e.clients) == 0 && len(spec.Addresses) > 1 {
			// Nobody dials it there, and istiod gives a host its endpoints once
			// more for each address.
			spec.Addresses = spec.Addresses[:1]
		}
		origins := slices.Clone(e.clients)
		if e.selects {
			origins = append(origins, p.rulePaths()...)
		}
		out.resources = append(out.resources, p.resource(ServiceEntry, e.namespace, p.inbound.Path, e.role(), spec, origins...))
		if old := p.oldNameEntry(); old != nil && !e.gateway {
			out.resources = append(out.resources, p.resource(ServiceEntry, e.namespace, p.inbound.Path, roleOldName, old, e.clients...))
		}
	}
}

// selectPods makes the service's pods the endpoints of an entry.
func (p *plan) selectPods(spec *networking.ServiceEntry) {
	spec.WorkloadSelector = &networking.WorkloadSelector{Labels: p.workload().MatchLabels}
	for i, port := range p.ports {
		spec.Ports[i].TargetPort = uint32(port.TargetPort)
	}
}

func entryPorts(ports []intent.ServicePort) []*networking.ServicePort {
	var out []*networking.ServicePort
	for _, port := range ports {
		out = append(out, &networking.ServicePort{Number: uint32(port.Port), Name: port.Name, Protocol: string(port.Protocol)})
	}
	return out
}

// endpoints are the sites' addresses. The label says that each takes mutual
// TLS: without it istiod keeps an endpoint from gateways that pass TLS on.
func (p *plan) endpoints(e *hostEntry) []*networking.WorkloadEntry {
	mutual := e.crosses() || p.spec.TLSMode() == intent.TLSMutual
	weights := endpointWeights(e.sites)
	var out []*networking.WorkloadEntry
	for i, s := range e.sites {
		for _, address := range s.addresses {
			ep := &networking.WorkloadEntry{Address: address, Network: s.network, Locality: s.locality, Weight: weights[i]}
			if ep.Labels = p.endpointLabels(e, s); mutual {
				ep.Labels["security.istio.io/tlsMode"] = "istio"
			}
			if s.local {
				ep.Ports = p.instancePorts()
			} else {
				ep.Ports = map[string]uint32{}
				for _, port := range p.ports {
					ep.Ports[port.Name] = uint32(s.port)
				}
			}
			out = append(out, ep)
		}
	}
	return out
}

// endpointWeights says how much each address of each site weighs, so that the
// sites get their shares however many addresses they have. All are 0, which
// means equal, when that does it.
//
// Weights stand at the endpoints, not in localityLbSetting.distribute, because
// that tells clusters apart by region and zone alone.
func endpointWeights(sites []site) []uint32 {
	const most = 1000 // bounds the common multiple: beyond it shares are rounded
	multiple := 1
	for _, s := range sites {
		multiple = min(most, lcm(multiple, len(s.addresses)))
	}
	weights, equal := make([]uint32, len(sites)), true
	for i, s := range sites {
		weights[i] = uint32(max(1, s.share*multiple/len(s.addresses)))
		equal = equal && weights[i] == weights[0]
	}
	if equal {
		clear(weights)
	}
	return weights
}

func lcm(a, b int) int {
	gcd, rest := a, b
	for rest != 0 {
		gcd, rest = rest, gcd%rest
	}
	return a / gcd * b
}

// oldName is the Kubernetes name by which clients of this cluster called the
// service when it ran here, or "" when it still does.
func (p *plan) oldName() string {
	if p.serves || p.ownName() || p.namesake != "" {
		return ""
	}
	return p.serviceHost()
}

// oldNameEntry makes the old name known to callers, so that proxies listen for
// it and their DNS answers it with H's own address. It has no endpoints: the
// VirtualService for the old name leads to H, whose SNI the gateways accept
// (see [virtualServices]).
//
// It has the HTTP ports alone. Proxies tell HTTP hosts at one address and port
// apart, but not TCP services. By H's address the old name still reaches the
// other ports, at which H's own entry listens. A service without any HTTP port
// is reached by its old name where the cluster has a Service of that name, as
// mirrored ones are; elsewhere by H only.
func (p *plan) oldNameEntry() *networking.ServiceEntry {
	var ports []intent.ServicePort
	for _, port := range p.ports {
		if port.Protocol.IsHTTP() {
			ports = append(ports, port)
		}
	}
	if p.oldName() == "" || len(ports) == 0 {
		return nil
	}
	spec := &networking.ServiceEntry{
		Hosts:      []string{p.oldName()},
		Ports:      entryPorts(ports),
		Location:   networking.ServiceEntry_MESH_INTERNAL,
		Resolution: networking.ServiceEntry_STATIC,
		ExportTo:   []string{"."},
	}
	spec.Addresses = p.virtualAddresses()
	return spec
}
