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
			if r.Labels[managedByLabel] != managedBy || r.Annotations[intentsAnnotation] == "" || len(r.Origins) == 0 || r.Namespace == "" || r.CreatedAt.IsZero() {
				t.Errorf("%s on %s does not say whose it is: %+v", key, cluster.Path, r)
			}
		}
		first, _ := goldenOf(t, set, cluster)
		if again, _ := goldenOf(t, set, cluster); again != first {
			t.Errorf("cluster %s gets other bytes from the same intents", cluster.Path)
		}
		for _, r := range resources {
			if spec, ok := r.Spec.(*networking.ServiceEntry); ok {
				checkSNIs(t, set, &r, spec)
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

// checkSNIs holds that every gateway among a ServiceEntry's endpoints accepts
// what a client sends it: that the server cluster's Gateway of that port lets
// the host through, and that the gateway's namespace knows the host, port and
// an endpoint of it that takes mutual TLS.
func checkSNIs(t testing.TB, set *intent.Set, entry *Resource, spec *networking.ServiceEntry) {
	t.Helper()
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
			if !accepts(set, server, spec.Hosts[0], number, port) {
				t.Errorf("cluster %s does not accept outbound_.%d_._.%s at %s:%d", server.Path, number, spec.Hosts[0], ep.Address, port)
			}
		}
	}
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

func accepts(set *intent.Set, server *intent.Object, host string, number, gatewayPort uint32) bool {
	resources, _ := generated(set, server)
	for _, r := range resources {
		gateway, ok := r.Spec.(*networking.Gateway)
		if !ok || gateway.Servers[0].Hosts[0] != host || gateway.Servers[0].Port.Number != gatewayPort {
			continue
		}
		for _, other := range resources {
			switch spec := other.Spec.(type) {
			case *networking.ServiceEntry:
				if other.Namespace == r.Namespace && spec.Hosts[0] == host && len(spec.Endpoints) == 1 &&
					isLocal(spec.Endpoints[0]) && spec.Endpoints[0].Labels["security.istio.io/tlsMode"] == "istio" &&
					slices.ContainsFunc(spec.Ports, func(p *networking.ServicePort) bool { return p.Number == number }) {
					return true
				}
			case *networking.DestinationRule:
				if spec.Host == host && len(spec.ExportTo) == 0 {
					return true // the Kubernetes service itself, known everywhere
				}
			}
		}
	}
	return false
}
