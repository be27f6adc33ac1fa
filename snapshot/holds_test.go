package snapshot

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// checkFleet holds what must be true of every fleet, a golden's or a random
// one: Istio accepts each object, no two objects of a cluster share a name, the
// same Set gives the same bytes, each object names its makers, nothing refers
// to what is not there, and every SNI that a client sends is accepted by the
// gateway that it reaches.
func checkFleet(t testing.TB, set *intent.Set) {
	t.Helper()
	w := generatedWorld(set)
	for cluster := range set.List(intent.KindCluster, "") {
		w.checkObjects(t, cluster)
		w.checkSNIs(t, cluster)
		w.checkReferences(t, cluster)
		w.checkMeaning(t, cluster)
	}
}

// world is what each cluster of a fleet gets.
type world struct {
	set      *intent.Set
	on       map[intent.Path][]Resource
	services map[intent.Path][]string // Kubernetes names of the inbound services that run there
	gateways map[string]reachable     // east-west, by address
}

// reachable is a gateway as the clients of other clusters reach it.
type reachable struct {
	cluster *intent.Object
	gateway intent.Gateway
}

func generatedWorld(set *intent.Set) *world {
	w := &world{set: set, on: map[intent.Path][]Resource{}, services: map[intent.Path][]string{}, gateways: map[string]reachable{}}
	for in := range set.List(intent.KindInbound, "") {
		for _, cluster := range set.ServerClusters(in) {
			domain := set.Get(cluster).Spec.(*intent.ClusterSpec).ClusterDomain
			name := in.Spec.(*intent.InboundSpec).ServiceName + "." + set.Namespace(in.Path) + ".svc." + domain
			w.services[cluster] = append(w.services[cluster], name)
		}
	}
	for cluster := range set.List(intent.KindCluster, "") {
		w.on[cluster.Path], _ = generated(set, cluster)
		for _, gateways := range [][]intent.Gateway{cluster.LastGateways, cluster.Spec.(*intent.ClusterSpec).Gateways} {
			for _, g := range gateways {
				for _, address := range g.Addresses {
					if g.Role == intent.EastWest {
						w.gateways[address] = reachable{cluster, g}
					}
				}
			}
		}
	}
	return w
}

// made yields a cluster's generated objects of one spec, each with that: not
// the Istio resources, whose authors answer for them.
func made[S any](w *world, cluster intent.Path) func(yield func(*Resource, S) bool) {
	return func(yield func(*Resource, S) bool) {
		for i := range w.on[cluster] {
			r := &w.on[cluster][i]
			spec, ok := r.Spec.(S)
			if ok && r.Origins[0].Kind() != intent.KindIstioResource && !yield(r, spec) {
				return
			}
		}
	}
}

// checkObjects holds what is true of each object by itself.
func (w *world) checkObjects(t testing.TB, cluster *intent.Object) {
	t.Helper()
	again, _ := generated(w.set, cluster)
	if len(again) != len(w.on[cluster.Path]) {
		t.Fatalf("%s gets %d objects, then %d, from the same intents", cluster.Path, len(w.on[cluster.Path]), len(again))
	}
	keys := map[string]bool{}
	for i := range again {
		r := &w.on[cluster.Path][i]
		key := nameOf(r)
		if keys[key] {
			t.Errorf("%s on %s is made twice", key, cluster.Path)
		}
		keys[key] = true
		if err := check(r); err != nil {
			t.Errorf("%s on %s: Istio refuses it: %v", key, cluster.Path, err)
		}
		placed := (r.Namespace == "") == (r.Type.ID == Namespace)
		if r.Labels[managedByLabel] != managedBy || r.Annotations[intentsAnnotation] == "" || len(r.Origins) == 0 || !placed || r.CreatedAt.IsZero() {
			t.Errorf("%s on %s does not say whose it is: %+v", key, cluster.Path, r)
		}
		for _, origin := range r.Origins {
			if w.set.Get(origin) == nil {
				t.Errorf("%s on %s is of %s, which does not exist", key, cluster.Path, origin)
			}
		}
		if !bytes.Equal(encoded(t, r), encoded(t, &again[i])) {
			t.Errorf("%s on %s has other bytes from the same intents", key, cluster.Path)
		}
	}
}

