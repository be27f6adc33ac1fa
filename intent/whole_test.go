package intent

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// dump is everything that a set holds, as text: its records, then its index.
func dump(t failer, s *Set) string {
	t.Helper()
	var b strings.Builder
	for r, err := range s.Records() {
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
		b.WriteByte('\n')
	}
	s.index.Scan(func(key string, p Path) bool {
		fmt.Fprintf(&b, "%q %s\n", key, p)
		return true
	})
	return b.String()
}

// restore writes a set out and reads it again.
func restore(t failer, s *Set) *Set {
	t.Helper()
	again, err := FromRecords(decoded(s.Records()))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// decoded sends records through their encoding.
func decoded(records iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range records {
			var again Record
			if err == nil {
				var data []byte
				if data, err = json.Marshal(r); err == nil {
					err = json.Unmarshal(data, &again)
				}
			}
			if !yield(again, err) {
				return
			}
		}
	}
}

// checkWhole holds a set to what is true of every set: its index is the one
// that its objects make, it comes back whole from its records, parents are
// there, each host in use has one address pair of its own, and nobody else
// has one, and services accept the tokens of the users that they have.
func checkWhole(t failer, s *Set) {
	t.Helper()
	if diff := cmp.Diff(dump(t, s), dump(t, restore(t, s))); diff != "" {
		t.Fatalf("the set and what its records make of it (-set +restored):\n%s", diff)
	}
	checkExternals(t, s)
	hosts := map[string]Path{}
	for _, k := range Kinds {
		for o := range s.List(k, "") {
			if parent := o.Path.Parent(); parent != "" && s.Get(parent) == nil {
				t.Fatalf("%s is without its parent", o.Path)
			}
			if o.Revision() > s.Revision() || o.Revision() == 0 {
				t.Fatalf("%s is of revision %d in a set of revision %d", o.Path, o.Revision(), s.Revision())
			}
			if k == KindInbound {
				if other, ok := hosts[s.Host(o)]; ok {
					t.Fatalf("host %s belongs to %s and %s", s.Host(o), other, o.Path)
				}
				hosts[s.Host(o)] = o.Path
			}
			if r, ok := o.Spec.(*RoutingRuleSpec); ok {
				checkRuleWhole(t, s, o.Path, r)
			}
			if ap, ok := o.Spec.(*AccessPointSpec); ok {
				for _, u := range ap.Users {
					if !s.Get(o.Path.Inbound()).Spec.(*InboundSpec).accepts(u.Issuer) {
						t.Fatalf("%s names users of %q, whose tokens its service does not accept", o.Path, u.Issuer)
					}
				}
			}
		}
	}
	owners := map[string]string{}
	s.vips.Scan(func(host string, vip VIP) bool {
		if hosts[host] == "" {
			t.Fatalf("%s has an address and no inbound", host)
		}
		for _, a := range []string{vip.V4.String(), vip.V6.String()} {
			if other, ok := owners[a]; ok {
				t.Fatalf("%s belongs to %s and %s", a, other, host)
			}
			owners[a] = host
		}
		return true
	})
	if len(owners) != 2*len(hosts) {
		t.Fatalf("%d addresses for %d hosts", len(owners), len(hosts))
	}
	if s.byID.Len() != s.bySeq.Len() || s.byID.Len() > MaxRepeats {
		t.Fatalf("%d remembered commands, %d in their order", s.byID.Len(), s.bySeq.Len())
	}
}

// checkRuleWhole holds that what a routing rule names is there, that its
// service can follow it, and that no other of its service's is in its place.
func checkRuleWhole(t failer, s *Set, p Path, r *RoutingRuleSpec) {
	t.Helper()
	names := []Path{}
	for _, m := range r.Match {
		for _, c := range m.Clients {
			names = append(names, p.Inbound()+"/clients/"+Path(c))
		}
	}
	for i := range r.Split {
		names = append(names, r.Split[i].clusterPath())
	}
	if other := r.Mirrored(p); other != "" {
		names = append(names, other)
	}
	for _, name := range names {
		if s.Get(name) == nil {
			t.Fatalf("%s names %s, which is not there", p, name)
		}
	}
	if in := s.Get(p.Inbound()).Spec.(*InboundSpec); !in.IsHTTP() && len(r.Match)+len(names)-len(r.Split) > 0 {
		t.Fatalf("%s matches calls of a service that speaks %s", p, in.Protocol)
	}
	for other := range s.RoutingRules(p.Inbound()) {
		theirs := other.Spec.(*RoutingRuleSpec)
		if other.Path != p && theirs.Priority == r.Priority && len(theirs.Match)+len(r.Match) == 0 {
			t.Fatalf("%s and %s match every call with one priority", p, other.Path)
		}
	}
}

// checkExternals holds that what comes in at a cluster's ingress gateways leads
// to one inbound.
func checkExternals(t failer, s *Set) {
	t.Helper()
	claims := map[string]Path{}
	for in := range s.List(KindInbound, "") {
		exposures, _ := in.Spec.(*InboundSpec).Exposures()
		for _, c := range s.ServerClusters(in) {
			for _, e := range exposures {
				claim := fmt.Sprint(c, e.Entry, s.ExternalHost(in))
				if e.Entry == EntryPort {
					claim = fmt.Sprint(c, e.Port.Port)
				}
				if other, ok := claims[claim]; ok {
					t.Fatalf("%s and %s come in at %s", other, in.Path, claim)
				}
				claims[claim] = in.Path
				for _, g := range s.Get(c).Spec.(*ClusterSpec).GatewaysOf(Ingress) {
					if e.Entry == EntryPort && (e.Port.Port == g.Ports.HTTP || e.Port.Port == g.Ports.HTTPS) {
						t.Fatalf("%s comes in at %s's own port %d on %s", in.Path, g.Name, e.Port.Port, c)
					}
				}
			}
		}
	}
}

// failer is what *testing.T, *testing.B and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
