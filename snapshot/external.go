package snapshot

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// external is how clients outside the mesh reach an inbound on one cluster.
type external struct {
	host       string // the name that they call
	gateways   []*intent.Gateway
	exposures  []intent.Exposure
	secret     *intent.Certificates // to be delivered as a Secret, or nil
	credential string               // the Secret that gateways show clients, or ""
	mutual     bool                 // and they show a certificate, too
}

// externalAccess leads clients outside the mesh to the service, through every
// ingress gateway of each cluster that serves it. A cluster without one leads
// nobody in.
func externalAccess(p *plan, out *output) {
	x := p.newExternal(out)
	if x == nil {
		return
	}
	p.externalSecrets(x, out)
	if !p.usesGatewayAPI(x) || !p.gatewayAPI(x, out) {
		p.istioIngress(x, out)
	}
	p.externalAuthorization(x, out)
	p.dnsEndpoint(x, out)
}

// newExternal works out what clients outside the mesh can reach here, and
// reports what they can't; nil means nothing.
func (p *plan) newExternal(out *output) *external {
	host := p.set.ExternalHost(p.inbound)
	if host == "" || !p.serves {
		return nil
	}
	x := &external{host: host, gateways: p.record.GatewaysOf(intent.Ingress)}
	if len(x.gateways) == 0 {
		out.problem(p.inbound.Path, "cluster %s has no ingress gateway, so clients outside the mesh can't reach it there: add one to its gateways", p.cluster.Path.ClusterName())
		return nil
	}
	exposures, left := p.spec.Exposures()
	for _, port := range left {
		if port.Protocol == "UDP" {
			out.problem(p.inbound.Path, "port %d is UDP, which ingress gateways don't pass on: clients outside the mesh can't reach it", port.Port)
		} else {
			out.problem(p.inbound.Path, "clients outside the mesh can't reach port %d: %s leads to one HTTP or TLS port of the service, the first", port.Port, host)
		}
	}
	x.exposures = p.withCertificates(x, exposures, out)
	if len(x.exposures) == 0 {
		return nil
	}
	return x
}

// withCertificates settles what gateways show clients, and returns the
// exposures that can be served so.
func (p *plan) withCertificates(x *external, exposures []intent.Exposure, out *output) []intent.Exposure {
	certs := p.spec.Certificates()
	if certs == nil {
		return exposures
	}
	var ended, others []intent.Exposure
	for _, e := range exposures {
		if e.Terminated() {
			ended = append(ended, e)
		} else {
			others = append(others, e)
		}
	}
	switch {
	case len(ended) == 0:
		out.problem(p.inbound.Path, "external.externalCerts are not used: the service ends TLS itself")
		return others
	case certs.CredentialName != "":
		x.credential = certs.CredentialName
		return exposures
	case p.record.Delivery == intent.DeliverXDS:
		out.problem(p.inbound.Path, "the Secret with external.externalCerts can't be delivered over xDS, which is all that cluster %s takes, so clients outside the mesh can't reach port %d: set its delivery to both, or name a Secret that is there in credentialName", p.cluster.Path.ClusterName(), ended[0].Port.Port)
		return others
	}
	x.secret, x.credential = certs, objectName(p.inbound.Path, roleExternal)
	x.mutual = certs.CACertificate != ""
	return exposures
}

// istioIngress opens the ingress gateways with Istio's Gateway and
// VirtualService.
//
// Both stand beside the gateway's workload: istiod reads a credentialName's
// Secret in the workload's namespace, and lets a Gateway of another one use it
// only if so told. "./" keeps VirtualServices of other namespaces from taking
// the host over, and nobody else sees ours (exportTo ".").
func (p *plan) istioIngress(x *external, out *output) {
	for _, g := range x.gateways {
		role := externalRole(g)
		gateway := &networking.Gateway{Selector: g.Selector}
		for _, e := range x.exposures {
			gateway.Servers = append(gateway.Servers, x.server(g, &e))
		}
		route := p.externalRoutes(x, g, out)
		route.Hosts, route.ExportTo = []string{x.host}, []string{"."}
		route.Gateways = []string{g.Namespace + "/" + objectName(p.inbound.Path, role)}
		out.resources = append(out.resources,
			p.resource(Gateway, g.Namespace, p.inbound.Path, role, gateway),
			p.resource(VirtualService, g.Namespace, p.inbound.Path, role, route, p.rulePaths()...))
	}
}

// server is how a gateway listens for an exposure.
func (x *external) server(g *intent.Gateway, e *intent.Exposure) *networking.Server {
	server := &networking.Server{
		Port:  &networking.Port{Number: uint32(e.At(g)), Name: entryName(e), Protocol: "TCP"},
		Hosts: []string{"./" + x.host},
	}
	switch {
	case e.Entry == intent.EntryHTTP:
		server.Port.Protocol = "HTTP" // gRPC and all else that is HTTP/2, too
	case e.Passthrough():
		server.Port.Protocol = "TLS"
		server.Tls = &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_PASSTHROUGH}
	case e.Terminated():
		server.Port.Protocol = "TLS"
		if e.Port.Protocol.IsHTTP() {
			server.Port.Protocol = "HTTPS"
		}
		server.Tls = &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_SIMPLE, CredentialName: x.credential}
		if x.mutual {
			server.Tls.Mode = networking.ServerTLSSettings_MUTUAL
		}
	}
	return server
}

// entryName names a gateway's port after what comes in there.
func entryName(e *intent.Exposure) string {
	if e.Entry == intent.EntryPort {
		return fmt.Sprint("tcp-", e.Port.Port)
	}
	return string(e.Entry)
}

// externalRoutes lead what comes in at a gateway to the service of the same
// cluster, by its Kubernetes name, whose DestinationRule says how to connect,
// and as the routing rules say, but for those of declared clients.
func (p *plan) externalRoutes(x *external, g *intent.Gateway, out *output) *networking.VirtualService {
	spec, v := &networking.VirtualService{}, p.ingressVantage()
	for _, e := range x.exposures {
		at := uint32(e.At(g))
		switch {
		case e.Port.Protocol.IsHTTP(): // the only one, see [intent.InboundSpec.Exposures]
			spec.Http = append(spec.Http, p.httpRoutes(v, e.Port, v.heard(out))...)
		case e.Passthrough():
			spec.Tls = append(spec.Tls, &networking.TLSRoute{
				Match: []*networking.TLSMatchAttributes{{Port: at, SniHosts: []string{x.host}}},
				Route: p.connectionDestinations(v, e.Port, v.heard(out)),
			})
		default:
			spec.Tcp = append(spec.Tcp, &networking.TCPRoute{
				Match: []*networking.L4MatchAttributes{{Port: at}},
				Route: p.connectionDestinations(v, e.Port, v.heard(out)),
			})
		}
	}
	return spec
}
