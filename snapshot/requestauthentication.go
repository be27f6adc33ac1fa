package snapshot

import (
	security "istio.io/api/security/v1beta1"
)

// requestAuthentications say whose tokens of end users the serving workload
// takes. A call with another token is refused; one without a token passes, and
// it is for the rules of access points with users to demand one.
func requestAuthentications(p *plan, out *output) {
	if !p.serves || len(p.spec.JWT) == 0 || p.inRootNamespace() {
		return
	}
	spec := &security.RequestAuthentication{Selector: p.workload()}
	for _, j := range p.spec.JWT {
		spec.JwtRules = append(spec.JwtRules, &security.JWTRule{
			Issuer: j.Issuer, JwksUri: j.JWKSURI, Jwks: j.JWKS,
			Audiences: j.Audiences, ForwardOriginalToken: j.ForwardOriginalToken,
		})
	}
	out.resources = append(out.resources, p.resource(RequestAuthentication, p.namespace, p.inbound.Path, roleMain, spec))
}
