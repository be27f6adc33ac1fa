package snapshot

import (
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// virtualServices lead calls as the routing rules say, and keep the old name
// working where the service does not run: what is called by its Kubernetes
// name is led to H. So every call leaves with H's SNI, the one that the
// servers' gateways accept, for HTTP and TCP alike. (An endpoint for the old
// name would have sent an SNI of the old name, and to set H's SNI in its
// DestinationRule would have doubled all that is known of H's endpoints: their
// load, their ejections.)
//
// Each caller namespace has one for H, and the old name beside it, seen by that
// namespace alone. Where the service runs, the service's namespace has one for
// the Kubernetes name, seen by all. Without rules there is none for H or the
// service, so that a VirtualService given as an Istio resource is alone.
func virtualServices(p *plan, out *output) {
	for _, e := range p.entries() {
		if len(e.clients) == 0 {
			continue // a gateway passes connections on by their SNI
		}
		hosts, r := []string{p.host}, roleMain
		if len(p.rules) == 0 {
			hosts, r = nil, roleOldName
		}
		if old := p.oldName(); old != "" {
			hosts = append(hosts, old)
		}
		if spec := p.virtualService(hosts, []vantage{e.vantage(p)}, out); spec != nil {
			spec.ExportTo = []string{"."}
			origins := append(p.rulePaths(), e.clients...)
			out.resources = append(out.resources, p.resource(VirtualService, e.seen, p.inbound.Path, r, spec, origins...))
		}
	}
	if !p.serves || len(p.rules) == 0 {
		return
	}
	hosts := []string{p.serviceHost()}
	if !p.spec.IsHTTP() && slices.ContainsFunc(p.ports, isTLS) {
		// TLS is led by the server name alone, and callers may know a shorter one.
		hosts = append(hosts, p.spec.ServiceName+"."+p.namespace+".svc", p.spec.ServiceName+"."+p.namespace)
	}
	if spec := p.virtualService(hosts, p.serviceVantages(), out); spec != nil {
		out.resources = append(out.resources, p.resource(VirtualService, p.namespace, p.inbound.Path, roleService, spec, p.rulePaths()...))
	}
}

// virtualService leads calls of hosts, the first of which is the vantages' own,
// or nil when there is nothing to lead. The last vantage is the broadest: what
// it gives to all callers is not said of the others again.
func (p *plan) virtualService(hosts []string, from []vantage, out *output) *networking.VirtualService {
	if len(hosts) == 0 {
		return nil
	}
	spec := &networking.VirtualService{Hosts: hosts}
	for _, port := range p.ports {
		number := uint32(port.Port)
		switch {
		case port.Protocol.IsHTTP():
			spec.Http = append(spec.Http, p.httpRoutesFrom(from, port, out)...)
		case port.Protocol == "UDP":
			// Istio routes no datagrams.
		case isTLS(port):
			names := p.ledNames(hosts)
			for _, c := range p.connections(from, port, out) {
				if len(names) == 0 {
					continue
				}
				spec.Tls = append(spec.Tls, &networking.TLSRoute{
					Match: []*networking.TLSMatchAttributes{{Port: number, SniHosts: names, SourceNamespace: c.namespace}},
					Route: c.to,
				})
			}
		default:
			for _, c := range p.connections(from, port, out) {
				spec.Tcp = append(spec.Tcp, &networking.TCPRoute{
					Match: []*networking.L4MatchAttributes{{Port: number, SourceNamespace: c.namespace}},
					Route: c.to,
				})
			}
		}
	}
	if len(spec.Http)+len(spec.Tls)+len(spec.Tcp) == 0 {
		return nil
	}
	return spec
}

func isTLS(port intent.ServicePort) bool { return port.Protocol == "TLS" || port.Protocol == "HTTPS" }

// source is the namespace that a route must be limited to.
func (v vantage) source() string {
	if v.shared {
		return v.namespace
	}
	return ""
}

// heard is where problems of a vantage go. Callers that no intent declares can
// be among those of a shared VirtualService, and all are that come from outside
// the mesh: what they can't reach is no intent's problem.
func (v vantage) heard(out *output) *output {
	if v.outside || v.shared && v.namespace == "" {
		return &output{}
	}
	return out
}

// ledNames are the hosts whose TLS connections must be led somewhere. Without a
// rule for them H and the Kubernetes name lead to themselves, whatever server
// name a connection asks for; a route would take that one name alone.
func (p *plan) ledNames(hosts []string) []string {
	if p.connectionRule() != nil {
		return hosts
	}
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h != p.oldName() })
}

// connectionRule is the routing rule that connections follow on ports where
// proxies read no HTTP: the first that matches every call and divides them.
func (p *plan) connectionRule() *rule {
	for i, r := range p.rules {
		if len(r.spec.Match) == 0 && len(r.spec.Split) > 0 {
			return &p.rules[i]
		}
	}
	return nil
}

// A connectionRoute is where connections go, from a namespace or from any.
type connectionRoute struct {
	namespace string
	to        []*networking.RouteDestination
}

// connections are the routes of a port on which proxies read no HTTP, from
// vantages of which the last is the broadest.
func (p *plan) connections(from []vantage, port intent.ServicePort, out *output) []connectionRoute {
	var routes []connectionRoute
	for _, v := range from {
		routes = append(routes, connectionRoute{v.source(), p.connectionDestinations(v, port, v.heard(out))})
	}
	general := routes[len(routes)-1]
	same := func(c connectionRoute) bool {
		return c.namespace != general.namespace && slices.EqualFunc(c.to, general.to, func(a, b *networking.RouteDestination) bool { return proto.Equal(a, b) })
	}
	return slices.DeleteFunc(routes, same)
}

// connectionDestinations divide a port's connections from a vantage.
func (p *plan) connectionDestinations(v vantage, port intent.ServicePort, out *output) []*networking.RouteDestination {
	to := []destination{{host: v.host, weight: 100}}
	if r := p.connectionRule(); r != nil {
		to = p.destinations(v, *r, out)
	}
	var route []*networking.RouteDestination
	for _, d := range to {
		route = append(route, &networking.RouteDestination{Destination: d.at(port.Port), Weight: d.share(len(to))})
	}
	return route
}

// at is the destination at a port.
func (d destination) at(port int) *networking.Destination {
	return &networking.Destination{Host: d.host, Subset: d.subset, Port: &networking.PortSelector{Number: uint32(port)}}
}

// share is the weight, which is not said of the only destination.
func (d destination) share(of int) int32 {
	if of == 1 {
		return 0
	}
	return int32(d.weight)
}
