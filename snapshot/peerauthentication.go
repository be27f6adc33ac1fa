package snapshot

import (
	apitype "istio.io/api/type/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// peerAuthentications says whether the serving workload takes mutual TLS only.
func peerAuthentications(p *plan, out *output) {
	if !p.serves || !p.spec.Proxied() {
		return
	}
	if p.inRootNamespace() {
		out.problem(p.inbound.Path, "namespace %s is the root namespace of Istio on cluster %s, where policies would match workloads of every namespace: it gets no PeerAuthentication, no RequestAuthentication and no AuthorizationPolicy", p.namespace, p.cluster.Path.ClusterName())
		return
	}
	spec, origins := p.mutualTLS(out)
	out.resources = append(out.resources, p.resource(PeerAuthentication, p.namespace, p.inbound.Path, roleMain, spec, origins...))
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
