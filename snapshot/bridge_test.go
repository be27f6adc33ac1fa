package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	"pgregory.net/rapid"
)

func object(t testing.TB, id TypeID, name string, spec proto.Message) *Object {
	t.Helper()
	r := &Resource{Type: Types[id], Namespace: "shop", Name: name, CreatedAt: epoch, Spec: spec}
	if err := check(r); err != nil {
		t.Fatalf("%s %s: %v", Types[id].Kind, name, err)
	}
	o, err := newObject(r)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func hosts(t testing.TB, name string, hosts ...string) *Object {
	t.Helper()
	return object(t, ServiceEntry, name, &networking.ServiceEntry{
		Hosts: hosts, Resolution: networking.ServiceEntry_DNS,
		Ports: []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}},
	})
}

func ruleFor(t testing.TB, name, host string, subsets ...string) *Object {
	t.Helper()
	spec := &networking.DestinationRule{Host: host}
	for _, s := range subsets {
		spec.Subsets = append(spec.Subsets, &networking.Subset{Name: s, Labels: map[string]string{"version": s}})
	}
	return object(t, DestinationRule, name, spec)
}

func gateway(t testing.TB, name string) *Object {
	t.Helper()
	return object(t, Gateway, name, &networking.Gateway{Servers: []*networking.Server{{
		Port: &networking.Port{Number: 80, Name: "http", Protocol: "HTTP"}, Hosts: []string{"*"},
	}}})
}

func policy(t testing.TB, name, app string) *Object {
	t.Helper()
	return acting(t, name, app, security.AuthorizationPolicy_ALLOW)
}

func acting(t testing.TB, name, app string, action security.AuthorizationPolicy_Action) *Object {
	t.Helper()
	return object(t, AuthorizationPolicy, name, &security.AuthorizationPolicy{
		Action: action, Rules: []*security.Rule{{}},
		Selector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": app}},
	})
}

