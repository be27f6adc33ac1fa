package snapshot

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// checkMeaning holds what each kind of intent promises of the objects that it
// makes.
func (w *world) checkMeaning(t testing.TB, cluster *intent.Object) {
	t.Helper()
	resources := w.on[cluster.Path]
	checkIngress(t, resources)
	for r, spec := range made[*networking.ServiceEntry](w, cluster.Path) {
		if w.set.Get(r.Origins[0]).Kind() == intent.KindOutbound {
			checkOutside(t, w.set, resources, r, spec)
		}
	}
	for r, spec := range made[*networking.VirtualService](w, cluster.Path) {
		checkDestinations(t, cluster, w.services[cluster.Path], resources, r, spec)
	}
	for r, spec := range made[*networking.Sidecar](w, cluster.Path) {
		checkScope(t, r.Namespace, spec, resources)
	}
	for i := range resources {
		if in := w.set.Get(resources[i].Origins[0].Inbound()); in != nil {
			checkInbound(t, in.Spec.(*intent.InboundSpec), &resources[i])
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

// checkDestinations holds that proxies know each host and subset to which a
// VirtualService leads them, with an endpoint that the subset picks, and that
// weights sum to 100.
func checkDestinations(t testing.TB, cluster *intent.Object, services []string, resources []Resource, r *Resource, spec *networking.VirtualService) {
	t.Helper()
	check := func(namespaces []string, d *networking.Destination) {
		for _, ns := range namespaces {
			rule, entry := ruleSeen(resources, ns, d.Host), entrySeen(resources, ns, d.Host)
			subset := -1
			if rule != nil {
				subset = slices.IndexFunc(rule.Subsets, func(s *networking.Subset) bool { return s.Name == d.Subset })
			}
			switch {
			case entry == nil && slices.Contains(services, d.Host) && d.Subset == "": // a Kubernetes service, in the mesh or not
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

// limited are the namespaces for which a route's matches hold.
func limited(sources, all []string) []string {
	if slices.Contains(sources, "") || len(sources) == 0 {
		return all
	}
	return sources
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
