package snapshot

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// accessPointWarnings say what is legal and unwise in the access points of an
// inbound, wherever it is placed: what can match nothing or more than it says,
// and what another access point of the same client makes moot. They come in the
// order of paths and messages.
func accessPointWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	spec := inbound.Spec.(*intent.InboundSpec)
	p := &plan{set: set, inbound: inbound, spec: spec, ports: spec.AllPorts()}
	var out output
	for o := range set.List(intent.KindClient, inbound.Path) {
		c := newClient(set, o)
		allow, deny := c.split()
		for _, ap := range allow {
			if p.changesNothing(&ap, &out) {
				continue
			}
			p.allowed(&ap, &out)
			warnOfAbsence(&ap, &out)
			p.warnOfOthers(&ap, allow, deny, &out)
		}
		for _, ap := range deny {
			if p.changesNothing(&ap, &out) {
				continue
			}
			p.denied(&ap, &out)
			p.warnOfEscape(&ap, allow, &out)
		}
	}
	slices.SortFunc(out.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Intent, b.Intent), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(out.problems)
}

// changesNothing warns of an access point that the inbound's authorization
// leaves without a meaning.
func (p *plan) changesNothing(ap *accessPoint, out *output) bool {
	switch {
	case p.spec.Authorization == intent.AuthorizeOpen:
		out.problem(ap.path, "authorization of the service is open, so this access point changes nothing: everyone may call")
	case p.spec.Authorization == intent.AuthorizeClients && ap.spec.Action == intent.Allow:
		out.problem(ap.path, "authorization of the service is clients, so this access point changes nothing: the client may call what no DENY access point names, with or without users")
	default:
		return false
	}
	return true
}

// warnOfAbsence warns of conditions that calls meet by leaving something out.
func warnOfAbsence(ap *accessPoint, out *output) {
	for _, c := range ap.spec.When {
		if c.NeedsHTTP() && len(c.Values) == 0 {
			out.problem(ap.path, "the condition on %s has notValues alone, so calls without it meet the condition: add \"*\" to values to demand that it is there", c.Key)
		}
	}
}

// warnOfOthers warns of an ALLOW access point that another one makes moot, or
// the conditions of which it does.
func (p *plan) warnOfOthers(ap *accessPoint, allow, deny []accessPoint, out *output) {
	for _, d := range deny {
		if p.covers(d.spec, ap.spec) {
			out.problem(ap.path, "every call that it allows is denied by access point %s", d.path)
		}
	}
	if len(ap.spec.Users)+len(ap.spec.When) == 0 {
		return
	}
	for _, a := range allow {
		if a.path != ap.path && p.covers(a.spec, ap.spec) {
			out.problem(ap.path, "access point %s allows the same calls without its users and conditions, so these change nothing", a.path)
		}
	}
}

// warnOfEscape warns of a DENY access point for users whose calls are allowed
// without a token too.
func (p *plan) warnOfEscape(ap *accessPoint, allow []accessPoint, out *output) {
	if len(ap.spec.Users) == 0 {
		return
	}
	if len(allow) == 0 || p.spec.Authorization == intent.AuthorizeClients {
		out.problem(ap.path, "its users may call as soon as they show no token: allow the client what it may call with users of its own")
		return
	}
	for _, a := range allow {
		if len(a.spec.Users) == 0 && p.meet(a.spec, ap.spec) {
			out.problem(ap.path, "its users may call what access point %s allows as soon as they show no token: give that one users too", a.path)
		}
	}
}

// covers reports whether an access point is about every call that another is
// about. It may miss some that are told by path templates.
func (p *plan) covers(a, b *intent.AccessPointSpec) bool {
	if len(a.Users)+len(a.When) > 0 {
		return false
	}
	aMethods, aPaths := httpLimits(a)
	bMethods, bPaths := httpLimits(b)
	return fitIn(p.allPorts(b), p.allPorts(a), equal) && fitIn(bMethods, aMethods, equal) && fitIn(bPaths, aPaths, pathWithin)
}

// meet reports whether there may be a call that both access points are about,
// users and conditions aside.
func (p *plan) meet(a, b *intent.AccessPointSpec) bool {
	aMethods, aPaths := httpLimits(a)
	bMethods, bPaths := httpLimits(b)
	return touch(p.allPorts(a), p.allPorts(b), equal) && touch(aMethods, bMethods, equal) &&
		(touch(aPaths, bPaths, pathWithin) || touch(bPaths, aPaths, pathWithin))
}

// allPorts are the workload's ports that an access point names; none is all.
func (p *plan) allPorts(ap *intent.AccessPointSpec) []string {
	ports := p.portsOf(ap)
	return append(ports.http, ports.tcp...)
}

// fitIn reports whether each of some is in one of all; an empty list has no
// limits.
func fitIn(some, all []string, in func(a, b string) bool) bool {
	if len(all) == 0 {
		return true
	}
	outside := func(s string) bool {
		return !slices.ContainsFunc(all, func(a string) bool { return in(s, a) })
	}
	return len(some) > 0 && !slices.ContainsFunc(some, outside)
}

// touch reports whether one of a is in one of b; an empty list has no limits.
func touch(a, b []string, in func(a, b string) bool) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(s string) bool { return fitIn([]string{s}, b, in) })
}

func equal(a, b string) bool { return a == b }

// pathWithin reports whether a path, or each path of a pattern, fits a pattern.
func pathWithin(path, pattern string) bool {
	switch {
	case path == pattern:
		return true
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(path, strings.TrimSuffix(pattern, "*"))
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(path, strings.TrimPrefix(pattern, "*"))
	}
	return false
}