// describe lists a set's objects by name, with what a VirtualService may name
// of each. Objects beside others go by bridgePrefix alone.
func describe(t testing.TB, set *TypeSet) []string {
	t.Helper()
	out := []string{}
	for o := range set.All() {
		name := o.Name
		if strings.HasPrefix(name, bridgePrefix) {
			name = "was"
		}
		switch spec := must(o.Spec()).(type) {
		case *networking.ServiceEntry:
			name += " " + strings.Join(spec.Hosts, ",")
		case *networking.DestinationRule:
			name += " " + spec.Host
			for _, s := range spec.Subsets {
				name += " " + s.Name
			}
		}
		out = append(out, name)
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// setOf makes a set of objects of one type, in one step from nothing.
func setOf(s *sets, id TypeID, objects ...*Object) *TypeSet {
	return s.after(s.empty(Types[id]), added(objects...))
}

func TestBridge(t *testing.T) {
	for _, test := range []struct {
		name     string
		id       TypeID
		old, new []*Object
		want     []string // nil: the new set itself
	}{
		{name: "a host comes", id: ServiceEntry, old: []*Object{hosts(t, "e", "a.x")}, new: []*Object{hosts(t, "e", "a.x", "b.x")}},
		{
			name: "an entry goes", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x"), hosts(t, "f", "b.x")}, new: []*Object{hosts(t, "f", "b.x")},
			want: []string{"e a.x", "f b.x"},
		},
		{
			name: "a host is renamed", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x", "b.x")}, new: []*Object{hosts(t, "e", "a.x", "c.x")},
			want: []string{"e a.x,c.x", "was b.x"},
		},
		{
			name: "an entry is renamed", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x")}, new: []*Object{hosts(t, "f", "a.x")},
		},
		{
			name: "an entry is renamed and loses a host", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x", "b.x")}, new: []*Object{hosts(t, "f", "a.x")},
			want: []string{"f a.x", "was b.x"},
		},
		{name: "a subset comes", id: DestinationRule, old: []*Object{ruleFor(t, "d", "a.x", "v1")}, new: []*Object{ruleFor(t, "d", "a.x", "v1", "v2")}},
		{
			name: "subsets are renamed", id: DestinationRule,
			old: []*Object{ruleFor(t, "d", "a.x", "v1", "v2")}, new: []*Object{ruleFor(t, "d", "a.x", "v2", "v3")},
			want: []string{"d a.x v2 v3 v1"},
		},
		{
			name: "a rule goes", id: DestinationRule,
			old: []*Object{ruleFor(t, "d", "a.x")}, new: []*Object{},
			want: []string{"d a.x"},
		},
		{
			name: "a rule is for another host", id: DestinationRule,
			old: []*Object{ruleFor(t, "d", "a.x", "v1")}, new: []*Object{ruleFor(t, "d", "b.x", "v1")},
			want: []string{"d b.x v1", "was a.x v1"},
		},
		{
			name: "a rule is renamed and loses a subset", id: DestinationRule,
			old: []*Object{ruleFor(t, "d", "a.x", "v1", "v2")}, new: []*Object{ruleFor(t, "e", "a.x", "v2")},
			want: []string{"e a.x v2 v1"},
		},
		{
			name: "a gateway is renamed", id: Gateway,
			old: []*Object{gateway(t, "g")}, new: []*Object{gateway(t, "h")},
			want: []string{"g", "h"},
		},
		{
			name: "a workload's last policy goes", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), policy(t, "q", "b")}, new: []*Object{policy(t, "q", "b")},
			want: []string{"p", "q"},
		},
		{
			name: "a client is revoked", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), policy(t, "q", "a")}, new: []*Object{policy(t, "q", "a")},
		},
		{
			name: "the last policy that allows goes, one that denies is left", id: AuthorizationPolicy,
			old:  []*Object{policy(t, "p", "a"), acting(t, "q", "a", security.AuthorizationPolicy_DENY)},
			new:  []*Object{acting(t, "q", "a", security.AuthorizationPolicy_DENY)},
			want: []string{"p", "q"},
		},
		{
			name: "a policy that denies goes, another is left", id: AuthorizationPolicy,
			old:  []*Object{acting(t, "p", "a", security.AuthorizationPolicy_DENY), acting(t, "q", "a", security.AuthorizationPolicy_DENY)},
			new:  []*Object{acting(t, "q", "a", security.AuthorizationPolicy_DENY)},
			want: []string{"p", "q"},
		},
		{
			name: "a policy passes to other workloads", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a")}, new: []*Object{policy(t, "p", "b")},
			want: []string{"was", "p"},
		},
		{
			name: "a policy passes to other workloads, another is left", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), policy(t, "q", "a")}, new: []*Object{policy(t, "p", "b"), policy(t, "q", "a")},
		},
		{
			name: "a policy denies what it allowed", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a")}, new: []*Object{acting(t, "p", "a", security.AuthorizationPolicy_DENY)},
			want: []string{"was", "p"},
		},
		{name: "nothing relies on it", id: WorkloadGroup, old: nil, new: nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSets()
			old, next := setOf(s, test.id, test.old...), setOf(s, test.id, test.new...)
			bridge := next.Bridge(old)
			if test.want == nil {
				if bridge != next {
					t.Fatalf("the bridge has %v, want the new set itself", describe(t, bridge))
				}
				return
			}
			if diff := cmp.Diff(test.want, describe(t, bridge)); diff != "" {
				t.Errorf("bridge (-want +got):\n%s", diff)
			}
			if again := next.Bridge(bridge); again != bridge {
				t.Errorf("a bridge from the bridge has %v", describe(t, again))
			}
			if again := next.Bridge(old); again != bridge {
				t.Error("the second edge got another bridge")
			}
			if back := old.Bridge(bridge); describe(t, back) == nil || old.Bridge(back) != back {
				t.Error("the way back is not stable")
			}
		})
	}
}