func nameOf(r *Resource) string {
	return fmt.Sprintf("%s %s %s/%s", r.Type.Group, r.Type.Kind, r.Namespace, r.Name)
}

func encoded(t testing.TB, r *Resource) []byte {
	t.Helper()
	o, err := newObject(r)
	if err != nil {
		t.Fatal(err)
	}
	return o.entry
}

// An sni is what a client's proxy asks an east-west gateway for.
type sni struct {
	port   uint32
	subset string
	host   string
}

func (s sni) String() string { return fmt.Sprintf("outbound_.%d_.%s_.%s", s.port, s.subset, s.host) }

// checkSNIs holds that every gateway among a ServiceEntry's endpoints accepts
// what callers send it: for each port and each subset of the DestinationRule
// beside the entry. Nothing but mutual TLS may be sent there.
func (w *world) checkSNIs(t testing.TB, cluster *intent.Object) {
	t.Helper()
	for r, entry := range made[*networking.ServiceEntry](w, cluster.Path) {
		if entry.Location != networking.ServiceEntry_MESH_INTERNAL {
			continue
		}
		for _, host := range entry.Hosts {
			rule := w.rule(cluster.Path, r.Namespace, host)
			for _, ep := range entry.Endpoints {
				to, known := w.gateways[ep.Address]
				switch {
				case isKubernetesName(ep.Address) || len(ep.Ports) == 0: // instances of this cluster
					continue
				case !known:
					t.Errorf("%s on %s: no east-west gateway has address %s", nameOf(r), cluster.Path, ep.Address)
					continue
				case to.cluster.Path == cluster.Path:
					t.Errorf("%s on %s: calls would leave and come back in", nameOf(r), cluster.Path)
				}
				if why := sendsOtherThanMutual(rule); why != "" {
					t.Errorf("%s on %s sends a gateway what it can't pass on: %s", nameOf(r), cluster.Path, why)
				}
				for _, sent := range w.sent(entry, host, rule, ep) {
					if why := w.refuses(to, sent, ep.Ports[portName(entry, sent.port)]); why != "" {
						t.Errorf("%s on %s sends %s to %s: %s", nameOf(r), cluster.Path, sent, to.cluster.Path, why)
					}
				}
			}
		}
	}
	w.checkStatedSNIs(t, cluster)
}

// sent lists the SNIs that an endpoint may see.
func (w *world) sent(entry *networking.ServiceEntry, host string, rule *networking.DestinationRule, ep *networking.WorkloadEntry) []sni {
	var out []sni
	for _, port := range entry.Ports {
		out = append(out, sni{port.Number, "", host})
		for _, s := range rule.GetSubsets() {
			if contains(ep.Labels, s.Labels) {
				out = append(out, sni{port.Number, s.Name, host})
			}
		}
	}
	return out
}

// checkStatedSNIs holds that an SNI which a DestinationRule states is one that
// callers in its namespace send anyway, so that the check above judges it.
func (w *world) checkStatedSNIs(t testing.TB, cluster *intent.Object) {
	t.Helper()
	for r, rule := range made[*networking.DestinationRule](w, cluster.Path) {
		for _, p := range rule.GetTrafficPolicy().GetPortLevelSettings() {
			stated := p.GetTls().GetSni()
			if !strings.HasPrefix(stated, "outbound_.") {
				continue
			}
			host := stated[strings.LastIndex(stated, "_.")+len("_."):]
			entry := w.entry(cluster.Path, r.Namespace, host)
			if entry == nil || stated != (sni{p.Port.Number, "", host}).String() || portName(entry, p.Port.Number) == "" {
				t.Errorf("%s on %s states the SNI %s, which nobody takes", nameOf(r), cluster.Path, stated)
			}
		}
	}
}

