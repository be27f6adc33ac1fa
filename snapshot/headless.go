package snapshot

// A headless service has no address of its own: Kubernetes answers its name,
// and {instance}.{its name}, with the addresses of pods. Inside a cluster that
// serves it, that is how each instance is called, and proxies know it without
// any object of ours: istiod leads such calls to the very pod, with the TLS
// mode of the DestinationRule for the Kubernetes name.
//
// H leads to any instance. On a serving cluster its endpoint is the Kubernetes
// name, which resolves to all pods, so proxies and the gateway balance by
// instance; but no ClusterIP stands between that would turn the service's port
// into the pods', so the endpoint names these (see instancePorts).
//
// Nothing leads to one instance on another cluster. *.{H} would have to pass
// the gateway by an SNI with the wildcard inside,
// outbound_.{port}_._.*.{H}, which Envoy refuses in a filter chain, with the
// whole listener and so every other service; an entry for each instance would
// need to know their number.

// instancePorts are the ports at which a local endpoint is called where they
// differ from the service's: behind a headless service, the pods' own.
func (p *plan) instancePorts() map[string]uint32 {
	if !p.spec.Headless {
		return nil
	}
	var ports map[string]uint32
	for _, port := range p.ports {
		if targetPort(port) == port.Port {
			continue
		}
		if ports == nil {
			ports = map[string]uint32{}
		}
		ports[port.Name] = uint32(targetPort(port))
	}
	return ports
}

// checkHeadless reports what a headless service can't give callers here.
func (p *plan) checkHeadless(out *output) {
	remote, local := 0, false
	for _, s := range p.sites {
		if s.local {
			local = true
		} else {
			remote++
		}
	}
	if remote > 0 {
		out.problem(p.inbound.Path, "instances on other clusters can't be called one by one: %s leads to any of them", p.host)
	}
	if local && remote > 0 && p.locality().Mode == "weighted" {
		out.problem(p.inbound.Path, "each local instance of a headless service gets its cluster's whole share in trafficPolicy.locality.weights: state less for this cluster")
	}
}