// TestBridgeOfSetsOnly holds that there is no bridge from nothing, from the set
// itself, and between sets of a type that nothing relies on.
func TestBridgeOfSetsOnly(t *testing.T) {
	s := newSets()
	next := setOf(s, ServiceEntry, hosts(t, "e", "a.x"))
	group := object(t, WorkloadGroup, "w", &networking.WorkloadGroup{Template: &networking.WorkloadEntry{}})
	groups, none := setOf(s, WorkloadGroup, group), s.empty(Types[WorkloadGroup])
	if next.Bridge(nil) != next || next.Bridge(next) != next || none.Bridge(groups) != none {
		t.Error("a bridge that nobody needs")
	}
}

// TestBridgeOfADeletion holds that what merely goes costs nothing: the bridge
// is the set that the client has.
func TestBridgeOfADeletion(t *testing.T) {
	s := newSets()
	gone := hosts(t, "e", "a.x")
	old := setOf(s, ServiceEntry, gone, hosts(t, "f", "b.x"))
	next := s.after(old, []replacement{{old: gone}})
	if next.Bridge(old) != old {
		t.Errorf("the bridge has %v", describe(t, next.Bridge(old)))
	}
}

// provided are what VirtualServices may name in a set: hosts of ServiceEntries,
// hosts and subsets of DestinationRules, by namespace.
func provided(set *TypeSet) map[string]bool {
	out := map[string]bool{}
	for o := range set.All() {
		switch spec := must(o.Spec()).(type) {
		case *networking.ServiceEntry:
			for _, h := range spec.Hosts {
				out[o.Namespace+"/"+h] = true
			}
		case *networking.DestinationRule:
			out[o.Namespace+"/"+spec.Host] = true
			for _, s := range spec.Subsets {
				out[o.Namespace+"/"+spec.Host+"/"+s.Name] = true
			}
		}
	}
	return out
}

// TestBridgesProvide holds for random histories of sets that a bridge, from a
// set of the history or from another bridge, provides what both ends do
// together, has the new objects but for added subsets, is valid, stable and shared, and
// that a delta leads to it and on from it.
func TestBridgesProvide(t *testing.T) {
	draws := map[TypeID]func(*rapid.T) *Object{
		ServiceEntry: func(rt *rapid.T) *Object {
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.x", "b.x", "c.x", "d.x"}), 1, 3, rapid.ID[string]).Draw(rt, "hosts")
			return hosts(t, rapid.SampledFrom([]string{"e", "f", "g"}).Draw(rt, "name"), names...)
		},
		DestinationRule: func(rt *rapid.T) *Object {
			subsets := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"v1", "v2", "v3"}), 0, 3, rapid.ID[string]).Draw(rt, "subsets")
			return ruleFor(t, rapid.SampledFrom([]string{"e", "f", "g"}).Draw(rt, "name"), rapid.SampledFrom([]string{"a.x", "b.x", "c.x"}).Draw(rt, "host"), subsets...)
		},
	}
	for id, drawObject := range draws {
		t.Run(Types[id].Kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := newSets()
				next := s.empty(Types[id])
				from := []*TypeSet{next}
				for range rapid.IntRange(1, 8).Draw(rt, "steps") {
					changes := map[string]replacement{}
					for range rapid.IntRange(1, 3).Draw(rt, "changes") {
						o := drawObject(rt)
						old := next.Get(o.FullName())
						if rapid.Bool().Draw(rt, "remove") {
							if old == nil {
								continue
							}
							changes[o.FullName()] = replacement{old: old}
							continue
						}
						changes[o.FullName()] = replacement{old, o}
					}
					next = s.after(next, slices.Collect(maps.Values(changes)))
					old := rapid.SampledFrom(from).Draw(rt, "from")
					bridge := next.Bridge(old)
					checkBridge(rt, old, next, bridge)
					from = append(from, next, bridge)
				}
			})
		})
	}
}

