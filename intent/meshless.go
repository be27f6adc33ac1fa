package intent

// InMesh reports whether the mesh's proxies carry calls of the service.
func (s *InboundSpec) InMesh() bool { return s.ServiceMesh != "none" }

// Proxied reports whether a proxy stands beside the service's pods: it alone
// can end mutual TLS, read HTTP and know a caller by its identity.
func (s *InboundSpec) Proxied() bool {
	return s.InMesh() && (s.Management == nil || s.Management.SidecarProxy != "no")
}

// checkMesh refuses what asks for a proxy where none is, and what no proxy
// carries.
func (s *InboundSpec) checkMesh(v *violations) {
	if s.InMesh() {
		const udp = "UDP can't be carried by the mesh's proxies: use serviceMesh none"
		if s.Protocol == "UDP" {
			v.in("protocol").add(udp)
		}
		for i, p := range s.Ports {
			if p.Protocol == "UDP" {
				v.in("ports").at(i).in("protocol").add(udp)
			}
		}
	} else if s.ExternalSupport {
		v.in("externalSupport").add("needs the mesh's ingress gateway: use serviceMesh istio")
	}
	if s.Proxied() {
		return
	}
	remedy := "leave management.sidecarProxy out"
	if !s.InMesh() {
		remedy = "use serviceMesh istio"
	}
	if s.Management != nil && s.Management.TLSType == TLSMutual {
		v.in("management").in("tlsType").add("%s needs a proxy beside the service to end it: %s, or give NONE", TLSMutual, remedy)
	}
	if len(s.JWT) > 0 {
		v.in("jwt").add("needs a proxy beside the service to check tokens: %s", remedy)
	}
}
