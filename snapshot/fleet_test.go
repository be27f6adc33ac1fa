package snapshot

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// checkFleet holds what must be true of every fleet: Istio accepts each
// object, no two objects of a cluster share a name, the same Set gives the same
// bytes, each object names its makers, and every SNI that a client sends is
// accepted by the gateway that it reaches.
func checkFleet(t testing.TB, set *intent.Set) {
	t.Helper()
	for cluster := range set.List(intent.KindCluster, "") {
		resources, _ := generated(set, cluster)
		keys := map[string]bool{}
		for i := range resources {
			r := &resources[i]
			key := fmt.Sprintf("%s %s/%s", r.Type.Kind, r.Namespace, r.Name)
			if keys[key] {
				t.Errorf("%s on %s is made twice", key, cluster.Path)
			}
			keys[key] = true
			if err := check(r); err != nil {
				t.Errorf("%s on %s: Istio refuses it: %v", key, cluster.Path, err)
			}
			if r.Labels[managedByLabel] != managedBy || r.Annotations[intentsAnnotation] == "" || len(r.Origins) == 0 || (r.Namespace == "") != (r.Type.ID == Namespace) || r.CreatedAt.IsZero() {
				t.Errorf("%s on %s does not say whose it is: %+v", key, cluster.Path, r)
			}
		}
		checkIngress(t, resources)
		first, _ := goldenOf(t, set, cluster)
		if again, _ := goldenOf(t, set, cluster); again != first {
			t.Errorf("cluster %s gets other bytes from the same intents", cluster.Path)
		}
		for _, r := range resources {
			switch spec := r.Spec.(type) {
			case *networking.ServiceEntry:
				if set.Get(r.Origins[0]).Kind() == intent.KindOutbound {
					checkOutside(t, set, resources, &r, spec)
				} else {
					checkSNIs(t, set, resources, &r, spec)
				}
			case *networking.VirtualService:
				if !strings.HasPrefix(r.Name, namePrefix) {
					continue // where a raw one leads is its author's business
				}
				checkDestinations(t, cluster, resources, &r, spec)
			case *networking.Sidecar:
				if strings.HasPrefix(r.Name, namePrefix) {
					checkScope(t, r.Namespace, spec, resources)
				}
			}
			if in := set.Get(r.Origins[0].Inbound()); in != nil {
				checkInbound(t, in.Spec.(*intent.InboundSpec), &r)
			}
		}
	}
}

// checkInbound holds that a service without a mesh gets nothing of Istio's,
// and that a NetworkPolicy opens what it names alone.
func checkInbound(t testing.TB, spec *intent.InboundSpec, r *Resource) {
	t.Helper()
	if !spec.InMesh() && r.Type.OverXDS() {
		t.Errorf("%s %s is Istio's, for a service without a mesh", r.Type.Kind, r.Name)
	}
	if r.Type.ID == NetworkPolicy {
		checkNetworkPolicy(t, r)
	}
}

// checkNetworkPolicy holds that no rule opens more than it names: one without
// peers would let in everybody, one without ports would open them all.
func checkNetworkPolicy(t testing.TB, r *Resource) {
	t.Helper()
	spec := r.Spec.(*structpb.Struct).AsMap()["spec"].(map[string]any)
	if types := spec["policyTypes"]; !reflect.DeepEqual(types, []any{"Ingress"}) {
		t.Errorf("%s has the policy types %v", r.Name, types)
	}
	if selector, _ := spec["podSelector"].(map[string]any); selector["matchLabels"] == nil {
		t.Errorf("%s selects every pod", r.Name)
	}
	rules, _ := spec["ingress"].([]any)
	for _, rule := range rules {
		fields := rule.(map[string]any)
		if from, _ := fields["from"].([]any); len(from) == 0 {
			t.Errorf("%s lets in everybody: %v", r.Name, rule)
		}
		ports, _ := fields["ports"].([]any)
		if len(ports) == 0 {
			t.Errorf("%s opens every port: %v", r.Name, rule)
		}
		for _, port := range ports {
			if port := port.(map[string]any); port["port"] == nil || port["protocol"] == nil {
				t.Errorf("%s opens every port or protocol: %v", r.Name, port)
			}
		}
	}
}

