package snapshot

import (
	"crypto/sha256"
	"slices"
	"strings"
	"weak"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
)

// bridgePrefix begins the names of objects that stand in a bridge beside the
// object that they were part of.
const bridgePrefix = namePrefix + "was-"

// Bridge is the set to send before t to a client whose other objects may still
// rely on what old has: t, and beside it what old has and t lacks. It is t
// itself when nothing is lost.
//
//   - ServiceEntry: a host that is gone stays, with the object that had it, or
//     beside the object that has other hosts now.
//   - DestinationRule: a rule that is gone, or is for another host now, stays;
//     a rule that lost subsets has them still.
//   - Gateway: one that is gone stays.
//   - PeerAuthentication, RequestAuthentication, AuthorizationPolicy: one that
//     is gone, or is for other workloads now, stays if nothing of its kind and
//     action is left for the workloads that it was for: without it they would
//     be open. Where another is left, its end is a restriction or a permission
//     that somebody waits for. But a DENY always stays: no other does what it
//     does.
//   - Nothing relies on other types.
//
// A bridge to t from a bridge to t is the same bridge. Bridges are shared as
// all sets are, and remembered for as long as somebody has them. The work
// follows the difference of the sets when t or old came from the other, or
// from a bridge to it.
func (t *TypeSet) Bridge(old *TypeSet) *TypeSet {
	if old == nil || old == t || lost[t.Type.ID] == nil {
		return t
	}
	t.bridging.Lock()
	defer t.bridging.Unlock()
	if known := t.bridges[old.version].Value(); known != nil {
		return known
	}
	b := t
	if kept := lost[t.Type.ID](old, t); len(kept) > 0 {
		b = t.sets.over(t, kept)
	}
	if t.bridges == nil || len(t.bridges) == maxBridges {
		t.bridges = map[string]weak.Pointer[TypeSet]{}
	}
	t.bridges[old.version] = weak.Make(b)
	return b
}

// maxBridges bounds what a set remembers: streams that lag differently come
// from different sets.
const maxBridges = 8

// lost works out, by type, what must be added to a set, or changed in it, so
// that it provides what an older one does.
var lost = [typeCount]func(old, next *TypeSet) []replacement{
	ServiceEntry:          lostHosts,
	DestinationRule:       lostSubsets,
	Gateway:               lostNames,
	PeerAuthentication:    lostGuards,
	RequestAuthentication: lostGuards,
	AuthorizationPolicy:   lostGuards,
}

// lostNames keeps the objects that are gone.
func lostNames(old, next *TypeSet) (kept []replacement) {
	for _, name := range next.differing(old) {
		if next.Get(name) == nil {
			kept = append(kept, replacement{new: old.Get(name)})
		}
	}
	return kept
}

// lostGuards keeps the security objects that are gone, or for other workloads
// now, and were the last of their kind for theirs.
func lostGuards(old, next *TypeSet) (kept []replacement) {
	for _, name := range next.differing(old) {
		was, now := old.Get(name), next.Get(name)
		if was == nil || now != nil && now.workloads == was.workloads {
			continue
		}
		if next.guards(was.Namespace, was.workloads) && !strings.HasPrefix(was.workloads, denying) {
			continue
		}
		if now != nil {
			spec, err := was.Spec()
			if err != nil {
				panic(err) // we encoded it
			}
			was = beside(was, spec)
		}
		kept = append(kept, replacement{new: was})
	}
	return kept
}

// denying begins what workloadsOf says of a policy that denies.
var denying = security.AuthorizationPolicy_DENY.String() + "\x00"

// guards reports whether an object of a namespace is for some workloads.
func (t *TypeSet) guards(namespace, workloads string) (found bool) {
	t.objects.Ascend(namespace+"/", func(_ string, o *Object) bool {
		found = o.Namespace == namespace && o.workloads == workloads
		return o.Namespace == namespace && !found
	})
	return found
}

// workloadsOf says which workloads of its namespace a security object is for,
// and what an AuthorizationPolicy does with calls to them: two that are for the
// same have the same text.
func workloadsOf(spec proto.Message) string {
	var parts []proto.Message
	action := ""
	add := func(m proto.Message) { parts = append(parts, m) }
	switch s := spec.(type) {
	case *security.PeerAuthentication:
		add(s.Selector)
	case *security.RequestAuthentication:
		add(s.Selector)
		add(s.TargetRef)
		for _, ref := range s.TargetRefs {
			add(ref)
		}
	case *security.AuthorizationPolicy:
		action = s.Action.String() + "\x00"
		add(s.Selector)
		add(s.TargetRef)
		for _, ref := range s.TargetRefs {
			add(ref)
		}
	}
	var text strings.Builder
	for _, part := range parts {
		text.WriteString(mustMarshal(part))
		text.WriteByte(0)
	}
	return action + text.String()
}

