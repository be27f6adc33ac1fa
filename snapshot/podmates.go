package snapshot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// Inbounds of one namespace whose services have the same pods are pod mates.
// Istio knows policies by the pods alone: it adds up the AuthorizationPolicies
// of all mates, and of their PeerAuthentications takes the oldest. So each
// inbound's policies speak of its own ports where it has mates, and all mates
// make the same of mutual TLS.

// matesOn lists the pod mates of an inbound that run on a cluster.
func matesOn(set *intent.Set, inbound *intent.Object, cluster intent.Path) []*intent.Object {
	var out []*intent.Object
	for mate := range set.PodMates(inbound) {
		if slices.Contains(set.ServerClusters(mate), cluster) {
			out = append(out, mate)
		}
	}
	return out
}

// ownPorts are the pods' ports that are the service's.
func (p *plan) ownPorts() []string { return targetPorts(p.ports) }

// matesPorts are the pods' ports that are a mate's and not the service's.
func (p *plan) matesPorts() []string {
	var out []string
	for _, mate := range p.mates {
		out = append(out, targetPorts(mate.Spec.(*intent.InboundSpec).AllPorts())...)
	}
	own := p.ownPorts()
	return slices.DeleteFunc(sortedUnique(out), func(port string) bool { return slices.Contains(own, port) })
}

func targetPorts(ports []intent.ServicePort) []string {
	var out []string
	for _, port := range ports {
		out = append(out, strconv.Itoa(targetPort(port)))
	}
	return sortedUnique(out)
}

// keptOwn keeps what a client may, or may not, do off the ports of the
// inbound's mates. An ALLOW is for the service's own ports, and for those that
// it names and no mate has; a DENY is for all but the mates'. Nothing changes
// without mates.
func (p *plan) keptOwn(action security.AuthorizationPolicy_Action, c *client, scopes []scope, out *output) []scope {
	foreign := p.matesPorts()
	if len(p.mates) == 0 || action == security.AuthorizationPolicy_DENY && len(foreign) == 0 {
		return scopes
	}
	var kept []scope
	for _, s := range scopes {
		if len(s.to) == 0 {
			s.to = []*security.Rule_To{{Operation: &security.Operation{}}}
		}
		var to []*security.Rule_To
		for _, t := range s.to {
			if op := p.keptFrom(foreign, action, t.Operation); op != nil {
				to = append(to, &security.Rule_To{Operation: op})
			} else {
				out.problem(c.path, "its access points name ports %s of the pods, which are those of %s: they say nothing there", strings.Join(t.Operation.Ports, ", "), pathNames(p.mates))
			}
		}
		if s.to = to; len(to) > 0 {
			kept = append(kept, s)
		}
	}
	return kept
}

// keptFrom is an operation without foreign ports, or nil when it names no
// others.
func (p *plan) keptFrom(foreign []string, action security.AuthorizationPolicy_Action, op *security.Operation) *security.Operation {
	kept := &security.Operation{Methods: op.Methods, Paths: op.Paths, Ports: op.Ports, NotPorts: op.NotPorts}
	switch {
	case len(op.Ports) > 0:
		kept.Ports = slices.DeleteFunc(slices.Clone(op.Ports), func(port string) bool { return slices.Contains(foreign, port) })
		if len(kept.Ports) == 0 {
			return nil
		}
	case action == security.AuthorizationPolicy_ALLOW:
		kept.Ports = p.ownPorts()
	default:
		kept.NotPorts = sortedUnique(slices.Concat(op.NotPorts, foreign))
	}
	return kept
}

func pathNames(objects []*intent.Object) string {
	var names []string
	for _, o := range objects {
		names = append(names, string(o.Path))
	}
	return strings.Join(names, ", ")
}

// mutualTLS says what the serving pods demand: mutual TLS alone, or plain text
// too; and, where pod mates differ, the ports at which plain text is taken. All
// mates make the same of it, so it does not matter whose policy Istio takes. A
// port at which one of them wants mutual TLS takes nothing else, nor does one
// that is nobody's. The origins are the mates that had a say.
func (p *plan) mutualTLS(out *output) (spec *security.PeerAuthentication, origins []intent.Path) {
	const strict, permissive = security.PeerAuthentication_MutualTLS_STRICT, security.PeerAuthentication_MutualTLS_PERMISSIVE
	closed, open := []string{}, []string{}
	for _, o := range append([]*intent.Object{p.inbound}, p.mates...) {
		said := o.Spec.(*intent.InboundSpec)
		if !said.Proxied() {
			continue
		}
		origins = append(origins, o.Path)
		if ports := targetPorts(said.AllPorts()); said.TLSMode() == intent.TLSMutual {
			closed = append(closed, ports...)
		} else {
			open = append(open, ports...)
		}
	}
	spec = &security.PeerAuthentication{Selector: p.workload(), Mtls: &security.PeerAuthentication_MutualTLS{Mode: strict}}
	if len(closed) == 0 {
		spec.Mtls.Mode = permissive
		return spec, origins
	}
	for _, port := range open {
		number, _ := strconv.Atoi(port) // written by targetPorts
		if !slices.Contains(closed, port) {
			if spec.PortLevelMtls == nil {
				spec.PortLevelMtls = map[uint32]*security.PeerAuthentication_MutualTLS{}
			}
			spec.PortLevelMtls[uint32(number)] = &security.PeerAuthentication_MutualTLS{Mode: permissive}
		} else if p.spec.TLSMode() != intent.TLSMutual && slices.Contains(p.ownPorts(), port) {
			out.problem(p.inbound.Path, "port %s of its pods takes mutual TLS only: an inbound intent of the same pods and port asks for it", port)
		}
	}
	return spec, origins
}

// podMateWarnings tell of what inbounds with the same pods do to each other.
func podMateWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	spec := inbound.Spec.(*intent.InboundSpec)
	servers := set.ServerClusters(inbound)
	var out []Problem
	for mate := range set.PodMates(inbound) {
		theirs := mate.Spec.(*intent.InboundSpec)
		together := slices.ContainsFunc(set.ServerClusters(mate), func(c intent.Path) bool { return slices.Contains(servers, c) })
		if !together || !spec.Proxied() || !theirs.Proxied() {
			continue
		}
		limits, limited := enforced(set, inbound), enforced(set, mate)
		shared := slices.DeleteFunc(targetPorts(spec.AllPorts()), func(port string) bool {
			return !slices.Contains(targetPorts(theirs.AllPorts()), port)
		})
		if limits && limited && len(shared) > 0 {
			out = append(out, Problem{inbound.Path, fmt.Sprintf("%s has the same pods (namespace and appLabel) and their ports %s: there, whom either lets in may call, and whom either denies may not", mate.Path, strings.Join(shared, ", "))})
		}
		if !limits && limited {
			out = append(out, Problem{inbound.Path, fmt.Sprintf("%s has the same pods (namespace and appLabel) and limits who may call them: calls of this service are refused until it declares its clients and their access points, too", mate.Path)})
		}
	}
	return out
}