// checkScope holds that a generated Sidecar is alone in its namespace, and names
// all that is made known to clients there.
func checkScope(t testing.TB, namespace string, spec *networking.Sidecar, resources []Resource) {
	t.Helper()
	for _, r := range resources {
		var hosts, exportTo []string
		switch other := r.Spec.(type) {
		case *networking.Sidecar:
			if r.Namespace == namespace && other != spec && other.WorkloadSelector == nil {
				t.Errorf("namespace %s has another Sidecar: %s", namespace, r.Name)
			}
		case *networking.ServiceEntry:
			hosts, exportTo = other.Hosts, other.ExportTo
		case *networking.VirtualService:
			hosts, exportTo = other.Hosts, other.ExportTo
		}
		if !slices.Contains(seers(r.Namespace, exportTo), namespace) {
			continue
		}
		at := "*/"
		if r.Namespace == namespace {
			at = "./"
		}
		forClients := slices.ContainsFunc(r.Origins, func(p intent.Path) bool {
			return slices.Contains([]intent.Kind{intent.KindClient, intent.KindOutbound, intent.KindIstioResource}, p.Kind())
		})
		for _, host := range hosts {
			named := slices.Contains(spec.Egress[0].Hosts, at+host) || slices.Contains(spec.Egress[0].Hosts, "*/"+host)
			if forClients && !named && !strings.HasSuffix(host, ".egress.meshwright") {
				t.Errorf("the Sidecar of namespace %s hides %s of %s %s", namespace, host, r.Type.Kind, r.Name)
			}
		}
	}
}

// checkSNIs holds that every gateway among a ServiceEntry's endpoints accepts
// what a client sends it, for each subset that picks the endpoint: that the
// server cluster's Gateway of that port lets the host through, and that the
// gateway sees the host, port, subset and an endpoint of it that takes mutual
// TLS.
func checkSNIs(t testing.TB, set *intent.Set, resources []Resource, entry *Resource, spec *networking.ServiceEntry) {
	t.Helper()
	subsets := []*networking.Subset{{}}
	for _, ns := range seers(entry.Namespace, spec.ExportTo) {
		if rule := ruleSeen(resources, ns, spec.Hosts[0]); rule != nil {
			subsets = append(subsets, rule.Subsets...)
		}
	}
	for _, ep := range spec.Endpoints {
		if isLocal(ep) {
			continue
		}
		for name, port := range ep.Ports {
			server := clusterAt(set, ep.Address)
			if server == nil {
				t.Errorf("%s: no cluster's gateway has address %s", entry.Name, ep.Address)
				continue
			}
			number := spec.Ports[slices.IndexFunc(spec.Ports, func(p *networking.ServicePort) bool { return p.Name == name })].Number
			for _, subset := range subsets {
				if picks(subset, ep) && !accepts(set, server, spec.Hosts[0], subset.Name, number, port) {
					t.Errorf("cluster %s does not accept outbound_.%d_.%s_.%s at %s:%d", server.Path, number, subset.Name, spec.Hosts[0], ep.Address, port)
				}
			}
		}
	}
}

func picks(subset *networking.Subset, ep *networking.WorkloadEntry) bool {
	for key, value := range subset.Labels {
		if ep.Labels[key] != value {
			return false
		}
	}
	return true
}

// seers are the namespaces that see an object; "*" is all.
func seers(namespace string, exportTo []string) []string {
	if len(exportTo) == 0 {
		return []string{"*"}
	}
	out := slices.Clone(exportTo)
	for i, ns := range out {
		if ns == "." {
			out[i] = namespace
		}
	}
	return out
}

func sees(namespace, from string, exportTo []string) bool {
	all := seers(from, exportTo)
	return slices.Contains(all, "*") || slices.Contains(all, namespace)
}

// ruleSeen is the DestinationRule for a host that proxies of a namespace
// follow.
func ruleSeen(resources []Resource, namespace, host string) *networking.DestinationRule {
	for _, r := range resources {
		if rule, ok := r.Spec.(*networking.DestinationRule); ok && rule.Host == host && sees(namespace, r.Namespace, rule.ExportTo) {
			return rule
		}
	}
	return nil
}

func entrySeen(resources []Resource, namespace, host string) *networking.ServiceEntry {
	for _, r := range resources {
		if entry, ok := r.Spec.(*networking.ServiceEntry); ok && slices.Contains(entry.Hosts, host) && sees(namespace, r.Namespace, entry.ExportTo) {
			return entry
		}
	}
	return nil
}

