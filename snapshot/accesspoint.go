package snapshot

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// A scope is what one rule is about, besides the client that calls. All of it
// must hold; the zero scope is every call.
type scope struct {
	users []string              // one of these request principals; none: with or without a token
	when  []*security.Condition // all of these
	to    []*security.Rule_To   // one of these operations; none: any
	http  bool                  // it says something that only HTTP has
}

// allowedScopes are what a client may do. There are none when it may do
// nothing.
func (p *plan) allowedScopes(c *client, allow []accessPoint, out *output) []scope {
	if p.spec.Authorization == intent.AuthorizeClients {
		return []scope{{}}
	}
	if len(allow) == 0 && len(c.points) > 0 { // DENY access points alone
		return []scope{{}}
	}
	var scopes []scope
	for _, ap := range allow {
		scopes = append(scopes, p.allowed(&ap, out)...)
	}
	return merged(scopes)
}

// deniedScopes are what a client may not do.
func (p *plan) deniedScopes(deny []accessPoint, out *output) []scope {
	var scopes []scope
	for _, ap := range deny {
		scopes = append(scopes, p.denied(&ap, out)...)
	}
	return merged(scopes)
}

// merged puts what is told by operations alone into two rules: what says
// something of HTTP, and what does not. They are kept apart because istiod
// drops an ALLOW rule from a TCP port as a whole when anything in it is of HTTP.
// Every call, when that is among them, needs no other scope beside it.
func merged(scopes []scope) []scope {
	var plain [2]scope // of HTTP, of any protocol
	plain[0].http = true
	var limited []scope
	for _, s := range scopes {
		switch {
		case len(s.users)+len(s.when) > 0:
			limited = append(limited, s)
		case len(s.to) == 0:
			return []scope{{}}
		case s.http:
			plain[0].to = append(plain[0].to, s.to...)
		default:
			plain[1].to = append(plain[1].to, s.to...)
		}
	}
	out := slices.DeleteFunc(plain[:], func(s scope) bool { return len(s.to) == 0 })
	return append(out, limited...)
}

// allowed are the scopes of an ALLOW access point. What it says of HTTP never
// goes into a rule for a TCP port. Methods and paths are left out there, where
// the intent names the port; end users and conditions on requests are not, and
// so allow nothing there.
func (p *plan) allowed(ap *accessPoint, out *output) []scope {
	ports := p.portsOf(ap.spec)
	methods, paths := httpLimits(ap.spec)
	limited, needsHTTP := len(methods)+len(paths) > 0, ap.spec.NeedsHTTP()
	everyPort := len(ap.spec.Ports) == 0
	switch {
	case limited && !needsHTTP && len(ports.tcp) > 0:
		out.problem(ap.path, "methods and paths are HTTP fields, which mean nothing on TCP and TLS ports: on ports %s every call is allowed", strings.Join(ports.tcp, ", "))
	case limited && !needsHTTP && !p.spec.IsHTTP():
		out.problem(ap.path, "methods and paths are HTTP fields, which mean nothing to a TCP or TLS service, so this access point allows nothing: give ports, or no more than * for url and access")
	case needsHTTP && !p.spec.IsHTTP():
		out.problem(ap.path, "conditions on requests are about HTTP, and mean nothing to a TCP or TLS service, so this access point allows nothing: take them out of when")
	case needsHTTP && len(ports.tcp) > 0:
		out.problem(ap.path, "users and conditions on requests can't be told on TCP and TLS ports: on ports %s it allows nothing", strings.Join(ports.tcp, ", "))
	case needsHTTP && everyPort && len(p.tcpPorts()) > 0:
		out.problem(ap.path, "users and conditions on requests can't be told on TCP and TLS ports: on ports %s it allows nothing", strings.Join(p.tcpPorts(), ", "))
	}
	if !limited && !needsHTTP {
		return []scope{{when: conditions(ap.spec, true), to: operations(nil, nil, append(ports.http, ports.tcp...), nil)}}
	}
	var scopes []scope
	if p.spec.IsHTTP() && (len(ports.http) > 0 || everyPort) {
		scopes = requests(ap.spec, operations(methods, paths, ports.http, nil))
	}
	if len(ports.tcp) > 0 && !needsHTTP {
		scopes = append(scopes, scope{when: conditions(ap.spec, true), to: operations(nil, nil, ports.tcp, nil)})
	}
	return scopes
}

