package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// known is what an istiod has of the types that routes rely on, decoded, by
// namespace/name.
type known struct {
	entries  map[string]*networking.ServiceEntry
	rules    map[string]*networking.DestinationRule
	gateways map[string]*networking.Gateway
	routes   map[string]*networking.VirtualService
}

func (c *mesh) known() *known {
	return &known{
		entries:  specs[networking.ServiceEntry](c, serviceEntries),
		rules:    specs[networking.DestinationRule](c, destinationRules),
		gateways: specs[networking.Gateway](c, gateways),
		routes:   specs[networking.VirtualService](c, virtualServices),
	}
}

func namespaceOf(name string) string {
	namespace, _, _ := strings.Cut(name, "/")
	return namespace
}

// sees reports whether a namespace, "*" for every one, sees what another one
// exports.
func sees(namespace, from string, exportTo []string) bool {
	return len(exportTo) == 0 || slices.Contains(exportTo, "*") || slices.Contains(exportTo, namespace) ||
		from == namespace && slices.Contains(exportTo, ".")
}

// entriesOf are the ServiceEntries by which a namespace knows a host.
func (k *known) entriesOf(namespace, host string) (out []*networking.ServiceEntry) {
	for name, e := range k.entries {
		if slices.Contains(e.Hosts, host) && sees(namespace, namespaceOf(name), e.ExportTo) {
			out = append(out, e)
		}
	}
	return out
}

// rulesOf are the DestinationRules that proxies of a namespace follow for a
// host: their own, before what others export.
func (k *known) rulesOf(namespace, host string) (out []*networking.DestinationRule) {
	var exported []*networking.DestinationRule
	for name, r := range k.rules {
		switch {
		case r.Host != host || !sees(namespace, namespaceOf(name), r.ExportTo):
		case namespaceOf(name) == namespace:
			out = append(out, r)
		default:
			exported = append(exported, r)
		}
	}
	if len(out) == 0 {
		return exported
	}
	return out
}

func hasSubset(rules []*networking.DestinationRule, name string) bool {
	return slices.ContainsFunc(rules, func(r *networking.DestinationRule) bool {
		return slices.ContainsFunc(r.Subsets, func(s *networking.Subset) bool { return s.Name == name })
	})
}

func hasPort(entries []*networking.ServiceEntry, number uint32) bool {
	return slices.ContainsFunc(entries, func(e *networking.ServiceEntry) bool {
		return slices.ContainsFunc(e.Ports, func(p *networking.ServicePort) bool { return p.Number == number })
	})
}

// missing says what of a destination a namespace does not know, or "". What is
// no ServiceEntry's host is a Kubernetes service: it has a rule for all, unless
// it has no mesh.
func (k *known) missing(namespace string, d *networking.Destination) string {
	entries, rules := k.entriesOf(namespace, d.Host), k.rulesOf(namespace, d.Host)
	ofKubernetes := strings.Contains(d.Host, ".svc.") && k.serves(d.Host) || strings.HasPrefix(d.Host, meshless+".")
	switch port := d.GetPort().GetNumber(); {
	case len(entries) == 0 && !ofKubernetes:
		return "host " + d.Host
	case !ofKubernetes && port != 0 && !hasPort(entries, port):
		return fmt.Sprintf("port %d of %s", port, d.Host)
	case d.Subset != "" && !hasSubset(rules, d.Subset):
		return fmt.Sprintf("subset %s of %s", d.Subset, d.Host)
	}
	return ""
}

// serves reports whether a Kubernetes service has a rule for all.
func (k *known) serves(host string) bool {
	for _, r := range k.rules {
		if r.Host == host && len(r.ExportTo) == 0 {
			return true
		}
	}
	return false
}

// lead is a destination, and the namespaces whose proxies are led there.
type lead struct {
	namespaces []string
	to         *networking.Destination
}

// leads lists where a VirtualService leads whom.
func leads(name string, v *networking.VirtualService) (out []lead) {
	all := []string{"*"}
	if len(v.ExportTo) > 0 {
		all = []string{namespaceOf(name)} // "." is all that is made
	}
	add := func(sources []string, to *networking.Destination) {
		if len(sources) == 0 || slices.Contains(sources, "") {
			sources = all
		}
		out = append(out, lead{sources, to})
	}
	for _, r := range v.Http {
		var sources []string
		for _, m := range r.Match {
			sources = append(sources, m.SourceNamespace)
		}
		for _, to := range r.Route {
			add(sources, to.Destination)
		}
		if r.Mirror != nil {
			add(sources, r.Mirror)
		}
	}
	for _, r := range v.Tls {
		for _, to := range r.Route {
			add([]string{r.Match[0].SourceNamespace}, to.Destination)
		}
	}
	for _, r := range v.Tcp {
		var sources []string
		for _, m := range r.Match {
			sources = append(sources, m.SourceNamespace)
		}
		for _, to := range r.Route {
			add(sources, to.Destination)
		}
	}
	return out
}

// judgeIntents holds that every route of an istiod leads to a host, a port and
// a subset that are known where it holds, at a gateway that is there; and that
// who knows a host knows how to call it: one without its DestinationRule would
// be called in plain text.
func judgeIntents(c *mesh, fail failure) {
	c.t.Helper()
	k := c.known()
	for name, v := range k.routes {
		for _, g := range v.Gateways {
			if !strings.Contains(g, "/") {
				g = namespaceOf(name) + "/" + g
			}
			if k.gateways[g] == nil {
				fail("%s names gateway %s, which is not there", name, g)
			}
		}
		for _, l := range leads(name, v) {
			for _, ns := range l.namespaces {
				if what := k.missing(ns, l.to); what != "" {
					fail("%s leads namespace %s to %s, which is not known there", name, ns, what)
				}
			}
		}
	}
	for name, e := range k.entries {
		ns := namespaceOf(name)
		if e.ExportTo[0] != "." {
			ns = e.ExportTo[0]
		}
		if e.Location == networking.ServiceEntry_MESH_INTERNAL && len(k.rulesOf(ns, e.Hosts[0])) == 0 {
			fail("namespace %s knows %s, and no rule for it", ns, e.Hosts[0])
		}
	}
}

