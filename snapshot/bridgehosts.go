package snapshot

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
)

// knownHosts are the hosts that ServiceEntries make known, to whom.
type knownHosts struct {
	to    map[string][]*hostsEntry // by the namespace that knows it, "*" for all, and the host
	at    map[string][]*hostsEntry // by the namespace where the entry stands, and the host
	order []*hostsEntry
}

// hostsEntry is a ServiceEntry of the newer set.
type hostsEntry struct {
	object *Object
	spec   *networking.ServiceEntry
	grown  bool
}

func (k *knownHosts) add(o *Object) {
	e := &hostsEntry{object: o, spec: specOf[*networking.ServiceEntry](o)}
	k.order = append(k.order, e)
	for _, host := range e.spec.Hosts {
		k.at[o.Namespace+"/"+host] = append(k.at[o.Namespace+"/"+host], e)
		for _, seer := range seersOf(o.Namespace, e.spec.ExportTo) {
			k.to[seer+"/"+host] = append(k.to[seer+"/"+host], e)
		}
	}
}

// by lists the entries by which a namespace knows a host.
func (k *knownHosts) by(seer, host string) []*hostsEntry {
	if seer == "*" {
		return k.to["*/"+host]
	}
	return slices.Concat(k.to[seer+"/"+host], k.to["*/"+host])
}

// lostHosts keeps, for each namespace that knew them, the hosts of
// ServiceEntries and their ports. A host by which another entry is known there
// now is not lost; a port that this entry lacks is added to it.
func lostHosts(old, next *TypeSet) (kept []replacement) {
	names := next.differing(old)
	now := &knownHosts{to: map[string][]*hostsEntry{}, at: map[string][]*hostsEntry{}}
	for _, name := range names {
		if o := next.Get(name); o != nil {
			now.add(o)
		}
	}
	for _, name := range names {
		o := old.Get(name)
		if o == nil {
			continue
		}
		spec := specOf[*networking.ServiceEntry](o)
		if leadsNowhere(spec) {
			continue
		}
		seers := seersOf(o.Namespace, spec.ExportTo)
		hosts := slices.DeleteFunc(slices.Clone(spec.Hosts), func(host string) bool {
			lost := slices.ContainsFunc(seers, func(seer string) bool { return len(now.by(seer, host)) == 0 })
			if !lost {
				now.lend(o, spec, seers, host)
			}
			return !lost
		})
		if len(hosts) == 0 {
			continue
		}
		namespace := now.room(o.Namespace, seers, hosts)
		if next.Get(name) == nil && len(hosts) == len(spec.Hosts) && namespace == o.Namespace {
			kept = append(kept, replacement{new: o})
			continue
		}
		if namespace != o.Namespace {
			spec.ExportTo = seers
		}
		spec.Hosts = hosts
		kept = append(kept, replacement{new: beside(o, namespace, spec)})
	}
	for _, e := range now.order {
		if e.grown {
			kept = append(kept, replacement{old: e.object, new: remade(e.object, e.object.Namespace, e.object.Name, e.spec)})
		}
	}
	return kept
}

// leadsNowhere reports whether an entry has no endpoints of its own: no route
// leads to its hosts, they are led elsewhere (see [plan.oldNameEntry]). It would
// hide the Kubernetes service of the name where that comes to run.
func leadsNowhere(e *networking.ServiceEntry) bool {
	return e.Resolution == networking.ServiceEntry_STATIC && len(e.Endpoints) == 0 && e.WorkloadSelector == nil
}

// room is the namespace where a lost entry may stand: its own, unless another
// entry for one of its hosts stands there now, made for other namespaces. The
// endpoints of a host in one namespace are joined, whoever may see them, so
// that a gateway would send calls out again.
func (k *knownHosts) room(namespace string, seers, hosts []string) string {
	others := func(in string) (all []*hostsEntry) {
		for _, host := range hosts {
			all = append(all, k.at[in+"/"+host]...)
		}
		return all
	}
	candidates := append([]string{namespace}, seers...)
	for _, e := range others(namespace) {
		candidates = append(candidates, seersOf(e.object.Namespace, e.spec.ExportTo)...)
	}
	for _, candidate := range candidates {
		if candidate != "*" && len(others(candidate)) == 0 {
			return candidate
		}
	}
	return namespace
}

// lend adds the ports that a host had to the entry that has the object's name
// now or, if no entry by which namespaces know the host has them, to the first.
func (k *knownHosts) lend(o *Object, from *networking.ServiceEntry, seers []string, host string) {
	for _, seer := range seers {
		heirs := k.by(seer, host)
		if i := slices.IndexFunc(heirs, func(e *hostsEntry) bool { return e.object.FullName() == o.FullName() }); i >= 0 {
			heirs = heirs[i : i+1]
		}
		for _, port := range from.Ports {
			if !slices.ContainsFunc(heirs, func(e *hostsEntry) bool { return portAt(e.spec, port.Number) != nil }) {
				lendPort(heirs[0].spec, from, port)
				heirs[0].grown = true
			}
		}
	}
}

// lendPort adds a port of one entry to another, which leads it where it led
// before: an endpoint that both have to the same port of it, one that is new to
// the port to which it leads all others, if it does.
func lendPort(to, from *networking.ServiceEntry, port *networking.ServicePort) {
	lent := proto.Clone(port).(*networking.ServicePort)
	if slices.ContainsFunc(to.Ports, func(p *networking.ServicePort) bool { return p.Name == lent.Name }) {
		lent.Name = fmt.Sprint("was-", lent.Number)
	}
	if to.WorkloadSelector == nil && from.WorkloadSelector != nil {
		lent.TargetPort = 0 // it was the pods'
	}
	for _, ep := range to.Endpoints {
		target := onlyTarget(ep)
		if i := slices.IndexFunc(from.Endpoints, func(was *networking.WorkloadEntry) bool { return was.Address == ep.Address }); i >= 0 {
			target = from.Endpoints[i].Ports[port.Name]
		}
		if target == 0 {
			continue
		}
		if ep.Ports == nil {
			ep.Ports = map[string]uint32{}
		}
		ep.Ports[lent.Name] = target
	}
	to.Ports = append(to.Ports, lent)
}

// onlyTarget is the port to which an endpoint leads all that it names, or 0.
func onlyTarget(ep *networking.WorkloadEntry) (target uint32) {
	for _, t := range ep.Ports {
		if target != 0 && t != target {
			return 0
		}
		target = t
	}
	return target
}

func portAt(e *networking.ServiceEntry, number uint32) *networking.ServicePort {
	for _, p := range e.Ports {
		if p.Number == number {
			return p
		}
	}
	return nil
}

// seersOf are the namespaces that see what stands in one; "*" is all.
func seersOf(namespace string, exportTo []string) []string {
	if len(exportTo) == 0 {
		return []string{"*"}
	}
	out := slices.Clone(exportTo)
	for i, ns := range out {
		if ns == "." {
			out[i] = namespace
		}
	}
	return sortedUnique(out)
}