// denied are the scopes of a DENY access point. On a TCP port Istio reads a
// DENY rule without what it says of HTTP, and so denies every call. That is
// what is made here for the TCP ports that the intent names, and for a service
// that has no others; rules about HTTP are kept off the rest.
func (p *plan) denied(ap *accessPoint, out *output) []scope {
	ports := p.portsOf(ap.spec)
	methods, paths := httpLimits(ap.spec)
	limited, needsHTTP := len(methods)+len(paths) > 0, ap.spec.NeedsHTTP()
	everyPort := len(ap.spec.Ports) == 0
	if !limited && !needsHTTP {
		return []scope{{when: conditions(ap.spec, true), to: operations(nil, nil, append(ports.http, ports.tcp...), nil)}}
	}
	switch onTCP := len(ports.tcp) > 0 || !p.spec.IsHTTP(); {
	case onTCP && needsHTTP:
		out.problem(ap.path, "users and conditions on requests can't be told on TCP and TLS ports: every call of the client is denied there")
	case onTCP:
		out.problem(ap.path, "methods and paths are HTTP fields, which mean nothing on TCP and TLS ports: every call is denied there")
	case needsHTTP && everyPort && len(p.tcpPorts()) > 0:
		out.problem(ap.path, "users and conditions on requests can't be told on TCP and TLS ports: on ports %s nothing is denied; name them in ports to deny every call of the client there", strings.Join(p.tcpPorts(), ", "))
	}
	if everyPort && !p.spec.IsHTTP() {
		return []scope{{when: conditions(ap.spec, false)}}
	}
	var scopes []scope
	if everyPort {
		scopes = requests(ap.spec, operations(methods, paths, nil, p.tcpPorts()))
	} else if len(ports.http) > 0 {
		scopes = requests(ap.spec, operations(methods, paths, ports.http, nil))
	}
	if len(ports.tcp) > 0 {
		scopes = append(scopes, scope{when: conditions(ap.spec, false), to: operations(nil, nil, ports.tcp, nil)})
	}
	return scopes
}

// requests are the scopes of an access point on HTTP ports: one for all users
// that are known by their request principals, and one for each other, because
// his conditions are his alone.
func requests(ap *intent.AccessPointSpec, to []*security.Rule_To) []scope {
	base := scope{when: conditions(ap, true), to: to, http: true}
	if len(ap.Users) == 0 {
		return []scope{base}
	}
	var named []string
	var others []scope
	for _, u := range ap.Users {
		principals, when := knownBy(&u, ap.Action)
		if len(when) == 0 {
			named = append(named, principals...)
			continue
		}
		one := base
		one.users, one.when = principals, slices.Concat(base.when, when)
		others = append(others, one)
	}
	if len(named) == 0 {
		return others
	}
	base.users = sortedUnique(named)
	return append([]scope{base}, others...)
}

// knownBy says by what a user's token is known: request principals, which are
// issuer/subject, and conditions. Two things can't be said by principals. Istio
// cuts one at its last slash, so a subject that has one is asked for by its
// claim. And issuer/* misses a token without a subject, which is right for
// ALLOW, and would be a hole in DENY.
func knownBy(u *intent.User, action intent.Action) (principals []string, when []*security.Condition) {
	demand := func(claim string, values []string) {
		when = append(when, &security.Condition{Key: intent.ClaimKey(claim), Values: sortedUnique(values)})
	}
	slash := slices.ContainsFunc(u.Subjects, func(s string) bool { return strings.Contains(s, "/") })
	switch {
	case len(u.Subjects) > 0 && !slash:
		for _, s := range sortedUnique(u.Subjects) {
			principals = append(principals, u.Issuer+"/"+s)
		}
	case action == intent.Deny:
		demand("iss", []string{u.Issuer})
	default:
		principals = []string{u.Issuer + "/*"}
	}
	if slash {
		demand("sub", u.Subjects)
	}
	for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
		demand(name, u.Claims[name])
	}
	return principals, when
}

// conditions are those of an access point: all of them, or those alone that
// can be judged without HTTP.
func conditions(ap *intent.AccessPointSpec, http bool) []*security.Condition {
	var out []*security.Condition
	for _, c := range ap.When {
		if http || !c.NeedsHTTP() {
			out = append(out, &security.Condition{Key: c.Key, Values: c.Values, NotValues: c.NotValues})
		}
	}
	return out
}

// operations is the one operation that these limits describe, or none if there
// are no limits.
func operations(methods, paths, ports, notPorts []string) []*security.Rule_To {
	if len(methods)+len(paths)+len(ports)+len(notPorts) == 0 {
		return nil
	}
	return []*security.Rule_To{{Operation: &security.Operation{
		Methods: methods, Paths: paths, Ports: sortedUnique(ports), NotPorts: notPorts,
	}}}
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
