package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// world is a consistent configuration: each route names a host, a subset and a
// gateway that are there, and each host has a policy for its workloads.
type world struct {
	random *rand.Rand
	docs   map[string]string // spec by kind/name: what is stored

	entries map[string][]string // hosts
	rules   map[string][]string // subsets, by host
	ruleIn  map[string]string   // the object that has a host's rule
	routes  map[string][3]string
	gates   map[string]bool
	guards  map[string]string // the policy of each host
}

func newWorld(random *rand.Rand) *world {
	return &world{
		random: random, docs: map[string]string{},
		entries: map[string][]string{}, rules: map[string][]string{}, ruleIn: map[string]string{},
		routes: map[string][3]string{}, gates: map[string]bool{}, guards: map[string]string{},
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (w *world) hosts() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.entries)) {
		out = append(out, w.entries[name]...)
	}
	return out
}

// step changes what there is, then leads routes that lost their target
// elsewhere.
func (w *world) step() {
	r := w.random
	for range 1 + r.IntN(4) {
		switch r.IntN(7) {
		case 0, 1: // an entry comes, goes, or changes hosts
			name := fmt.Sprint("e", r.IntN(3))
			delete(w.entries, name)
			taken := w.hosts()
			for h := range 6 {
				host := fmt.Sprintf("h%d.x", h)
				if r.IntN(3) == 0 && !slices.Contains(taken, host) {
					w.entries[name] = append(w.entries[name], host)
				}
			}
		case 2, 3: // a rule changes subsets, object, or goes
			host := fmt.Sprintf("h%d.x", r.IntN(6))
			delete(w.rules, host)
			for v := range 4 {
				if r.IntN(2) == 0 {
					w.rules[host] = append(w.rules[host], fmt.Sprint("v", v))
				}
			}
			w.ruleIn[host] = fmt.Sprintf("d%d-%s", r.IntN(2), strings.TrimSuffix(host, ".x"))
		case 4:
			gate := fmt.Sprint("g", r.IntN(3))
			w.gates[gate] = !w.gates[gate]
		case 5: // a policy is renamed
			host := fmt.Sprintf("h%d.x", r.IntN(6))
			w.guards[host] = fmt.Sprintf("p%d-%s", r.IntN(2), strings.TrimSuffix(host, ".x"))
		case 6:
			w.routes[fmt.Sprint("r", r.IntN(4))] = [3]string{"?"}
		}
	}
	w.lead()
}

func (w *world) lead() {
	hosts := w.hosts()
	for name, to := range w.routes {
		if !slices.Contains(hosts, to[0]) || to[1] != "" && !slices.Contains(w.rules[to[0]], to[1]) || to[2] != "" && !w.gates[to[2]] {
			delete(w.routes, name)
		}
	}
	for i := range 4 {
		name := fmt.Sprint("r", i)
		if _, ok := w.routes[name]; ok || len(hosts) == 0 || w.random.IntN(5) == 0 {
			continue
		}
		to := [3]string{pick(w.random, hosts)}
		if subsets := w.rules[to[0]]; len(subsets) > 0 {
			to[1] = pick(w.random, subsets)
		}
		for _, gate := range slices.Sorted(maps.Keys(w.gates)) {
			if w.gates[gate] {
				to[2] = gate
			}
		}
		w.routes[name] = to
	}
}

// write returns the operations that make the store what the world is.
func (w *world) write(t testing.TB, clusters ...string) (ops []intent.Op) {
	docs := map[string]string{}
	for name, hosts := range w.entries {
		if len(hosts) > 0 {
			docs["ServiceEntry/"+name] = fmt.Sprintf(`{"hosts":["%s"],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`, strings.Join(hosts, `","`))
		}
		for _, host := range hosts {
			guard := w.guards[host]
			if guard == "" {
				guard = "p0-" + strings.TrimSuffix(host, ".x")
			}
			docs["AuthorizationPolicy/"+guard] = fmt.Sprintf(`{"selector":{"matchLabels":{"app":%q}}}`, host)
		}
	}
	for host, subsets := range w.rules {
		var list []string
		for _, s := range subsets {
			list = append(list, fmt.Sprintf(`{"name":%q,"labels":{"version":%q}}`, s, s))
		}
		docs["DestinationRule/"+w.ruleIn[host]] = fmt.Sprintf(`{"host":%q,"subsets":[%s]}`, host, strings.Join(list, ","))
	}
	for name, there := range w.gates {
		if there {
			docs["Gateway/"+name] = `{"servers":[{"port":{"number":80,"name":"http","protocol":"HTTP"},"hosts":["*"]}]}`
		}
	}
	for name, to := range w.routes {
		gate := to[2]
		if gate == "" {
			gate = "mesh"
		}
		docs["VirtualService/"+name] = fmt.Sprintf(`{"hosts":["%s.y"],"gateways":[%q],"http":[{"route":[{"destination":{"host":%q,"subset":%q}}]}]}`, name, gate, to[0], to[1])
	}
	for _, key := range slices.Sorted(maps.Keys(w.docs)) {
		if _, ok := docs[key]; !ok {
			_, name, _ := strings.Cut(key, "/")
			ops = append(ops, remove(resourcePath(name)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(docs)) {
		if docs[key] == w.docs[key] {
			continue
		}
		kind, name, _ := strings.Cut(key, "/")
		group := "networking.istio.io/v1"
		if kind == "AuthorizationPolicy" {
			group = "security.istio.io/v1"
		}
		ops = append(ops, resourceOf(t, group, kind, name, docs[key], clusters...))
	}
	w.docs = docs
	return ops
}
