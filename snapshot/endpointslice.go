package snapshot

import (
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpointSlices lead a Service without pods, on a cluster with clients alone,
// to the ingress gateways of the clusters that serve: one slice for each IP
// family, as Kubernetes asks.
func endpointSlices(p *plan, out *output) {
	if p.serves || len(p.sites) == 0 || p.sites[0].named() {
		return
	}
	var ports []discoveryv1.EndpointPort
	for _, port := range p.ports {
		ports = append(ports, discoveryv1.EndpointPort{Name: ptr(port.Name), Protocol: ptr(transport(port)), Port: ptr(int32(port.Port))})
	}
	for _, family := range []struct {
		v4   bool
		kind discoveryv1.AddressType
		role role
	}{{true, discoveryv1.AddressTypeIPv4, roleIPv4}, {false, discoveryv1.AddressTypeIPv6, roleIPv6}} {
		slice := &discoveryv1.EndpointSlice{AddressType: family.kind, Ports: ports}
		for _, address := range p.siteAddresses(family.v4) {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses:  []string{address},
				Conditions: discoveryv1.EndpointConditions{Ready: ptr(true)},
			})
		}
		if len(slice.Endpoints) == 0 {
			continue
		}
		r := p.resource(EndpointSlice, p.namespace, p.inbound.Path, family.role, kubernetesSpec(slice), p.callingClients()...)
		r.Labels = labelsFor(p.cluster, map[string]string{
			discoveryv1.LabelServiceName: p.spec.ServiceName,
			discoveryv1.LabelManagedBy:   managedBy,
		})
		out.resources = append(out.resources, r)
	}
}

// siteAddresses lists the sites' addresses of one family, each once.
func (p *plan) siteAddresses(v4 bool) []string {
	var out []string
	for _, s := range p.sites {
		for _, a := range s.addresses {
			if addr, err := netip.ParseAddr(a); err == nil && isIPv4(addr) == v4 {
				out = append(out, addr.Unmap().String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
