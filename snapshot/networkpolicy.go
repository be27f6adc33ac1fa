package snapshot

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshwright/meshwright/intent"
)

// networkPolicies say who may open connections to a serving workload that has
// no proxy beside it, and to which of the service's ports: what
// [authorizationPolicies] say where there is one, as far as the network can
// hold it. A client is known by its namespace and the label of its pods where
// it runs on this cluster, and by its CIDRs.
//
// Nothing is open that no intent opens. Without a mesh, authorization "open"
// lets in every pod of the cluster and the clients' CIDRs; else declared
// clients alone come in, and with none of them nobody does. Beside a mesh there
// is a policy where clients would be held to what they may call.
//
// A policy closes what it does not open, for every service of the same pods. So
// it opens, to every pod of the cluster, the ports of those that have no policy
// of their own: a proxy guards them, or nobody does.
func networkPolicies(p *plan, out *output) {
	if !p.serves || !policed(p.set, p.inbound) {
		return
	}
	if p.spec.InMesh() {
		out.problem(p.inbound.Path, "NOT ENFORCED BY IDENTITY: with management.sidecarProxy no, nothing beside the service knows who calls. A NetworkPolicy in the cluster's bundle limits calls to the declared clients' namespaces, pods and CIDRs, by port alone, where the network of the cluster enforces it")
	}
	spec := networkingv1.NetworkPolicySpec{
		PodSelector: podSelector(p.spec.AppLabel),
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
	}
	origins := []intent.Path{}
	var callers []networkCaller
	for _, c := range p.clients {
		callers = append(callers, p.networkCaller(&c, out))
		origins = append(origins, c.path)
		for _, ap := range c.points {
			origins = append(origins, ap.path)
		}
	}
	if p.spec.Authorization == intent.AuthorizeOpen {
		callers = append([]networkCaller{{peers: anyPod(), allowed: p.ports}}, callers...)
	}
	for i := range callers {
		spec.Ingress = append(spec.Ingress, rulesFor(callers, i)...)
	}
	if g := p.record.Gateway(intent.Ingress); g != nil && p.spec.ExternalSupport {
		// Clients outside the mesh come through it, and it knows who they are.
		pods := metav1.LabelSelector{MatchLabels: g.Selector}
		from := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: namespace(g.Namespace), PodSelector: &pods}}
		spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: from, Ports: policyPorts(p.ports, nil)})
	}
	mates, ports := p.unpolicedMates()
	if len(ports) > 0 {
		spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: anyPod(), Ports: ports})
		origins = append(origins, mates...)
	}
	object := kubernetesSpec(&networkingv1.NetworkPolicy{Spec: spec})
	out.resources = append(out.resources, p.resource(NetworkPolicy, p.namespace, p.inbound.Path, roleMain, object, origins...))
}

// unpolicedMates finds the inbounds that share the service's pods here and have
// no policy of their own, and which ports of theirs no policy guards.
func (p *plan) unpolicedMates() (mates []intent.Path, ports []networkingv1.NetworkPolicyPort) {
	guarded := slices.Clone(p.ports)
	var theirs []intent.ServicePort
	for mate := range p.set.PodMates(p.inbound) {
		switch {
		case !slices.Contains(p.set.ServerClusters(mate), p.cluster.Path):
		case policed(p.set, mate):
			guarded = append(guarded, mate.Spec.(*intent.InboundSpec).AllPorts()...)
		default:
			theirs = append(theirs, mate.Spec.(*intent.InboundSpec).AllPorts()...)
			mates = append(mates, mate.Path)
		}
	}
	return mates, policyPorts(theirs, guarded)
}

// policed reports whether an inbound has a NetworkPolicy where it is served.
func policed(set *intent.Set, inbound *intent.Object) bool {
	spec := inbound.Spec.(*intent.InboundSpec)
	return !spec.Proxied() && (!spec.InMesh() || enforced(set, inbound))
}

// anyPod is every pod of the cluster.
func anyPod() []networkingv1.NetworkPolicyPeer {
	return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
}

// networkCaller is a client as the network knows it.
type networkCaller struct {
	peers   []networkingv1.NetworkPolicyPeer
	allowed []intent.ServicePort
	denied  []intent.ServicePort
}

