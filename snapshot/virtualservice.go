package snapshot

import networking "istio.io/api/networking/v1alpha3"

// virtualServices keeps the old name working where the service does not run:
// what is called by its Kubernetes name is led to H. So every call leaves with
// H's SNI, the one that the servers' gateways accept, for HTTP and TCP alike.
// (An endpoint for the old name would have sent an SNI of the old name, and to
// set H's SNI in its DestinationRule would have doubled all that is known of
// H's endpoints: their load, their ejections.)
//
// Routing rules will add VirtualServices for H itself here. Until then nothing
// is made for H, so that a VirtualService given as an Istio resource is alone.
func virtualServices(p *plan, out *output) {
	old := p.oldName()
	if old == "" {
		return
	}
	spec := &networking.VirtualService{Hosts: []string{old}, ExportTo: []string{"."}}
	for _, port := range p.ports {
		number := uint32(port.Port)
		to := &networking.Destination{Host: p.host, Port: &networking.PortSelector{Number: number}}
		switch {
		case port.Protocol.IsHTTP():
			spec.Http = append(spec.Http, &networking.HTTPRoute{
				Match: []*networking.HTTPMatchRequest{{Port: number}},
				Route: []*networking.HTTPRouteDestination{{Destination: to}},
			})
		case port.Protocol == "TLS" || port.Protocol == "HTTPS":
			spec.Tls = append(spec.Tls, &networking.TLSRoute{
				Match: []*networking.TLSMatchAttributes{{Port: number, SniHosts: []string{old}}},
				Route: []*networking.RouteDestination{{Destination: to}},
			})
		default:
			spec.Tcp = append(spec.Tcp, &networking.TCPRoute{
				Match: []*networking.L4MatchAttributes{{Port: number}},
				Route: []*networking.RouteDestination{{Destination: to}},
			})
		}
	}
	for _, e := range p.entries() {
		out.resources = append(out.resources, p.resource(VirtualService, e.namespace, p.inbound.Path, roleOldName, spec, e.clients...))
	}
}
