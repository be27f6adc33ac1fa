package snapshot

import (
	"slices"

	"google.golang.org/protobuf/proto"
	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// authorizationPolicies say who may call the serving workload, where it runs
// and a proxy stands beside it to hold them (see [networkPolicies] else):
//
//   - open: nothing is made;
//   - clients: each declared client may call anything but what its DENY access
//     points name;
//   - access-points: nothing until an access point exists; from then on each
//     declared client may call what its ALLOW access points name. One that has
//     DENY access points alone may call all else; one that has none, nothing.
//
// Each client has an ALLOW policy of its own and, for its DENY access points, a
// DENY policy. Where no client is left to allow, a policy without rules shuts
// the workload: with no ALLOW policy at all, Istio would let everyone in.
func authorizationPolicies(p *plan, out *output) {
	if !p.serves || !p.spec.Proxied() || !p.enforced() || p.inRootNamespace() {
		return
	}
	if p.spec.TLSMode() == intent.TLSNone && len(p.clients) > 0 {
		out.problem(p.inbound.Path, "clients are known by their mutual TLS identities, which calls inside a cluster lack with management.tlsType NONE: such calls are refused")
	}
	allowed := false
	for _, c := range p.clients {
		from := p.credentials(&c, out)
		if len(from) == 0 {
			continue
		}
		allow, deny := c.split()
		if scopes := p.keptOwn(security.AuthorizationPolicy_ALLOW, &c, p.allowedScopes(&c, allow, out), out); len(scopes) > 0 {
			allowed = true
			made := allow
			if p.spec.Authorization != intent.AuthorizeClients && len(allow) == 0 {
				made = deny // which leave it all else
			}
			out.resources = append(out.resources, p.policy(c.path, roleAllow, security.AuthorizationPolicy_ALLOW, rules(from, scopes), pathsOf(made)...))
		}
		if scopes := p.keptOwn(security.AuthorizationPolicy_DENY, &c, p.deniedScopes(deny, out), out); len(scopes) > 0 {
			out.resources = append(out.resources, p.policy(c.path, roleDeny, security.AuthorizationPolicy_DENY, rules(from, scopes), pathsOf(deny)...))
		}
	}
	if !allowed {
		out.resources = append(out.resources, p.policy(p.inbound.Path, roleAllow, security.AuthorizationPolicy_ALLOW, nil))
	}
}

// enforced reports whether calls are limited to declared clients at all.
func (p *plan) enforced() bool { return enforced(p.set, p.inbound) }

func enforced(set *intent.Set, inbound *intent.Object) bool {
	switch inbound.Spec.(*intent.InboundSpec).Authorization {
	case intent.AuthorizeOpen:
		return false
	case intent.AuthorizeClients:
		return true
	}
	for range set.List(intent.KindAccessPoint, inbound.Path) {
		return true
	}
	return false
}

func (c *client) split() (allow, deny []accessPoint) {
	for _, ap := range c.points {
		if ap.spec.Action == intent.Deny {
			deny = append(deny, ap)
		} else {
			allow = append(allow, ap)
		}
	}
	return allow, deny
}

func pathsOf(points []accessPoint) []intent.Path {
	var out []intent.Path
	for _, ap := range points {
		out = append(out, ap.path)
	}
	return out
}

// policy is an AuthorizationPolicy for the serving workload, named after the
// intent that it is of. ALLOW without rules allows nothing.
func (p *plan) policy(of intent.Path, r role, action security.AuthorizationPolicy_Action, rules []*security.Rule, origins ...intent.Path) Resource {
	spec := &security.AuthorizationPolicy{Selector: p.workload(), Action: action, Rules: rules}
	return p.resource(AuthorizationPolicy, p.namespace, of, r, spec, append(origins, of)...)
}

// rules pair each credential with each scope: a call needs one of either.
func rules(credentials []credential, scopes []scope) []*security.Rule {
	var out []*security.Rule
	for _, c := range credentials {
		for _, s := range scopes {
			out = append(out, &security.Rule{From: withUsers(c.from, s.users), To: s.to, When: slices.Concat(c.when, s.when)})
		}
	}
	return out
}

// withUsers is from, each source of which demands the token of one of the
// users too, if there are any.
func withUsers(from []*security.Rule_From, users []string) []*security.Rule_From {
	if len(users) == 0 {
		return from
	}
	var out []*security.Rule_From
	for _, f := range from {
		f = proto.Clone(f).(*security.Rule_From)
		f.Source.RequestPrincipals = users
		out = append(out, f)
	}
	return out
}