func sendsOtherThanMutual(rule *networking.DestinationRule) string {
	policies := []*networking.TrafficPolicy{rule.GetTrafficPolicy()}
	if rule.GetTrafficPolicy().GetTls() == nil {
		return "no DestinationRule asks for mutual TLS"
	}
	for _, s := range rule.Subsets {
		policies = append(policies, s.TrafficPolicy)
	}
	for _, p := range policies {
		tls := []*networking.ClientTLSSettings{p.GetTls()}
		for _, port := range p.GetPortLevelSettings() {
			tls = append(tls, port.Tls)
		}
		for _, setting := range tls {
			if setting != nil && (setting.Mode != networking.ClientTLSSettings_ISTIO_MUTUAL || setting.Sni != "") {
				return fmt.Sprint("its DestinationRule says ", setting)
			}
		}
	}
	return ""
}

// refuses says why a gateway does not pass on an SNI that comes in at a port,
// or "" when it does: when a Gateway of it lets the host through, and the
// gateway's namespace knows host, port and subset and an instance of them that
// takes mutual TLS.
func (w *world) refuses(to reachable, sent sni, port uint32) string {
	open := false
	for r, gateway := range made[*networking.Gateway](w, to.cluster.Path) {
		for _, s := range gateway.Servers {
			open = open || r.Namespace == to.gateway.Namespace && maps.Equal(gateway.Selector, to.gateway.Selector) &&
				s.Port.Number == port && s.GetTls().GetMode() == networking.ServerTLSSettings_AUTO_PASSTHROUGH && exposes(s.Hosts, sent.host)
		}
	}
	if !open {
		return fmt.Sprintf("no Gateway lets it in at port %d", port)
	}
	rule := w.rule(to.cluster.Path, to.gateway.Namespace, sent.host)
	at := slices.IndexFunc(rule.GetSubsets(), func(s *networking.Subset) bool { return s.Name == sent.subset })
	if sent.subset != "" && at < 0 {
		return "the DestinationRule beside the gateway has no such subset"
	}
	if slices.Contains(w.services[to.cluster.Path], sent.host) {
		return "" // the Kubernetes service itself, known everywhere
	}
	entry := w.entry(to.cluster.Path, to.gateway.Namespace, sent.host)
	if entry == nil || portName(entry, sent.port) == "" {
		return "the gateway's namespace does not know the host and port"
	}
	if entry.WorkloadSelector != nil {
		if !selectsAlone(w.on[to.cluster.Path], sent.host) {
			return "istiod would join the pods with the endpoints of another entry beside it"
		}
		return ""
	}
	inside := false
	for _, ep := range entry.Endpoints {
		if _, out := w.gateways[ep.Address]; out || !isKubernetesName(ep.Address) {
			return "the gateway would send it out again, to " + ep.Address
		}
		inside = inside || ep.Labels["security.istio.io/tlsMode"] == "istio" && (at < 0 || contains(ep.Labels, rule.Subsets[at].Labels))
	}
	if !inside {
		return "the gateway knows no instance that takes mutual TLS"
	}
	return ""
}

// exposes reports whether the hosts of a Gateway's server, each perhaps after
// a namespace, include one.
func exposes(hosts []string, host string) bool {
	return slices.ContainsFunc(hosts, func(h string) bool {
		if i := strings.IndexByte(h, '/'); i >= 0 {
			h = h[i+1:]
		}
		return h == host
	})
}

// contains reports whether labels hold all that are wanted.
func contains(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func portName(entry *networking.ServiceEntry, number uint32) string {
	for _, p := range entry.Ports {
		if p.Number == number {
			return p.Name
		}
	}
	return ""
}
