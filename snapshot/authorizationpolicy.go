package snapshot

import (
	"slices"
	"strconv"
	"strings"

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
		from := p.sources(&c, out)
		if len(from) == 0 {
			continue
		}
		allow, deny := c.split()
		if to, ok := p.allowedOperations(&c, allow, out); ok {
			allowed = true
			out.resources = append(out.resources, p.policy(&c, roleAllow, security.AuthorizationPolicy_ALLOW, from, to, allow))
		}
		if to := p.deniedOperations(deny, out); len(deny) > 0 {
			out.resources = append(out.resources, p.policy(&c, roleDeny, security.AuthorizationPolicy_DENY, from, to, deny))
		}
	}
	if !allowed {
		spec := &security.AuthorizationPolicy{Selector: p.workload(), Action: security.AuthorizationPolicy_ALLOW}
		out.resources = append(out.resources, p.resource(AuthorizationPolicy, p.namespace, p.inbound.Path, roleAllow, spec))
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

func (p *plan) policy(c *client, r role, action security.AuthorizationPolicy_Action,
	from []*security.Rule_From, to []*security.Rule_To, points []accessPoint,
) Resource {
	spec := &security.AuthorizationPolicy{
		Selector: p.workload(), Action: action,
		Rules: []*security.Rule{{From: from, To: to}},
	}
	origins := []intent.Path{c.path}
	for _, ap := range points {
		origins = append(origins, ap.path)
	}
	return p.resource(AuthorizationPolicy, p.namespace, c.path, r, spec, origins...)
}

// sources say by what a client is known: its service account, in each
// namespace it calls from and each trust domain it runs in; without one, its
// namespaces; and its CIDRs. Any of them will do. None means that the client
// can't be told from others, so it is allowed nothing.
//
// CIDRs are compared with the address that the connection comes from
// (ipBlocks), not with X-Forwarded-For (remoteIpBlocks), which a caller could
// make up, and which TCP lacks. Calls through an east-west gateway come from
// the gateway's address, and are known by identity.
func (p *plan) sources(c *client, out *output) []*security.Rule_From {
	source := &security.Source{}
	switch {
	case c.account == "":
		source.Namespaces = c.namespaces
	case len(c.clusters) == 0:
		out.problem(c.path, "it runs on no cluster, so its identity has no trust domain and it is allowed nothing by it: place app %s", c.spec.App)
	default:
		for _, td := range trustDomains(p.set, c.clusters) {
			for _, ns := range c.namespaces {
				source.Principals = append(source.Principals, td+"/ns/"+ns+"/sa/"+c.account)
			}
		}
	}
	var from []*security.Rule_From
	if len(source.Principals)+len(source.Namespaces) > 0 {
		from = append(from, &security.Rule_From{Source: source})
	}
	if len(c.spec.CIDRs) > 0 {
		from = append(from, &security.Rule_From{Source: &security.Source{IpBlocks: sortedUnique(c.spec.CIDRs)}})
	}
	return from
}

// allowedOperations are what a client may do; none means anything. It is not
// ok when the client may do nothing.
func (p *plan) allowedOperations(c *client, allow []accessPoint, out *output) (to []*security.Rule_To, ok bool) {
	if p.spec.Authorization == intent.AuthorizeClients {
		return nil, true
	}
	if len(allow) == 0 {
		return nil, len(c.points) > 0 // DENY access points alone
	}
	for _, ap := range allow {
		ports := p.portsOf(ap.spec)
		methods, paths := httpLimits(ap.spec)
		limited := len(methods)+len(paths) > 0
		if limited && len(ports.tcp) > 0 {
			out.problem(ap.path, "methods and paths mean nothing on TCP and TLS ports: on ports %s every call is allowed", strings.Join(ports.tcp, ", "))
		}
		switch {
		case limited && !p.spec.IsHTTP() && len(ports.tcp) == 0:
			out.problem(ap.path, "methods and paths mean nothing to a service without an HTTP port, so this access point allows nothing: give ports, or no more than * for url and access")
		case !limited && len(ap.spec.Ports) == 0:
			return nil, true // everything: no other access point can add to it
		case !limited:
			to = append(to, operation(nil, nil, append(ports.http, ports.tcp...), nil))
		default:
			// On a TCP port an ALLOW rule with methods or paths never matches.
			if p.spec.IsHTTP() && (len(ports.http) > 0 || len(ap.spec.Ports) == 0) {
				to = append(to, operation(methods, paths, ports.http, nil))
			}
			if len(ports.tcp) > 0 {
				to = append(to, operation(nil, nil, ports.tcp, nil))
			}
		}
	}
	return to, len(to) > 0
}

// deniedOperations are what a client may not do; none means anything. On a TCP
// port Istio reads a DENY rule with methods or paths as one without, so such
// rules are kept off the TCP ports that the intent did not name.
func (p *plan) deniedOperations(deny []accessPoint, out *output) (to []*security.Rule_To) {
	for _, ap := range deny {
		ports := p.portsOf(ap.spec)
		methods, paths := httpLimits(ap.spec)
		limited := len(methods)+len(paths) > 0
		if limited && (len(ports.tcp) > 0 || !p.spec.IsHTTP()) {
			out.problem(ap.path, "methods and paths mean nothing on TCP and TLS ports: every call is denied there")
		}
		switch {
		case len(ap.spec.Ports) == 0 && (!limited || !p.spec.IsHTTP()):
			return nil
		case !limited:
			to = append(to, operation(nil, nil, append(ports.http, ports.tcp...), nil))
		case len(ap.spec.Ports) == 0:
			to = append(to, operation(methods, paths, nil, p.tcpPorts()))
		default:
			if len(ports.http) > 0 {
				to = append(to, operation(methods, paths, ports.http, nil))
			}
			if len(ports.tcp) > 0 {
				to = append(to, operation(nil, nil, ports.tcp, nil))
			}
		}
	}
	return to
}

func operation(methods, paths, ports, notPorts []string) *security.Rule_To {
	return &security.Rule_To{Operation: &security.Operation{
		Methods: methods, Paths: paths, Ports: sortedUnique(ports), NotPorts: notPorts,
	}}
}

// httpLimits are the methods and paths that an access point is limited to,
// each empty when it is not.
func httpLimits(ap *intent.AccessPointSpec) (methods, paths []string) {
	if !slices.Contains(ap.Access, "*") {
		methods = sortedUnique(ap.Access)
	}
	if !slices.Contains(ap.URL, "*") {
		paths = sortedUnique(ap.URL)
	}
	return methods, paths
}

// apPorts are the ports that an access point names, as the workload knows
// them, by what the proxy can read there.
type apPorts struct{ http, tcp []string }

// portsOf turns an access point's ports into the workload's: a port of the
// service stands for its target port, any other for itself. A port that the
// service does not have is HTTP if any of the service's is.
func (p *plan) portsOf(ap *intent.AccessPointSpec) apPorts {
	var out apPorts
	for _, number := range ap.Ports {
		target, http := number, p.spec.IsHTTP()
		for _, port := range p.ports {
			if port.TargetPort == number {
				http = port.Protocol.IsHTTP()
			}
		}
		for _, port := range p.ports {
			if port.Port == number {
				target, http = targetPort(port), port.Protocol.IsHTTP()
			}
		}
		if http {
			out.http = append(out.http, strconv.Itoa(target))
		} else {
			out.tcp = append(out.tcp, strconv.Itoa(target))
		}
	}
	return out
}

// tcpPorts are the workload's ports on which the proxy reads no HTTP.
func (p *plan) tcpPorts() []string {
	var out []string
	for _, port := range p.ports {
		if !port.Protocol.IsHTTP() {
			out = append(out, strconv.Itoa(targetPort(port)))
		}
	}
	return sortedUnique(out)
}

func targetPort(p intent.ServicePort) int {
	if p.TargetPort != 0 {
		return p.TargetPort
	}
	return p.Port
}

func sortedUnique(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(s)))
}