// checkDestinations holds that proxies know each host and subset to which a
// VirtualService leads them, with an endpoint that the subset picks, and that
// weights sum to 100.
func checkDestinations(t testing.TB, cluster *intent.Object, resources []Resource, r *Resource, spec *networking.VirtualService) {
	t.Helper()
	check := func(namespaces []string, d *networking.Destination) {
		for _, ns := range namespaces {
			rule, entry := ruleSeen(resources, ns, d.Host), entrySeen(resources, ns, d.Host)
			subset := -1
			if rule != nil {
				subset = slices.IndexFunc(rule.Subsets, func(s *networking.Subset) bool { return s.Name == d.Subset })
			}
			switch {
			case entry == nil && (rule == nil || len(rule.ExportTo) > 0): // a rule for all is the Kubernetes service's
				t.Errorf("%s on %s leads namespace %s to %s, which it does not know", r.Name, cluster.Path, ns, d.Host)
			case d.Subset == "":
			case subset < 0:
				t.Errorf("%s on %s leads namespace %s to the unknown subset %q of %s", r.Name, cluster.Path, ns, d.Subset, d.Host)
			case entry != nil && entry.WorkloadSelector == nil &&
				!slices.ContainsFunc(entry.Endpoints, func(ep *networking.WorkloadEntry) bool { return picks(rule.Subsets[subset], ep) }):
				t.Errorf("%s on %s: subset %s of %s picks no endpoint", r.Name, cluster.Path, d.Subset, d.Host)
			}
		}
	}
	weigh := func(weights []int32) {
		sum := int32(0)
		for _, w := range weights {
			sum += w
		}
		if len(weights) > 1 && sum != 100 {
			t.Errorf("%s on %s: weights %v don't sum to 100", r.Name, cluster.Path, weights)
		}
	}
	all := seers(r.Namespace, spec.ExportTo)
	for _, route := range spec.Http {
		namespaces := []string{}
		for _, m := range route.Match {
			namespaces = append(namespaces, m.SourceNamespace)
		}
		namespaces = limited(namespaces, all)
		weights := []int32{}
		for _, to := range route.Route {
			check(namespaces, to.Destination)
			weights = append(weights, to.Weight)
		}
		if weigh(weights); route.Mirror != nil {
			check(namespaces, route.Mirror)
		}
	}
	connections := func(source string, to []*networking.RouteDestination) {
		weights := []int32{}
		for _, d := range to {
			check(limited([]string{source}, all), d.Destination)
			weights = append(weights, d.Weight)
		}
		weigh(weights)
	}
	for _, route := range spec.Tls {
		connections(route.Match[0].SourceNamespace, route.Route)
	}
	for _, route := range spec.Tcp {
		source := ""
		if len(route.Match) > 0 {
			source = route.Match[0].SourceNamespace
		}
		connections(source, route.Route)
	}
}

// limited are the namespaces for which a route's matches hold.
func limited(sources, all []string) []string {
	if slices.Contains(sources, "") || len(sources) == 0 {
		return all
	}
	return sources
}

// isLocal tells the service itself from a gateway that leads to it.
func isLocal(ep *networking.WorkloadEntry) bool { return strings.Contains(ep.Address, ".svc.") }

func clusterAt(set *intent.Set, address string) *intent.Object {
	for cluster := range set.List(intent.KindCluster, "") {
		for _, gateways := range [][]intent.Gateway{cluster.Spec.(*intent.ClusterSpec).Gateways, cluster.LastGateways} {
			for _, g := range gateways {
				if slices.Contains(g.Addresses, address) {
					return cluster
				}
			}
		}
	}
	return nil
}

func accepts(set *intent.Set, server *intent.Object, host, subset string, number, gatewayPort uint32) bool {
	resources, _ := generated(set, server)
	for _, r := range resources {
		gateway, ok := r.Spec.(*networking.Gateway)
		if !ok || gateway.Servers[0].Hosts[0] != host || gateway.Servers[0].Port.Number != gatewayPort {
			continue
		}
		rule, entry := ruleSeen(resources, r.Namespace, host), entrySeen(resources, r.Namespace, host)
		if rule == nil || subset != "" && !slices.ContainsFunc(rule.Subsets, func(s *networking.Subset) bool { return s.Name == subset }) {
			continue
		}
		if entry == nil && len(rule.ExportTo) == 0 {
			return true // the Kubernetes service itself, known everywhere
		}
		if entry == nil || !slices.ContainsFunc(entry.Ports, func(p *networking.ServicePort) bool { return p.Number == number }) {
			continue
		}
		inwards := len(entry.Endpoints) == 1 && isLocal(entry.Endpoints[0]) && entry.Endpoints[0].Labels["security.istio.io/tlsMode"] == "istio"
		if inwards || entry.WorkloadSelector != nil && selectsAlone(resources, host) {
			return true
		}
	}
	return false
}

// selectsAlone holds that the entry that selects pods is the only one for its
// host in its namespace: istiod joins the endpoints of all.
func selectsAlone(resources []Resource, host string) bool {
	namespaces := map[string]int{}
	selecting := ""
	for _, r := range resources {
		if entry, ok := r.Spec.(*networking.ServiceEntry); ok && entry.Hosts[0] == host {
			if namespaces[r.Namespace]++; entry.WorkloadSelector != nil {
				selecting = r.Namespace
			}
		}
	}
	return namespaces[selecting] == 1
}
