package snapshot

import (
	"slices"

	security "istio.io/api/security/v1beta1"
	apitype "istio.io/api/type/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// peerAuthentications says whether the serving workload takes mutual TLS only.
//
// Of several that select one workload Istio obeys the oldest alone. So where
// services share pods, the one of each says the same: mutual TLS only if any of
// them asks for it, except at the ports that are of none that does.
func peerAuthentications(p *plan, out *output) {
	if !p.serves || !p.spec.Proxied() {
		return
	}
	if p.inRootNamespace() {
		out.problem(p.inbound.Path, "namespace %s is the root namespace of Istio on cluster %s, where policies would match workloads of every namespace: it gets no PeerAuthentication, no RequestAuthentication and no AuthorizationPolicy", p.namespace, p.cluster.Path.ClusterName())
		return
	}
	strict, lenient := []*intent.Object{}, []*intent.Object{}
	for _, in := range append([]*intent.Object{p.inbound}, p.matesHere()...) {
		if in.Spec.(*intent.InboundSpec).TLSMode() == intent.TLSMutual {
			strict = append(strict, in)
		} else {
			lenient = append(lenient, in)
		}
	}
	spec := &security.PeerAuthentication{Selector: p.workload(), Mtls: &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_PERMISSIVE}}
	origins := []intent.Path{}
	if len(strict) > 0 {
		spec.Mtls.Mode = security.PeerAuthentication_MutualTLS_STRICT
		guarded := targetPorts(strict)
		for port := range targetPorts(lenient) {
			if _, ok := guarded[port]; ok {
				continue
			}
			if spec.PortLevelMtls == nil {
				spec.PortLevelMtls = map[uint32]*security.PeerAuthentication_MutualTLS{}
			}
			spec.PortLevelMtls[port] = &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_PERMISSIVE}
		}
		p.reportGuarded(guarded, out)
	}
	if len(strict) > 0 && len(lenient) > 0 {
		for _, in := range slices.Concat(strict, lenient) {
			if in.Spec.(*intent.InboundSpec).InMesh() {
				origins = append(origins, in.Path)
			}
		}
	}
	out.resources = append(out.resources, p.resource(PeerAuthentication, p.namespace, p.inbound.Path, roleMain, spec, origins...))
}

// reportGuarded tells of ports at which the service would take calls without
// mutual TLS, and another of the same pods does not.
func (p *plan) reportGuarded(guarded map[uint32]intent.Path, out *output) {
	if p.spec.TLSMode() == intent.TLSMutual {
		return
	}
	for _, port := range p.ports {
		if other, ok := guarded[uint32(targetPort(port))]; ok {
			out.problem(p.inbound.Path, "port %d takes mutual TLS only: %s is of the same pods and port, and asks for it", port.Port, other)
		}
	}
}

// matesHere lists the other inbounds that share the service's pods on this
// cluster.
func (p *plan) matesHere() []*intent.Object {
	var out []*intent.Object
	for mate := range p.set.PodMates(p.inbound) {
		if slices.Contains(p.set.ServerClusters(mate), p.cluster.Path) {
			out = append(out, mate)
		}
	}
	return out
}

// targetPorts are the pods' ports of inbounds, each with the first that it is of.
func targetPorts(inbounds []*intent.Object) map[uint32]intent.Path {
	out := map[uint32]intent.Path{}
	for _, in := range inbounds {
		for _, port := range in.Spec.(*intent.InboundSpec).AllPorts() {
			number := uint32(targetPort(port))
			if _, ok := out[number]; !ok && port.Protocol != "UDP" {
				out[number] = in.Path
			}
		}
	}
	return out
}

// workload selects the serving pods, and no others.
func (p *plan) workload() *apitype.WorkloadSelector {
	key, value := intent.SplitLabel(p.spec.AppLabel)
	return &apitype.WorkloadSelector{MatchLabels: map[string]string{key: value}}
}

// inRootNamespace reports whether the service runs in the root namespace of
// its cluster's Istio. A selector there matches in all namespaces, so nothing
// with a selector is made there: it would touch other workloads.
func (p *plan) inRootNamespace() bool { return p.namespace == rootNamespace(p.record) }
