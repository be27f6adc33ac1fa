package snapshot

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	mcp "istio.io/api/mcp/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// entry makes a ServiceEntry whose content follows from its name and host.
func entry(t testing.TB, name, host string) *Object {
	t.Helper()
	o, err := newObject(&Resource{
		Type: Types[ServiceEntry], Namespace: "shop", Name: name, CreatedAt: epoch,
		Labels: map[string]string{"app.kubernetes.io/managed-by": "meshwright"},
		Spec:   &networking.ServiceEntry{Hosts: []string{host}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func added(objects ...*Object) []replacement {
	var out []replacement
	for _, o := range objects {
		out = append(out, replacement{new: o})
	}
	return out
}

// TestStateOfTheWorld holds the hand-written encoding against the library's:
// the bytes are a DiscoveryResponse, and each resource is what istiod decodes.
func TestStateOfTheWorld(t *testing.T) {
	s := newSets()
	a, b := entry(t, "a", "a.global"), entry(t, "b", "b.global")
	set := s.after(s.empty(Types[ServiceEntry]), added(b, a))
	const url = "networking.istio.io/v1alpha3/ServiceEntry"

	var got discovery.DiscoveryResponse
	if err := proto.Unmarshal(set.StateOfTheWorld(url), &got); err != nil {
		t.Fatal(err)
	}
	want := &discovery.DiscoveryResponse{
		VersionInfo: set.Version(), Nonce: set.Version(), TypeUrl: url,
		Resources: []*anypb.Any{wrapped(t, a, "a.global"), wrapped(t, b, "b.global")},
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func wrapped(t *testing.T, o *Object, host string) *anypb.Any {
	t.Helper()
	body, err := anypb.New(&networking.ServiceEntry{Hosts: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	resource, err := anypb.New(&mcp.Resource{
		Metadata: &mcp.Metadata{
			Name: o.FullName(), CreateTime: timestamppb.New(epoch), Version: o.Version,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "meshwright"},
		},
		Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return resource
}

// TestDelta holds the delta against a DeltaDiscoveryResponse: from the set
// before, from an older one, and from what a client says it has.
func TestDelta(t *testing.T) {
	s := newSets()
	a, b, c := entry(t, "a", "a.global"), entry(t, "b", "b.global"), entry(t, "c", "c.global")
	b2 := entry(t, "b", "b2.global")
	first := s.after(s.empty(Types[ServiceEntry]), added(a, b))
	second := s.after(first, []replacement{{new: c}})
	third := s.after(second, []replacement{{old: b, new: b2}, {old: a}})
	const url = "networking.istio.io/v1/ServiceEntry"

	resource := func(o *Object, host string) *discovery.Resource {
		return &discovery.Resource{Name: o.FullName(), Version: o.Version, Resource: wrapped(t, o, host)}
	}
	response := func(removed []string, resources ...*discovery.Resource) *discovery.DeltaDiscoveryResponse {
		return &discovery.DeltaDiscoveryResponse{
			SystemVersionInfo: third.Version(), Nonce: third.Version(), TypeUrl: url,
			Resources: resources, RemovedResources: removed,
		}
	}
	for _, test := range []struct {
		name string
		got  []byte
		want *discovery.DeltaDiscoveryResponse
	}{
		{"from the set before", third.Delta(second, url), response([]string{"shop/a"}, resource(b2, "b2.global"))},
		{"from an older set", third.Delta(first, url), response([]string{"shop/a"}, resource(b2, "b2.global"), resource(c, "c.global"))},
		{"from nothing", third.Delta(nil, url), response(nil, resource(b2, "b2.global"), resource(c, "c.global"))},
		{
			"from what the client has",
			third.DeltaFrom(map[string]string{"shop/a": a.Version, "shop/b": b.Version, "shop/c": c.Version}, url),
			response([]string{"shop/a"}, resource(b2, "b2.global")),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got discovery.DeltaDiscoveryResponse
			if err := proto.Unmarshal(test.got, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, &got, protocmp.Transform()); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
	if got := third.Delta(third, url); got != nil {
		t.Errorf("delta from a set to itself = %q, want none", got)
	}
}

// TestEqualSetsAreOne holds that a set's identity follows from its content,
// whatever the way to it, and that messages are encoded once.
func TestEqualSetsAreOne(t *testing.T) {
	s := newSets()
	a, b := entry(t, "a", "a.global"), entry(t, "b", "b.global")
	empty := s.empty(Types[ServiceEntry])
	one := s.after(s.after(empty, added(a)), added(b))
	two := s.after(s.after(s.after(empty, added(b, a)), []replacement{{old: a}}), added(a))
	if one != two {
		t.Fatalf("two ways to the same content gave two sets: %s and %s", one.Version(), two.Version())
	}
	const url = "networking.istio.io/v1/ServiceEntry"
	first, second := one.StateOfTheWorld(url), two.StateOfTheWorld(url)
	if &first[0] != &second[0] {
		t.Error("the same message was encoded twice")
	}
	if back := s.after(one, []replacement{{old: a}, {old: b}}); back != empty {
		t.Error("a set without objects is not the empty set")
	}
	if other := s.empty(Types[Gateway]); other.Version() == empty.Version() {
		t.Error("empty sets of two types have one version")
	}
}

// TestSetsAreForgotten holds that nothing keeps a set that no view has.
func TestSetsAreForgotten(t *testing.T) {
	s := newSets()
	for i := range 100 {
		s.after(s.empty(Types[ServiceEntry]), added(entry(t, fmt.Sprint("e", i), "a.global")))
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		runtime.GC()
		s.mu.Lock()
		left := len(s.known)
		s.mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sets are still known", left)
		}
		runtime.Gosched()
	}
}

// TestDeltaLeadsThere holds for random changes that a client which applies the
// deltas, whichever it misses, ends with the set.
func TestDeltaLeadsThere(t *testing.T) {
	pool := map[string]*Object{}
	for i := range 8 {
		for j := range 3 {
			name, host := fmt.Sprint("e", i), fmt.Sprint("h", j, ".global")
			pool[name+host] = entry(t, name, host)
		}
	}
	keys := slices.Sorted(maps.Keys(pool))
	rapid.Check(t, func(t *rapid.T) {
		s := newSets()
		history := []*TypeSet{s.empty(Types[ServiceEntry])}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			last := history[len(history)-1]
			changes := map[string]replacement{}
			for _, key := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 4).Draw(t, "keys") {
				o := pool[key]
				old := last.Get(o.FullName())
				if old == o || rapid.Bool().Draw(t, "remove") {
					o = nil
				}
				if old != nil || o != nil {
					changes[key[:2]] = replacement{old, o}
				}
			}
			history = append(history, s.after(last, slices.Collect(maps.Values(changes))))
		}
		from := rapid.SampledFrom(history).Draw(t, "from")
		to := history[len(history)-1]
		have := map[string]string{}
		for o := range from.All() {
			have[o.FullName()] = o.Version
		}
		var response discovery.DeltaDiscoveryResponse
		if err := proto.Unmarshal(to.Delta(from, "networking.istio.io/v1/ServiceEntry"), &response); err != nil {
			t.Fatal(err)
		}
		for _, name := range response.RemovedResources {
			delete(have, name)
		}
		for _, r := range response.Resources {
			have[r.Name] = r.Version
		}
		want := map[string]string{}
		for o := range to.All() {
			want[o.FullName()] = o.Version
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("after the delta (-want +got):\n%s", diff)
		}
	})
}

// TestVersionIsOfContent holds what changes an object's version and what does
// not: istiod ignores new content under an old version, and rewrites an object
// whose version is new.
func TestVersionIsOfContent(t *testing.T) {
	base := func() *Resource {
		return &Resource{
			Type: Types[ServiceEntry], Namespace: "shop", Name: "a", CreatedAt: epoch,
			Labels: map[string]string{"k": "v"}, Annotations: map[string]string{"x": "y"},
			Spec: &networking.ServiceEntry{Hosts: []string{"a.global"}},
		}
	}
	version := func(change func(*Resource)) string {
		r := base()
		change(r)
		o, err := newObject(r)
		if err != nil {
			t.Fatal(err)
		}
		return o.Version
	}
	same := version(func(*Resource) {})
	for name, change := range map[string]func(*Resource){
		"spec":            func(r *Resource) { r.Spec = &networking.ServiceEntry{Hosts: []string{"b.global"}} },
		"label":           func(r *Resource) { r.Labels["k"] = "w" },
		"annotation":      func(r *Resource) { r.Annotations["x"] = "z" },
		"label to note":   func(r *Resource) { r.Labels, r.Annotations = nil, map[string]string{"k": "v", "x": "y"} },
		"label swallowed": func(r *Resource) { r.Labels = map[string]string{"k": "v1:x"} },
	} {
		if version(change) == same {
			t.Errorf("%s: another content has the same version", name)
		}
	}
	if version(func(r *Resource) { r.CreatedAt = epoch.Add(time.Hour) }) != same {
		t.Error("the time of creation changes the version")
	}
}

// TestNamePassesOn holds that an object whose name passes from one maker to
// another stays, whichever of the two is looked at first.
func TestNamePassesOn(t *testing.T) {
	s := newSets()
	one, other := entry(t, "a", "one.global"), entry(t, "a", "other.global")
	before := s.after(s.empty(Types[ServiceEntry]), added(one))
	for _, replacements := range [][]replacement{
		{{old: one}, {new: other}},
		{{new: other}, {old: one}},
	} {
		s := newSets() // the next order must not meet this one's set
		after := s.after(before, replacements)
		if after.Get("shop/a") != other || after.Len() != 1 {
			t.Errorf("%d objects, shop/a is %v", after.Len(), after.Get("shop/a"))
		}
		changed, removed := after.since(before)
		if len(removed) > 0 || !slices.Equal(changed, []*Object{other}) {
			t.Errorf("the step changes %d objects and removes %v", len(changed), removed)
		}
	}
}

// TestMessagesAreForgotten holds that what nobody sends any more leaves nothing
// behind, in a set that lives for ever: clients choose type URLs and what they
// come from.
func TestMessagesAreForgotten(t *testing.T) {
	set := newSets().empty(Types[ServiceEntry])
	for i := range 1000 {
		set.StateOfTheWorld(fmt.Sprintf("networking.istio.io/v%d/ServiceEntry", i))
		if i%100 == 99 {
			runtime.GC()
		}
	}
	if got := len(set.encoded); got > 200 {
		t.Errorf("%d messages are remembered", got)
	}
}
