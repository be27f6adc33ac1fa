package snapshot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
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

var httpPort = []*networking.ServicePort{{Number: 80, Name: "http", Protocol: "HTTP"}}

// hosts is an entry for hosts, or for ports of them, written host:port.
func hosts(t testing.TB, name string, hosts ...string) *Object {
	t.Helper()
	spec := &networking.ServiceEntry{Resolution: networking.ServiceEntry_DNS}
	for _, h := range hosts {
		host, port, given := strings.Cut(h, ":")
		if !slices.Contains(spec.Hosts, host) {
			spec.Hosts = append(spec.Hosts, host)
		}
		if number, _ := strconv.Atoi(port); given {
			spec.Ports = append(spec.Ports, &networking.ServicePort{Number: uint32(number), Name: "http-" + port, Protocol: "HTTP"})
		}
	}
	if spec.Ports == nil {
		spec.Ports = httpPort
	}
	return object(t, ServiceEntry, name, spec)
}

// seenBy is an entry for one host that one namespace sees.
func seenBy(t testing.TB, name, namespace string) *Object {
	t.Helper()
	return object(t, ServiceEntry, name, &networking.ServiceEntry{
		Hosts: []string{"a.x"}, Ports: httpPort, Resolution: networking.ServiceEntry_DNS, ExportTo: []string{namespace},
	})
}

// privateRule is a rule that says how ports of a host are called, by the pods
// of an app or by all of the namespace.
func privateRule(t testing.TB, name, app string, ports ...uint32) *Object {
	t.Helper()
	spec := &networking.DestinationRule{Host: "a.x", ExportTo: []string{"."}, TrafficPolicy: &networking.TrafficPolicy{}}
	if app != "" {
		spec.WorkloadSelector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": app}}
	}
	for _, number := range ports {
		spec.TrafficPolicy.PortLevelSettings = append(spec.TrafficPolicy.PortLevelSettings, &networking.TrafficPolicy_PortTrafficPolicy{
			Port: &networking.PortSelector{Number: number},
			Tls:  &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_SIMPLE},
		})
	}
	return object(t, DestinationRule, name, spec)
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
	return object(t, AuthorizationPolicy, name, &security.AuthorizationPolicy{
		Selector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": app}},
	})
}

func denial(t testing.TB, name, app string) *Object {
	t.Helper()
	return object(t, AuthorizationPolicy, name, &security.AuthorizationPolicy{
		Selector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": app}},
		Action:   security.AuthorizationPolicy_DENY, Rules: []*security.Rule{{}},
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
		if o.Namespace != "shop" {
			name = o.Namespace + "/" + name
		}
		switch spec := must(o.Spec()).(type) {
		case *networking.ServiceEntry:
			name += " " + strings.Join(spec.Hosts, ",")
			for _, p := range spec.Ports {
				if p.Name != "http" || spec.ExportTo != nil {
					name += fmt.Sprint(" ", p.Number)
				}
			}
			if spec.ExportTo != nil {
				name += " for " + strings.Join(spec.ExportTo, ",")
			}
		case *networking.DestinationRule:
			name += " " + spec.Host
			for _, s := range spec.Subsets {
				name += " " + s.Name
			}
			for _, p := range spec.GetTrafficPolicy().GetPortLevelSettings() {
				name += fmt.Sprint(" :", p.Port.Number)
			}
		case *security.AuthorizationPolicy:
			name += " " + spec.Selector.MatchLabels["app"]
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
		{
			name: "an entry loses a port", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x:80", "a.x:81")}, new: []*Object{hosts(t, "e", "a.x:81")},
			want: []string{"e a.x 81 80"},
		},
		{
			name: "an entry is renamed and loses a port", id: ServiceEntry,
			old: []*Object{hosts(t, "e", "a.x:80", "a.x:81")}, new: []*Object{hosts(t, "f", "a.x:82", "a.x:81")},
			want: []string{"f a.x 82 81 80"},
		},
		{
			name: "an entry is for another namespace", id: ServiceEntry,
			old: []*Object{seenBy(t, "e", "shop")}, new: []*Object{seenBy(t, "f", "gateways")},
			want: []string{"gateways/was a.x 80 for shop", "f a.x 80 for gateways"},
		},
		{
			name: "an entry leads nowhere", id: ServiceEntry,
			old: []*Object{object(t, ServiceEntry, "e", &networking.ServiceEntry{
				Hosts: []string{"a.x"}, Ports: httpPort, Resolution: networking.ServiceEntry_STATIC,
			})},
			new: []*Object{},
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
			name: "a rule for all takes the place of a private one", id: DestinationRule,
			old: []*Object{privateRule(t, "d", "", 80)}, new: []*Object{ruleFor(t, "e", "a.x", "v1")},
			want: []string{"e a.x v1 :80"},
		},
		{
			name: "a private rule takes the place of one for all", id: DestinationRule,
			old: []*Object{ruleFor(t, "e", "a.x", "v1")}, new: []*Object{privateRule(t, "d", "", 80)},
			want: []string{"d a.x v1 :80", "e a.x v1"},
		},
		{
			name: "a rule says nothing of a port any more", id: DestinationRule,
			old: []*Object{privateRule(t, "d", "", 80, 81)}, new: []*Object{privateRule(t, "d", "", 82)},
			want: []string{"d a.x :82 :80 :81"},
		},
		{
			name: "chosen pods follow the rule for all", id: DestinationRule,
			old: []*Object{privateRule(t, "d", "", 80), privateRule(t, "e", "web", 80)}, new: []*Object{privateRule(t, "d", "", 80, 81)},
		},
		{
			name: "a gateway is renamed", id: Gateway,
			old: []*Object{gateway(t, "g")}, new: []*Object{gateway(t, "h")},
			want: []string{"g", "h"},
		},
		{
			name: "a workload's last policy goes", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), policy(t, "q", "b")}, new: []*Object{policy(t, "q", "b")},
			want: []string{"p a", "q b"},
		},
		{
			name: "a client is revoked", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), policy(t, "q", "a")}, new: []*Object{policy(t, "q", "a")},
		},
		{
			name: "a policy is for other workloads", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a")}, new: []*Object{policy(t, "p", "b")},
			want: []string{"was a", "p b"},
		},
		{
			name: "a policy that allows goes, one that denies stays", id: AuthorizationPolicy,
			old: []*Object{policy(t, "p", "a"), denial(t, "q", "a")}, new: []*Object{denial(t, "q", "a")},
			want: []string{"p a", "q a"},
		},
		{
			name: "one of several that deny goes", id: AuthorizationPolicy,
			old: []*Object{denial(t, "p", "a"), denial(t, "q", "a")}, new: []*Object{denial(t, "q", "a")},
			want: []string{"p a", "q a"},
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
