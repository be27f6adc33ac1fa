package snapshot

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	apitype "istio.io/api/type/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// checkReferences holds that what a cluster's objects name is there: hosts,
// ports, subsets, gateways, workloads and secrets.
func (w *world) checkReferences(t testing.TB, cluster *intent.Object) {
	t.Helper()
	dangling := func(r *Resource, format string, args ...any) {
		t.Helper()
		t.Errorf("%s on %s: "+format, append([]any{nameOf(r), cluster.Path}, args...)...)
	}
	for r, spec := range made[*networking.VirtualService](w, cluster.Path) {
		w.checkRoutes(cluster.Path, r, spec, dangling)
	}
	for r, spec := range made[*networking.DestinationRule](w, cluster.Path) {
		if !w.knows(cluster.Path, r.Namespace, spec.Host, 0) && !isKubernetesName(spec.Host) {
			dangling(r, "nobody knows its host %s there", spec.Host)
		}
		for _, name := range credentialsOf(spec) {
			w.checkSecret(cluster.Path, r, name, dangling)
		}
	}
	for r, spec := range made[*networking.Gateway](w, cluster.Path) {
		if !w.isGateway(cluster, r.Namespace, spec.Selector) {
			dangling(r, "no gateway of the cluster is selected by %v", spec.Selector)
		}
		for _, s := range spec.Servers {
			w.checkSecret(cluster.Path, r, s.GetTls().GetCredentialName(), dangling)
		}
	}
	for r, spec := range made[*security.AuthorizationPolicy](w, cluster.Path) {
		w.checkSelector(cluster, r, spec.Selector, dangling)
	}
	for r, spec := range made[*security.RequestAuthentication](w, cluster.Path) {
		w.checkSelector(cluster, r, spec.Selector, dangling)
	}
	for r, spec := range made[*security.PeerAuthentication](w, cluster.Path) {
		w.checkSelector(cluster, r, spec.Selector, dangling)
	}
	for r, spec := range made[*structpb.Struct](w, cluster.Path) {
		w.checkParents(cluster.Path, r, spec, dangling)
	}
}

type danglingFunc func(r *Resource, format string, args ...any)

// checkRoutes holds that a VirtualService stands for names that are called, at
// gateways that are there, and leads to services that are known.
func (w *world) checkRoutes(cluster intent.Path, r *Resource, spec *networking.VirtualService, dangling danglingFunc) {
	inMesh := len(spec.Gateways) == 0
	for _, g := range spec.Gateways {
		namespace, name, ok := strings.Cut(g, "/")
		if !ok {
			namespace, name = r.Namespace, g
		}
		inMesh = inMesh || g == "mesh"
		if g != "mesh" && !w.has(cluster, Gateway, namespace, name) {
			dangling(r, "there is no Gateway %s", g)
		}
	}
	for _, h := range spec.Hosts {
		if inMesh && !strings.HasPrefix(h, "*") && !w.knows(cluster, r.Namespace, h, 0) && !isKubernetesName(h) && !w.isShort(cluster, h) {
			dangling(r, "nobody calls %s", h)
		}
	}
	if inMesh {
		return // where it leads each namespace is checkDestinations' to judge
	}
	for _, d := range destinationsOf(spec) {
		if !w.knows(cluster, r.Namespace, d.Host, d.GetPort().GetNumber()) {
			dangling(r, "it leads to %s port %d, which is not known there", d.Host, d.GetPort().GetNumber())
		}
		rule := w.rule(cluster, r.Namespace, d.Host)
		if d.Subset != "" && !slices.ContainsFunc(rule.GetSubsets(), func(s *networking.Subset) bool { return s.Name == d.Subset }) {
			dangling(r, "it leads to %s subset %s, which no DestinationRule there has", d.Host, d.Subset)
		}
	}
}

// isShort reports whether a host is a shorter form of the Kubernetes name of a
// service that runs there, as callers may write it into TLS.
func (w *world) isShort(cluster intent.Path, host string) bool {
	return slices.ContainsFunc(w.services[cluster], func(name string) bool { return strings.HasPrefix(name, host+".") })
}

func destinationsOf(spec *networking.VirtualService) []*networking.Destination {
	var out []*networking.Destination
	for _, route := range spec.Http {
		for _, d := range route.Route {
			out = append(out, d.Destination)
		}
		for _, m := range route.Mirrors {
			out = append(out, m.Destination)
		}
		if route.Mirror != nil {
			out = append(out, route.Mirror)
		}
	}
	for _, route := range spec.Tls {
		for _, d := range route.Route {
			out = append(out, d.Destination)
		}
	}
	for _, route := range spec.Tcp {
		for _, d := range route.Route {
			out = append(out, d.Destination)
		}
	}
	return out
}

// checkSelector holds that a policy is for the workload of the intent that
// made it, or for a gateway of the cluster, and for no other.
func (w *world) checkSelector(cluster *intent.Object, r *Resource, selector *apitype.WorkloadSelector, dangling danglingFunc) {
	labels := selector.GetMatchLabels()
	if w.isGateway(cluster, r.Namespace, labels) {
		return
	}
	for _, origin := range r.Origins {
		var label string
		switch spec := w.set.Get(origin).Spec.(type) {
		case *intent.InboundSpec:
			label = spec.AppLabel
		case *intent.OutboundSpec:
			label = spec.AppLabel
		}
		key, value := intent.SplitLabel(label)
		if key != "" && maps.Equal(labels, map[string]string{key: value}) && r.Namespace == w.set.Namespace(origin) {
			return
		}
	}
	dangling(r, "its selector %v is not that of its intent's workload", labels)
}

