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
//   - ServiceEntry: a host that is gone stays for the namespaces that knew it,
//     with the object that had it, or beside the object that has other hosts
//     now. An entry that lost ports has them still.
//   - DestinationRule: a rule that is gone, or is for another host now, stays;
//     a rule that lost subsets, or settings of a port, has them still.
//   - Gateway: one that is gone stays.
//   - PeerAuthentication, RequestAuthentication, AuthorizationPolicy: one that
//     is gone, or is for other workloads now, stays if nothing of its kind and
//     action is left for its workloads: without it they would be open. Where
//     another is left, its end is a restriction that somebody waits for. That
//     of a policy that denies never is one, so it stays.
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

// lostGuards keeps the security objects that are gone from their workloads,
// unless the workloads are guarded by another and wait for the end of this one.
func lostGuards(old, next *TypeSet) (kept []replacement) {
	for _, name := range next.differing(old) {
		o, is := old.Get(name), next.Get(name)
		switch {
		case o == nil || is != nil && is.workloads == o.workloads:
		case !denies(o) && next.guards(o.Namespace, o.workloads):
		case is == nil:
			kept = append(kept, replacement{new: o})
		default:
			kept = append(kept, replacement{new: beside(o, o.Namespace, specOf[proto.Message](o))})
		}
	}
	return kept
}

// denies reports whether an object only takes permissions away, so that its end
// is never a restriction.
func denies(o *Object) bool {
	if o.Type.ID != AuthorizationPolicy {
		return false
	}
	return specOf[*security.AuthorizationPolicy](o).Action != security.AuthorizationPolicy_ALLOW
}

// guards reports whether an object of a namespace is for some workloads.
func (t *TypeSet) guards(namespace, workloads string) (found bool) {
	t.objects.Ascend(namespace+"/", func(_ string, o *Object) bool {
		found = o.Namespace == namespace && o.workloads == workloads
		return o.Namespace == namespace && !found
	})
	return found
}

// workloadsOf says which workloads of its namespace a security object is for,
// and what a policy does to calls: two that may stand for each other have the
// same text.
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
		add(s.Selector)
		add(s.TargetRef)
		for _, ref := range s.TargetRefs {
			add(ref)
		}
		action = s.Action.String()
	}
	var text strings.Builder
	text.WriteString(action)
	for _, part := range parts {
		text.WriteString(mustMarshal(part))
		text.WriteByte(0)
	}
	return text.String()
}

// lostSubsets keeps DestinationRules, their subsets and what they say of ports.
// The rule for a host may have passed to an object of another name.
func lostSubsets(old, next *TypeSet) (kept []replacement) {
	names := next.differing(old)
	rules := map[string]*hostRule{}  // by whom they are for
	public := map[string]*hostRule{} // those for everybody, by host
	order := []*hostRule{}
	for _, name := range names {
		if o := next.Get(name); o != nil {
			r := &hostRule{object: o, spec: specOf[*networking.DestinationRule](o)}
			if whom := appliesTo(o, r.spec); rules[whom] == nil {
				rules[whom] = r
				order = append(order, r)
				if slices.Contains(seersOf(o.Namespace, r.spec.ExportTo), "*") && r.spec.WorkloadSelector == nil {
					public[r.spec.Host] = r
				}
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
		if r == nil && spec.WorkloadSelector == nil {
			r = public[spec.Host] // which a private one of old would hide
		}
		for _, private := range order { // which would hide what it is for
			if private.spec.Host == spec.Host && private != r && private.spec.WorkloadSelector == nil {
				private.lend(&networking.DestinationRule{Subsets: spec.Subsets})
			}
		}
		switch {
		case r != nil:
			r.lend(spec)
		case spec.WorkloadSelector != nil && rules[appliesTo(o, &networking.DestinationRule{Host: spec.Host, ExportTo: spec.ExportTo})] != nil:
			// The rule for all pods has changed; it holds for these, too, now.
		case next.Get(name) == nil:
			kept = append(kept, replacement{new: o})
		default:
			kept = append(kept, replacement{new: beside(o, o.Namespace, spec)})
		}
	}
	for _, r := range order {
		if r.grown {
			kept = append(kept, replacement{old: r.object, new: remade(r.object, r.object.Namespace, r.object.Name, r.spec)})
		}
	}
	return kept
}

// hostRule is a DestinationRule of the newer set.
type hostRule struct {
	object *Object
	spec   *networking.DestinationRule
	grown  bool
}

// lend adds the subsets that an older rule for the same host had, and what it
// said of ports: a port that the host had is called as it was.
func (r *hostRule) lend(from *networking.DestinationRule) {
	for _, subset := range from.Subsets {
		if !slices.ContainsFunc(r.spec.Subsets, func(s *networking.Subset) bool { return s.Name == subset.Name }) {
			r.spec.Subsets = append(r.spec.Subsets, subset)
			r.grown = true
		}
	}
	for _, port := range from.GetTrafficPolicy().GetPortLevelSettings() {
		same := func(p *networking.TrafficPolicy_PortTrafficPolicy) bool {
			return p.Port.GetNumber() == port.Port.GetNumber()
		}
		if !slices.ContainsFunc(r.spec.GetTrafficPolicy().GetPortLevelSettings(), same) {
			if r.spec.TrafficPolicy == nil {
				r.spec.TrafficPolicy = &networking.TrafficPolicy{}
			}
			r.spec.TrafficPolicy.PortLevelSettings = append(r.spec.TrafficPolicy.PortLevelSettings, port)
			r.grown = true
		}
	}
}

// appliesTo says for which host, and for which callers, a rule is.
func appliesTo(o *Object, spec *networking.DestinationRule) string {
	return o.Namespace + "/" + spec.Host + "\x00" + strings.Join(seersOf(o.Namespace, spec.ExportTo), ",") + "\x00" + mustMarshal(spec.WorkloadSelector)
}

// beside is what an object was, or a part of it, under a name that follows from
// the content: it may stand beside the object itself, and beside others of its
// past.
func beside(o *Object, namespace string, spec proto.Message) *Object {
	if strings.HasPrefix(o.Name, bridgePrefix) {
		return remade(o, namespace, o.Name, spec)
	}
	sum := sha256.Sum256([]byte(o.FullName() + "\x00" + o.Version))
	return remade(o, namespace, bridgePrefix+lowerBase32.EncodeToString(sum[:])[:hashLength], spec)
}

// remade is an object with another name or spec.
func remade(o *Object, namespace, name string, spec proto.Message) *Object {
	made, err := newObject(&Resource{
		Type: o.Type, Namespace: namespace, Name: name, Labels: o.Labels, Annotations: o.Annotations,
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