func (p *plan) networkCaller(c *client, out *output) networkCaller {
	allow, deny := c.split()
	n := networkCaller{allowed: p.ports}
	switch {
	case p.spec.Authorization == intent.AuthorizeOpen:
		deny = nil // as it is beside a proxy: nothing is held
	case p.spec.Authorization == intent.AuthorizeAccessPoints && p.enforced() && (len(allow) > 0 || len(c.points) == 0):
		n.allowed = nil
		for _, ap := range allow {
			n.allowed = append(n.allowed, p.openedBy(ap, out)...)
		}
	}
	for _, ap := range deny {
		n.denied = append(n.denied, p.closedBy(ap, out)...)
	}
	if slices.Contains(c.clusters, p.cluster.Path) && p.spec.Authorization != intent.AuthorizeOpen {
		pods := podSelector(c.spec.AppLabel)
		for _, ns := range c.namespaces {
			n.peers = append(n.peers, networkingv1.NetworkPolicyPeer{
				NamespaceSelector: namespace(ns), PodSelector: &pods,
			})
		}
	}
	for _, cidr := range sortedUnique(c.spec.CIDRs) {
		n.peers = append(n.peers, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	elsewhere := func(on intent.Path) bool { return !slices.Contains(p.set.ServerClusters(p.inbound), on) }
	if !p.spec.InMesh() && len(c.spec.CIDRs) == 0 && slices.ContainsFunc(c.clusters, elsewhere) {
		out.problem(c.path, "it calls from other clusters too, which without a mesh is known by address alone, and is refused: give the cidrs that its calls come from")
	}
	return n
}

// openedBy are the ports that an ALLOW access point opens. What a proxy alone
// could read (methods, paths, tokens) is not widened silently: such an access
// point opens the ports that it names, and none if it names none.
func (p *plan) openedBy(ap accessPoint, out *output) []intent.ServicePort {
	ports := p.namedPorts(ap, out)
	methods, paths := httpLimits(ap.spec)
	switch {
	case len(ap.spec.Users)+len(ap.spec.When) > 0:
		out.problem(ap.path, "users and when mean nothing without a proxy beside the service, so this access point allows nothing")
		return nil
	case len(methods)+len(paths) == 0 && len(ap.spec.Ports) == 0:
		return p.ports
	case len(methods)+len(paths) == 0:
		return ports
	case len(ap.spec.Ports) == 0:
		out.problem(ap.path, "methods and paths mean nothing without a proxy beside the service, so this access point allows nothing: give ports, or no more than * for url and access")
		return nil
	}
	out.problem(ap.path, "methods and paths mean nothing without a proxy beside the service: on ports %s every call is allowed", portWords(ports))
	return ports
}

// closedBy are the ports that a DENY access point closes: whole, whatever it
// says of methods, paths and tokens.
func (p *plan) closedBy(ap accessPoint, out *output) []intent.ServicePort {
	ports := p.namedPorts(ap, out)
	if len(ap.spec.Ports) == 0 {
		ports = p.ports
	}
	methods, paths := httpLimits(ap.spec)
	if len(methods)+len(paths)+len(ap.spec.Users)+len(ap.spec.When) > 0 {
		out.problem(ap.path, "methods, paths, users and when mean nothing without a proxy beside the service: on ports %s every call is denied", portWords(ports))
	}
	return ports
}

// namedPorts are the service's ports that an access point names, by their own
// numbers or the pods'.
func (p *plan) namedPorts(ap accessPoint, out *output) []intent.ServicePort {
	var ports []intent.ServicePort
	for _, number := range ap.spec.Ports {
		before := len(ports)
		for _, port := range p.ports {
			if port.Port == number || targetPort(port) == number {
				ports = append(ports, port)
			}
		}
		if len(ports) == before {
			out.problem(ap.path, "port %d is none of the service's, and without a proxy beside the service it means nothing", number)
		}
	}
	return ports
}

// rulesFor are the rules that let the i-th caller in: by each of its peers to
// its ports, less those that are denied to whoever may hide behind that peer.
// Policies only ever add up, so a denial has to be taken from all of them.
func rulesFor(callers []networkCaller, i int) []networkingv1.NetworkPolicyIngressRule {
	var rules []networkingv1.NetworkPolicyIngressRule
	for _, peer := range callers[i].peers {
		var denied []intent.ServicePort
		for _, other := range callers {
			if slices.ContainsFunc(other.peers, func(o networkingv1.NetworkPolicyPeer) bool { return overlap(peer, o) }) {
				denied = append(denied, other.denied...)
			}
		}
		ports := policyPorts(callers[i].allowed, denied)
		last := len(rules) - 1
		switch {
		case len(ports) == 0: // a rule without ports would open them all
		case last >= 0 && reflect.DeepEqual(rules[last].Ports, ports):
			rules[last].From = append(rules[last].From, peer)
		default:
			rules = append(rules, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports})
		}
	}
	return rules
}

// overlap reports whether a caller may be both peers.
func overlap(a, b networkingv1.NetworkPolicyPeer) bool {
	if a.IPBlock == nil || b.IPBlock == nil {
		return reflect.DeepEqual(a, b)
	}
	one, err := netip.ParsePrefix(a.IPBlock.CIDR)
	other, err2 := netip.ParsePrefix(b.IPBlock.CIDR)
	return err == nil && err2 == nil && one.Overlaps(other)
}

// policyPorts are the pods' ports behind those allowed and not denied, each
// once.
func policyPorts(allowed, denied []intent.ServicePort) []networkingv1.NetworkPolicyPort {
	key := func(p intent.ServicePort) string { return fmt.Sprintf("%s %05d", transport(p), targetPort(p)) }
	closed := map[string]bool{}
	for _, port := range denied {
		closed[key(port)] = true
	}
	open := slices.SortedFunc(slices.Values(allowed), func(a, b intent.ServicePort) int { return strings.Compare(key(a), key(b)) })
	var out []networkingv1.NetworkPolicyPort
	for _, port := range open {
		if !closed[key(port)] {
			closed[key(port)] = true
			out = append(out, networkingv1.NetworkPolicyPort{Protocol: ptr(transport(port)), Port: ptr(intstr.FromInt32(int32(targetPort(port))))})
		}
	}
	return out
}

// namespace selects one by its name, which Kubernetes makes a label of it.
func namespace(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": name}}
}

// podSelector selects the pods that bear an appLabel.
func podSelector(appLabel string) metav1.LabelSelector {
	key, value := intent.SplitLabel(appLabel)
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}