func checkBridge(rt *rapid.T, old, next, bridge *TypeSet) {
	want := provided(old)
	maps.Copy(want, provided(next))
	if diff := cmp.Diff(want, provided(bridge)); diff != "" {
		rt.Fatalf("what a bridge provides (-want +got):\n%s", diff)
	}
	if next.Bridge(bridge) != bridge || next.Bridge(old) != bridge {
		rt.Fatal("the bridge is not stable")
	}
	for o := range next.All() {
		checkSuccessor(rt, o, bridge.Get(o.FullName()))
	}
	for o := range bridge.All() {
		r := &Resource{Type: o.Type, Namespace: o.Namespace, Name: o.Name, Labels: o.Labels, Annotations: o.Annotations, Spec: must(o.Spec())}
		if err := check(r); err != nil {
			rt.Fatalf("%s: %v", o.FullName(), err)
		}
		if next.Get(o.FullName()) == nil && old.Get(o.FullName()) == nil && !strings.HasPrefix(o.Name, bridgePrefix) {
			rt.Fatalf("%s comes from nowhere", o.FullName())
		}
	}
	for _, pair := range [][2]*TypeSet{{old, bridge}, {bridge, next}, {old, next}} {
		got := map[string]string{}
		for o := range pair[0].All() {
			got[o.FullName()] = o.Version
		}
		changed, removed := pair[1].since(pair[0])
		for _, name := range removed {
			delete(got, name)
		}
		for _, o := range changed {
			got[o.FullName()] = o.Version
		}
		want := map[string]string{}
		for o := range pair[1].All() {
			want[o.FullName()] = o.Version
		}
		if diff := cmp.Diff(want, got); diff != "" && pair[0] != pair[1] {
			rt.Fatalf("after a step (-want +got):\n%s", diff)
		}
	}
}

// checkSuccessor holds that a new object stands in the bridge as it is, but for
// subsets that were added.
func checkSuccessor(rt *rapid.T, o, inBridge *Object) {
	if inBridge == nil {
		rt.Fatalf("the bridge lacks %s", o.FullName())
	}
	if same(o, inBridge) {
		return
	}
	want, ok := must(o.Spec()).(*networking.DestinationRule)
	if !ok {
		rt.Fatalf("%s is changed", o.FullName())
	}
	got := must(inBridge.Spec()).(*networking.DestinationRule)
	if len(got.Subsets) <= len(want.Subsets) {
		rt.Fatalf("%s is changed without more subsets", o.FullName())
	}
	got.Subsets = got.Subsets[:len(want.Subsets)]
	if !proto.Equal(want, got) {
		rt.Fatalf("%s: %v, want %v", o.FullName(), got, want)
	}
}

// TestBridgesAreBounded holds that a set remembers few bridges, whatever the
// number of sets that streams come from.
func TestBridgesAreBounded(t *testing.T) {
	s := newSets()
	next := s.empty(Types[ServiceEntry])
	for i := range 100 {
		next.Bridge(setOf(s, ServiceEntry, hosts(t, "e", fmt.Sprintf("h%d.x", i))))
	}
	if n := len(next.bridges); n > maxBridges {
		t.Errorf("%d bridges are remembered", n)
	}
}

// BenchmarkBridge is the bridge over one change of a large set, and the delta
// on from it.
func BenchmarkBridge(b *testing.B) {
	s := newSets()
	objects := make([]*Object, 10_000)
	for i := range objects {
		objects[i] = hosts(b, fmt.Sprint("e", i), fmt.Sprintf("h%d.x", i))
	}
	set := setOf(s, ServiceEntry, objects...)
	i := 0
	for b.Loop() {
		i++
		at := i % len(objects)
		o := hosts(b, objects[at].Name, fmt.Sprintf("v%d.x", i))
		next := s.after(set, []replacement{{objects[at], o}})
		bridge := next.Bridge(set)
		if bridge.Len() != len(objects)+1 || next.Delta(bridge, "u") == nil {
			b.Fatal("no bridge")
		}
		set, objects[at] = next, o
	}
}
