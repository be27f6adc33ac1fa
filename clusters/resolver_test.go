package clusters

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory is a store without a log: a real Set behind a pointer.
type memory struct{ set atomic.Pointer[intent.Set] }

func (m *memory) Set() *intent.Set { return m.set.Load() }

func (m *memory) apply(t testing.TB, c intent.Command) {
	t.Helper()
	c.At = epoch
	next, _, err := m.Set().Apply(c)
	if err != nil {
		t.Fatal(err)
	}
	m.set.Store(next)
}

// fleet is a store with clusters, each with its authorities.
func fleet(t testing.TB, clusters map[string][]string) *memory {
	t.Helper()
	m := &memory{}
	m.set.Store(intent.NewSet())
	for name, authorities := range clusters {
		o := &intent.Object{Path: intent.ClusterPath("edge", name), Metadata: intent.Metadata{Name: name}, Spec: &intent.ClusterSpec{Authorities: authorities}}
		o.Normalize()
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		m.apply(t, intent.Command{Kind: intent.Transact, Ops: []intent.Op{{Method: intent.Put, Path: o.Path, Object: o}}})
	}
	return m
}

func (m *memory) remove(t testing.TB, name string) {
	t.Helper()
	m.apply(t, intent.Command{Kind: intent.Transact, Ops: []intent.Op{{Method: intent.Delete, Path: intent.ClusterPath("edge", name)}}})
}

func TestResolve(t *testing.T) {
	m := fleet(t, map[string][]string{
		"a":        {"a.mesh.example", "10.0.0.7"},
		"b":        {"b.mesh.example", "2001:db8::7"},
		"fallback": nil,
	})
	tests := []struct {
		name           string
		byDefault      string
		sni, authority string
		want           string
	}{
		{name: "SNI", sni: "a.mesh.example", authority: "b.mesh.example:15012", want: "edge/a"},
		{name: "SNI in capitals, with a dot", sni: "A.Mesh.Example.", want: "edge/a"},
		{name: "authority", authority: "b.mesh.example", want: "edge/b"},
		{name: "authority with port", authority: "b.mesh.example:15010", want: "edge/b"},
		{name: "unknown SNI, known authority", sni: "lb.example", authority: "a.mesh.example:15012", want: "edge/a"},
		{name: "IPv4", authority: "10.0.0.7:15010", want: "edge/a"},
		{name: "IPv4 without port", authority: "10.0.0.7", want: "edge/a"},
		{name: "IPv6", authority: "[2001:db8::7]:15010", want: "edge/b"},
		{name: "IPv6 spelt out, without port", authority: "2001:0db8:0:0::7", want: "edge/b"},
		{name: "IPv4 mapped into IPv6", authority: "[::ffff:10.0.0.7]:15010", want: "edge/a"},
		{name: "nobody's"},
		{name: "nobody's names", sni: "x.example", authority: "y.example:1"},
		{name: "default for names that are nobody's", byDefault: "edge/fallback", sni: "x.example", authority: "y.example:1", want: "edge/fallback"},
		{name: "default for no name", byDefault: "edge/fallback", want: "edge/fallback"},
		{name: "a known name goes before the default", byDefault: "edge/fallback", authority: "a.mesh.example", want: "edge/a"},
		{name: "a default that does not exist", byDefault: "edge/none", authority: "y.example:1"},
		{name: "junk", sni: "\x00", authority: "[[::1]:x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := NewResolver(m, test.byDefault)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := r.Resolve(test.sni, test.authority)
			if diff := cmp.Diff(test.want, got.ClusterName()); diff != "" || ok != (test.want != "") {
				t.Errorf("Resolve(%q, %q): ok %v (-want +got):\n%s", test.sni, test.authority, ok, diff)
			}
		})
	}
}

func TestDefaultClusterMustBeAPair(t *testing.T) {
	for _, name := range []string{"edge", "edge/", "/a", "edge/a/b", "edge/-a"} {
		if _, err := NewResolver(fleet(t, nil), name); err == nil {
			t.Errorf("NewResolver accepts the default cluster %q", name)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"", "a.mesh.example", "[2001:db8::7]:1", "10.0.0.7:x", "\xff"} {
		f.Add(seed, seed)
	}
	m := fleet(f, map[string][]string{"a": {"a.mesh.example"}})
	r, err := NewResolver(m, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sni, authority string) {
		if got, ok := r.Resolve(sni, authority); ok != (got != "") || ok && m.Set().Get(got) == nil {
			t.Errorf("Resolve(%q, %q) = %q, %v", sni, authority, got, ok)
		}
	})
}
