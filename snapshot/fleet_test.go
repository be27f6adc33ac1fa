package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
		first, _ := goldenOf(t, set, cluster)
		if again, _ := goldenOf(t, set, cluster); again != first {
			t.Errorf("cluster %s gets other bytes from the same intents", cluster.Path)
		}
		for _, r := range resources {
			if spec, ok := r.Spec.(*networking.ServiceEntry); ok {
				checkSNIs(t, set, &r, spec)
			}
			if spec, ok := r.Spec.(*networking.Sidecar); ok && strings.HasPrefix(r.Name, namePrefix) {
				checkScope(t, r.Namespace, spec, resources)
			}
		}
	}
}

// checkScope holds that a generated Sidecar is alone in its namespace, and names
// all that is made known to clients there.
func checkScope(t testing.TB, namespace string, spec *networking.Sidecar, resources []Resource) {
	t.Helper()
	for _, r := range resources {
		if r.Namespace != namespace {
			continue
		}
		var hosts []string
		switch other := r.Spec.(type) {
		case *networking.Sidecar:
			if other != spec && other.WorkloadSelector == nil {
				t.Errorf("namespace %s has another Sidecar: %s", namespace, r.Name)
			}
		case *networking.ServiceEntry:
			hosts = other.Hosts
		case *networking.VirtualService:
			hosts = other.Hosts
		}
		forGateway := !slices.ContainsFunc(r.Origins, func(p intent.Path) bool { return p.Kind() != intent.KindInbound })
		for _, host := range hosts {
			if !forGateway && !slices.Contains(spec.Egress[0].Hosts, "./"+host) {
				t.Errorf("the Sidecar of namespace %s hides %s of %s %s", namespace, host, r.Type.Kind, r.Name)
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
		for name, port := range ep.Ports { // only gateways' endpoints have ports
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
					len(spec.Endpoints[0].Ports) == 0 && spec.Endpoints[0].Labels["security.istio.io/tlsMode"] == "istio" &&
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
