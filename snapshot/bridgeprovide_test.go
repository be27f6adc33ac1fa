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
	"pgregory.net/rapid"
)

// provided are what VirtualServices may name in a set: hosts of ServiceEntries,
// hosts and subsets of DestinationRules, by namespace.
func provided(set *TypeSet) map[string]bool {
	out := map[string]bool{}
	for o := range set.All() {
		switch spec := must(o.Spec()).(type) {
		case *networking.ServiceEntry:
			for _, h := range spec.Hosts {
				for _, p := range spec.Ports {
					out[fmt.Sprint(o.Namespace, "/", h, ":", p.Number)] = true
				}
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
// together, has the new objects but for added subsets and ports, is valid, stable and shared, and
// that a delta leads to it and on from it.
func TestBridgesProvide(t *testing.T) {
	draws := map[TypeID]func(*rapid.T) *Object{
		ServiceEntry: func(rt *rapid.T) *Object {
			names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.x", "b.x", "c.x", "d.x"}), 1, 3, rapid.ID[string]).Draw(rt, "hosts")
			for i, port := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"80", "81", "82"}), 1, 3, rapid.ID[string]).Draw(rt, "ports") {
				at := i % len(names)
				names = append(names, names[at][:len("a.x")]+":"+port)
			}
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
	got := provided(bridge)
	for what := range want {
		if !got[what] {
			rt.Fatalf("the bridge lacks %s", what)
		}
	}
	for what := range got { // a port is lent to all hosts of an entry
		host, _, port := strings.Cut(what, ":")
		if !want[what] && (!port || !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(w string) bool { return strings.HasPrefix(w, host+":") })) {
			rt.Fatalf("the bridge has %s", what)
		}
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
// subsets or ports that were added.
func checkSuccessor(rt *rapid.T, o, inBridge *Object) {
	if inBridge == nil {
		rt.Fatalf("the bridge lacks %s", o.FullName())
	}
	if same(o, inBridge) {
		return
	}
	if want, ok := must(o.Spec()).(*networking.ServiceEntry); ok {
		got := must(inBridge.Spec()).(*networking.ServiceEntry)
		got.Ports = got.Ports[:min(len(got.Ports), len(want.Ports))]
		if !proto.Equal(want, got) {
			rt.Fatalf("%s: %v, want %v", o.FullName(), got, want)
		}
		return
	}
	want := must(o.Spec()).(*networking.DestinationRule)
	got := must(inBridge.Spec()).(*networking.DestinationRule)
	if len(got.Subsets) <= len(want.Subsets) {
		rt.Fatalf("%s is changed without more subsets", o.FullName())
	}
	got.Subsets = got.Subsets[:len(want.Subsets)]
	if !proto.Equal(want, got) {
		rt.Fatalf("%s: %v, want %v", o.FullName(), got, want)
	}
}
