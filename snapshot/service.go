package snapshot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshwright/meshwright/intent"
)

// reachOutsideMesh works out how callers on this cluster reach a service that
// no mesh carries: as it is where it runs, else at the ingress gateways of the
// clusters that serve it, on the service's own ports. What leads from there to
// the service is not ours to make, so it is said.
func (p *plan) reachOutsideMesh(servers []intent.Path, out *output) {
	if p.serves || len(p.callers) == 0 {
		return
	}
	if p.findNamesake(out); p.namesake != "" {
		return
	}
	for _, path := range servers {
		g := p.gatewayOf(path, intent.Ingress, out)
		if g == nil {
			continue
		}
		s := site{path: path, addresses: p.reachable(path, g, out)}
		s.addresses = slices.DeleteFunc(s.addresses, func(a string) bool {
			addr, err := netip.ParseAddr(a)
			refused := err == nil && (addr.IsLoopback() || addr.IsLinkLocalUnicast())
			if refused {
				out.problem(p.inbound.Path, "address %s of cluster %s's ingress gateway is left out: Kubernetes takes no loopback or link-local address into an EndpointSlice", a, path.ClusterName())
			}
			return refused
		})
		if len(s.addresses) > 0 {
			p.sites = append(p.sites, s)
		}
	}
	p.checkOneKind(out)
	for _, s := range p.sites {
		out.problem(p.inbound.Path, "without a mesh nothing here opens a way into cluster %s: lead what arrives there at %s on %s to service %s/%s", s.path.ClusterName(), strings.Join(s.addresses, " and "), portWords(p.ports), p.namespace, p.spec.ServiceName)
	}
	if len(p.sites) > 0 && p.spec.Headless {
		out.problem(p.inbound.Path, "instances on other clusters can't be called one by one: the service's name leads to any of them")
	}
}

// checkOneKind keeps what one Kubernetes Service can stand for: IP addresses,
// or one host name.
func (p *plan) checkOneKind(out *output) {
	keep := slices.IndexFunc(p.sites, func(s site) bool { return !s.named() })
	if keep < 0 {
		keep = 0
	}
	var kept []site
	for i, s := range p.sites {
		if i == keep || !s.named() {
			kept = append(kept, s)
			continue
		}
		out.problem(p.inbound.Path, "cluster %s is left out: one Kubernetes Service can't stand for the host name of its ingress gateway and the addresses of others too: give that gateway IP addresses", s.path.ClusterName())
	}
	p.sites = kept
}

// named reports whether a site is known by a host name.
func (s *site) named() bool {
	_, err := netip.ParseAddr(s.addresses[0])
	return err != nil
}

// portWords are ports as messages name them.
func portWords(ports []intent.ServicePort) string {
	words := make([]string, len(ports))
	for i, port := range ports {
		words[i] = fmt.Sprintf("%d/%s", port.Port, transport(port))
	}
	return strings.Join(words, ", ")
}

// services makes a service without a mesh known by its Kubernetes name. Where
// it runs, the Service selects its pods; it is written as the app's own Service
// would be, so that applying it over that one changes nothing it does. On
// clusters with clients alone it leads to the ingress gateways: through
// [endpointSlices] to IP addresses, by ExternalName to a host name, which no
// kube-proxy could resolve.
func services(p *plan, out *output) {
	var spec corev1.ServiceSpec
	switch {
	case p.serves:
		key, value := intent.SplitLabel(p.spec.AppLabel)
		spec.Selector = map[string]string{key: value}
		spec.Ports = kubernetesPorts(p.ports)
		if p.spec.Headless {
			spec.ClusterIP = corev1.ClusterIPNone
		}
		if p.families.stated && p.families.v4 && p.families.v6 {
			spec.IPFamilyPolicy = ptr(corev1.IPFamilyPolicyPreferDualStack)
		}
	case len(p.sites) == 0:
		return
	case p.sites[0].named():
		spec.Type = corev1.ServiceTypeExternalName
		spec.ExternalName = p.sites[0].addresses[0]
		spec.Ports = kubernetesPorts(p.ports)
	default:
		spec.Ports = kubernetesPorts(p.ports)
		for i := range spec.Ports { // its endpoints' ports are the EndpointSlices' to say
			spec.Ports[i].TargetPort = intstr.FromInt32(spec.Ports[i].Port)
		}
		p.chooseFamilies(&spec)
	}
	r := p.resource(Service, p.namespace, p.inbound.Path, roleMain, kubernetesSpec(&corev1.Service{Spec: spec}), p.callingClients()...)
	r.Name = p.spec.ServiceName
	out.resources = append(out.resources, r)
}

// chooseFamilies gives a Service on a dual-stack cluster addresses of the
// families that it has endpoints of. Elsewhere the cluster has but one.
func (p *plan) chooseFamilies(spec *corev1.ServiceSpec) {
	if !p.families.v4 || !p.families.v6 {
		return
	}
	spec.IPFamilyPolicy = ptr(corev1.IPFamilyPolicySingleStack)
	if addresses := p.siteAddresses(true); len(addresses) > 0 {
		spec.IPFamilies = append(spec.IPFamilies, corev1.IPv4Protocol)
	}
	if addresses := p.siteAddresses(false); len(addresses) > 0 {
		spec.IPFamilies = append(spec.IPFamilies, corev1.IPv6Protocol)
	}
	if len(spec.IPFamilies) > 1 {
		spec.IPFamilyPolicy = ptr(corev1.IPFamilyPolicyPreferDualStack)
	}
}

// callingClients are the clients on this cluster that a Service is made for,
// where it does not run.
func (p *plan) callingClients() []intent.Path {
	var out []intent.Path
	for _, c := range p.callers {
		if !p.serves {
			out = append(out, c.clients...)
		}
	}
	return out
}

func kubernetesPorts(ports []intent.ServicePort) []corev1.ServicePort {
	var out []corev1.ServicePort
	for _, port := range ports {
		out = append(out, corev1.ServicePort{
			Name: port.Name, Protocol: transport(port), Port: int32(port.Port),
			TargetPort: intstr.FromInt32(int32(targetPort(port))),
		})
	}
	return out
}

// transport is what carries a port's protocol.
func transport(p intent.ServicePort) corev1.Protocol {
	if p.Protocol == "UDP" {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

func ptr[T any](v T) *T { return &v }