// lostHosts keeps the hosts of ServiceEntries. A host that another entry of
// the namespace has now is not lost.
func lostHosts(old, next *TypeSet) (kept []replacement) {
	names := next.differing(old)
	provided := map[string]bool{} // namespace/host
	for _, name := range names {
		if o := next.Get(name); o != nil {
			for _, host := range specOf[*networking.ServiceEntry](o).Hosts {
				provided[o.Namespace+"/"+host] = true
			}
		}
	}
	for _, name := range names {
		o := old.Get(name)
		if o == nil {
			continue
		}
		spec := specOf[*networking.ServiceEntry](o)
		hosts := slices.DeleteFunc(slices.Clone(spec.Hosts), func(host string) bool { return provided[o.Namespace+"/"+host] })
		if len(hosts) == 0 {
			continue
		}
		if next.Get(name) == nil && len(hosts) == len(spec.Hosts) {
			kept = append(kept, replacement{new: o})
			continue
		}
		spec.Hosts = hosts
		kept = append(kept, replacement{new: beside(o, spec)})
	}
	return kept
}

// lostSubsets keeps DestinationRules and their subsets. The rule for a host
// may have passed to an object of another name.
func lostSubsets(old, next *TypeSet) (kept []replacement) {
	names := next.differing(old)
	type rule struct {
		object *Object
		spec   *networking.DestinationRule
		grown  bool
	}
	rules := map[string]*rule{} // by whom they are for
	order := []*rule{}
	for _, name := range names {
		if o := next.Get(name); o != nil {
			r := &rule{object: o, spec: specOf[*networking.DestinationRule](o)}
			if whom := appliesTo(o, r.spec); rules[whom] == nil {
				rules[whom] = r
				order = append(order, r)
			}
		}
	}
	for _, name := range names {
		o := old.Get(name)
		if o == nil {
			continue
		}
		spec := specOf[*networking.DestinationRule](o)
		r := rules[appliesTo(o, spec)]
		switch {
		case r != nil:
			for _, subset := range spec.Subsets {
				if !slices.ContainsFunc(r.spec.Subsets, func(s *networking.Subset) bool { return s.Name == subset.Name }) {
					r.spec.Subsets = append(r.spec.Subsets, subset)
					r.grown = true
				}
			}
		case next.Get(name) == nil:
			kept = append(kept, replacement{new: o})
		default:
			kept = append(kept, replacement{new: beside(o, spec)})
		}
	}
	for _, r := range order {
		if r.grown {
			kept = append(kept, replacement{old: r.object, new: remade(r.object, r.object.Name, r.spec)})
		}
	}
	return kept
}

// appliesTo says for which host, and for which callers in the namespace, a
// rule is.
func appliesTo(o *Object, spec *networking.DestinationRule) string {
	return o.Namespace + "/" + spec.Host + "\x00" + strings.Join(spec.ExportTo, ",") + "\x00" + mustMarshal(spec.WorkloadSelector)
}

// beside is what an object was, or a part of it, under a name that follows from
// the content: it may stand beside the object itself, and beside others of its
// past.
func beside(o *Object, spec proto.Message) *Object {
	if strings.HasPrefix(o.Name, bridgePrefix) {
		return remade(o, o.Name, spec)
	}
	sum := sha256.Sum256([]byte(o.FullName() + "\x00" + o.Version))
	return remade(o, bridgePrefix+lowerBase32.EncodeToString(sum[:])[:hashLength], spec)
}

// remade is an object with another name or spec.
func remade(o *Object, name string, spec proto.Message) *Object {
	made, err := newObject(&Resource{
		Type: o.Type, Namespace: o.Namespace, Name: name, Labels: o.Labels, Annotations: o.Annotations,
		CreatedAt: o.CreatedAt, Spec: spec, Origins: o.Origins,
	})
	if err != nil {
		panic(err) // it is made of what was encoded before
	}
	return made
}

// specOf decodes an object's spec.
func specOf[T proto.Message](o *Object) T {
	spec, err := o.Spec()
	if err != nil {
		panic(err) // we encoded it
	}
	return spec.(T)
}

func mustMarshal(m proto.Message) string {
	b, err := deterministic.Marshal(m)
	if err != nil {
		panic(err) // it is part of what was decoded from valid text
	}
	return string(b)
}
