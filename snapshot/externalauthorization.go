package snapshot

import (
	"strconv"

	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// externalAuthorization lets what the ingress gateways send reach the exposed
// ports, where only declared clients may call (see [authorizationPolicies]).
// Gateways are known by their namespace: a cluster's record does not tell their
// service accounts.
func (p *plan) externalAuthorization(x *external, out *output) {
	if !p.spec.Proxied() || !p.enforced() || p.inRootNamespace() {
		return
	}
	if p.spec.TLSMode() != intent.TLSMutual {
		out.problem(p.inbound.Path, "ingress gateways are known by their mutual TLS identity, which their calls lack with management.tlsType %s: calls from outside the mesh are refused", p.spec.TLSMode())
	}
	users := externalUsers(p.spec)
	var ports []string
	for _, e := range x.exposures {
		if len(users) > 0 && !e.Port.Protocol.IsHTTP() {
			out.problem(p.inbound.Path, "calls from outside the mesh to port %d are refused: they need a token of jwt, and only HTTP has tokens", e.Port.Port)
			continue
		}
		ports = append(ports, strconv.Itoa(targetPort(e.Port)))
	}
	if len(ports) == 0 {
		return
	}
	rule := &security.Rule{
		From: []*security.Rule_From{{Source: &security.Source{Principals: p.anyAccount(x.namespaces()), RequestPrincipals: users}}},
		To:   operations(nil, nil, ports, nil),
	}
	out.resources = append(out.resources, p.policy(p.inbound.Path, roleExternal, security.AuthorizationPolicy_ALLOW, []*security.Rule{rule}))
}

// externalUsers are the end users that may call from outside the mesh, as
// AuthorizationPolicy knows them: any of the issuers that the service accepts;
// none when it asks for no tokens.
func externalUsers(spec *intent.InboundSpec) []string {
	var out []string
	for _, rule := range spec.JWT {
		out = append(out, rule.Issuer+"/*")
	}
	return sortedUnique(out)
}

// anyAccount are the principals of all that runs in namespaces of this cluster's
// trust domain.
func (p *plan) anyAccount(namespaces []string) []string {
	var out []string
	for _, ns := range namespaces {
		out = append(out, p.record.TrustDomain+"/ns/"+ns+"/sa/*")
	}
	return out
}