// isGateway reports whether labels in a namespace select a gateway that the
// cluster has or had.
func (w *world) isGateway(cluster *intent.Object, namespace string, labels map[string]string) bool {
	of := func(g intent.Gateway) bool { return g.Namespace == namespace && maps.Equal(g.Selector, labels) }
	return slices.ContainsFunc(cluster.Spec.(*intent.ClusterSpec).Gateways, of) || slices.ContainsFunc(cluster.LastGateways, of)
}

// checkSecret holds that a generated secret which is named is there. Others
// are their owners' to make.
func (w *world) checkSecret(cluster intent.Path, r *Resource, name string, dangling danglingFunc) {
	if strings.HasPrefix(name, namePrefix) && !w.has(cluster, Secret, r.Namespace, name) {
		dangling(r, "there is no Secret %s beside it", name)
	}
}

func credentialsOf(rule *networking.DestinationRule) []string {
	policies := []*networking.TrafficPolicy{rule.TrafficPolicy}
	for _, s := range rule.Subsets {
		policies = append(policies, s.TrafficPolicy)
	}
	var out []string
	for _, p := range policies {
		out = append(out, p.GetTls().GetCredentialName())
		for _, port := range p.GetPortLevelSettings() {
			out = append(out, port.GetTls().GetCredentialName())
		}
	}
	return out
}

// checkParents holds that the gateways which a route of the Gateway API hangs
// on are there, and the Secrets that a gateway of it names.
func (w *world) checkParents(cluster intent.Path, r *Resource, spec *structpb.Struct, dangling danglingFunc) {
	content, _ := spec.AsMap()["spec"].(map[string]any)
	parents, _ := content["parentRefs"].([]any)
	for _, p := range parents {
		ref, _ := p.(map[string]any)
		if kind, given := ref["kind"]; given && kind != "Gateway" {
			continue
		}
		if !w.has(cluster, KubernetesGateway, namespaceOf(r, ref), ref["name"].(string)) {
			dangling(r, "there is no Gateway %v", ref)
		}
	}
	listeners, _ := content["listeners"].([]any)
	for _, l := range listeners {
		tls, _ := l.(map[string]any)["tls"].(map[string]any)
		refs, _ := tls["certificateRefs"].([]any)
		for _, c := range refs {
			ref, _ := c.(map[string]any)
			name, _ := ref["name"].(string)
			if strings.HasPrefix(name, namePrefix) && !w.has(cluster, Secret, namespaceOf(r, ref), name) {
				dangling(r, "there is no Secret %v", ref)
			}
		}
	}
}

// namespaceOf is the namespace of a reference of the Gateway API.
func namespaceOf(r *Resource, ref map[string]any) string {
	if namespace, ok := ref["namespace"].(string); ok {
		return namespace
	}
	return r.Namespace
}

func (w *world) has(cluster intent.Path, id TypeID, namespace, name string) bool {
	return slices.ContainsFunc(w.on[cluster], func(r Resource) bool {
		return r.Type.ID == id && r.Namespace == namespace && r.Name == name
	})
}

// knows reports whether proxies in a namespace know a host, and a port of it
// unless that is 0.
func (w *world) knows(cluster intent.Path, namespace, host string, port uint32) bool {
	if slices.Contains(w.services[cluster], host) {
		return true
	}
	for _, g := range w.set.Get(cluster).Spec.(*intent.ClusterSpec).Gateways {
		if strings.HasPrefix(host, g.Name+"."+g.Namespace+".svc.") {
			return true // its own Service
		}
	}
	entry := w.entry(cluster, namespace, host)
	return entry != nil && (port == 0 || portName(entry, port) != "")
}

// entry is the ServiceEntry by which a namespace knows a host, or nil.
func (w *world) entry(cluster intent.Path, namespace, host string) *networking.ServiceEntry {
	for r, spec := range made[*networking.ServiceEntry](w, cluster) {
		if slices.Contains(spec.Hosts, host) && visible(r.Namespace, spec.ExportTo, namespace) {
			return spec
		}
	}
	return nil
}

// rule is the DestinationRule that proxies of a namespace follow for a host,
// or nil: one of their own, before what others export.
func (w *world) rule(cluster intent.Path, namespace, host string) *networking.DestinationRule {
	var exported *networking.DestinationRule
	for r, spec := range made[*networking.DestinationRule](w, cluster) {
		switch {
		case spec.Host != host || spec.WorkloadSelector != nil:
		case r.Namespace == namespace:
			return spec
		case visible(r.Namespace, spec.ExportTo, namespace):
			exported = spec
		}
	}
	return exported
}

func visible(from string, exportTo []string, to string) bool {
	return len(exportTo) == 0 || slices.Contains(exportTo, "*") || slices.Contains(exportTo, to) ||
		from == to && slices.Contains(exportTo, ".")
}

// isKubernetesName reports whether a host is a Kubernetes service's name. The
// old name of a service may be called without being known: see
// [plan.oldNameEntry].
func isKubernetesName(host string) bool { return strings.Contains(host, ".svc.") }