// chains are the server names for which a cluster's east-west gateway passes
// connections on, each with its port.
func (k *known) chains() map[string]bool {
	out := map[string]bool{}
	for name, g := range k.gateways {
		for _, s := range g.Servers {
			if s.GetTls().GetMode() != networking.ServerTLSSettings_AUTO_PASSTHROUGH {
				continue
			}
			ns, host := namespaceOf(name), s.Hosts[0]
			for _, number := range []uint32{80, 81, 82, 8080} {
				entries := k.entriesOf(ns, host)
				if len(entries) == 0 && !strings.Contains(host, ".svc.") || len(entries) > 0 && !hasPort(entries, number) {
					continue
				}
				out[fmt.Sprintf("outbound_.%d_._.%s at %d", number, host, s.Port.Number)] = true
				for _, r := range k.rulesOf(ns, host) {
					for _, subset := range r.Subsets {
						out[fmt.Sprintf("outbound_.%d_.%s_.%s at %d", number, subset.Name, host, s.Port.Number)] = true
					}
				}
			}
		}
	}
	return out
}

// unanswered lists what clients of a cluster send to the gateways of others
// that these don't pass on. Gateways are told by their addresses.
func unanswered(k *known, chains map[string]map[string]bool) (out []string) {
	for name, e := range k.entries {
		for _, ep := range e.Endpoints {
			var host int
			if n, _ := fmt.Sscanf(ep.Address, "198.51.100.%d", &host); n == 0 {
				continue
			}
			to := fleetClusters[host/10]
			subsets := []string{""}
			for _, r := range k.rulesOf(namespaceOf(name), e.Hosts[0]) {
				for _, s := range r.Subsets {
					if picks(s, ep) {
						subsets = append(subsets, s.Name)
					}
				}
			}
			for _, p := range e.Ports {
				for _, subset := range subsets {
					sni := fmt.Sprintf("outbound_.%d_.%s_.%s at %d", p.Number, subset, e.Hosts[0], ep.Ports[p.Name])
					if chains[to] != nil && !chains[to][sni] {
						out = append(out, fmt.Sprintf("%s sends %s to %s", name, sni, to))
					}
				}
			}
		}
	}
	return out
}

func picks(s *networking.Subset, ep *networking.WorkloadEntry) bool {
	for key, value := range s.Labels {
		if ep.Labels[key] != value {
			return false
		}
	}
	return true
}

// checkAnswered holds that what the clients of each cluster send to gateways
// is passed on there.
func checkAnswered(t *testing.T, clients []*mesh) (endpoints int) {
	t.Helper()
	chains := map[string]map[string]bool{}
	for _, c := range clients {
		if c.h.views.View(clusterPath(c.cluster)).Delivery != intent.DeliverBundle { // where nothing is ours to say
			chains[c.cluster] = c.known().chains()
		}
	}
	for _, c := range clients {
		k := c.known()
		for _, problem := range unanswered(k, chains) {
			t.Errorf("%s: %s, where it is not answered", c.node, problem)
		}
		for _, e := range k.entries {
			endpoints += len(e.Endpoints)
		}
	}
	return endpoints
}

// TestIntentsMakeBeforeBreak holds for random writes of intents to three
// clusters that no istiod, after any response, has a route to what is not
// there or a host without its rule: plain ones and relays, slow to answer, that
// come and go. And that, when all have caught up, everything that the clients of
// a cluster send to the gateway of another one is answered there.
func TestIntentsMakeBeforeBreak(t *testing.T) {
	accepted := map[intent.Kind]int{}
	endpoints := 0
	for _, seed := range []uint64{1, 2, 3, 4, 5, 6, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 99))
			f := newFleet(t, random)
			h := startHub(t, f.store, func(c *Config) {
				c.HoldFirst = time.Hour // nobody starves who asks for all types
				c.KeepLost = time.Duration(random.IntN(2)) * time.Millisecond
			})
			h.settle(t)
			var clients []*mesh
			for i := range 2 * len(fleetClusters) {
				clients = append(clients, newMesh(t, h, seed, i, fleetClusters[i/2], i%2 == 1, judgeIntents))
			}
			for range 10 {
				for range 60 {
					c := pick(random, clients)
					switch n := random.IntN(40); {
					case n < 8:
						f.step()
					case n < 16:
						h.settle(t)
					case n < 27:
						c.drain()
					case n < 39:
						c.drain()
						c.answer(1 + random.IntN(3))
					default:
						c.connect()
					}
				}
				h.settle(t)
				catchUp(clients)
				endpoints += checkAnswered(t, clients)
			}
			for kind, n := range f.accepted {
				accepted[kind] += n
			}
		})
	}
	if t.Failed() {
		return
	}
	for _, kind := range intent.Kinds {
		if kind != intent.KindIstioResource && accepted[kind] == 0 {
			t.Errorf("no %s was ever written", kind)
		}
	}
	if endpoints == 0 {
		t.Error("nobody ever called another cluster")
	}
}

// catchUp lets clients take and answer everything, until they have what their
// clusters are to have.
func catchUp(clients []*mesh) {
	for _, c := range clients {
		for {
			c.drain()
			c.answer(len(c.unsaid))
			behind := c.behind()
			if len(behind) == 0 {
				break
			}
			c.log = append(c.log, fmt.Sprint("behind in ", behind))
			c.take()
		}
	}
}
