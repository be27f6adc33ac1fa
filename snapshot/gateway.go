package snapshot

import networking "istio.io/api/networking/v1alpha3"

// gateways lets clients of other clusters in, through the east-west gateway.
// AUTO_PASSTHROUGH leads a connection by its SNI, outbound_.{port}_.{subset}_.{H},
// to the service H that the gateway's namespace knows (see [hostEntry]), and leaves
// its TLS alone. Each inbound has a Gateway of its own that exposes exactly H:
// a change touches no other service.
func gateways(p *plan, out *output) {
	if !p.exposed || p.gateway == nil {
		return
	}
	spec := &networking.Gateway{
		Selector: p.gateway.Selector,
		Servers: []*networking.Server{{
			Port:  &networking.Port{Number: uint32(tlsPort(p.gateway)), Name: "tls", Protocol: "TLS"},
			Hosts: []string{p.host},
			Tls:   &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_AUTO_PASSTHROUGH},
		}},
	}
	out.resources = append(out.resources, p.resource(Gateway, p.gateway.Namespace, p.inbound.Path, roleMain, spec))
}
