package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// checkOutside holds what must be true of an outside host's ServiceEntry in a
// namespace: that TLS is opened on each port on which an outbound asks for it,
// whichever rule a proxy obeys, and that with an egress gateway it leads to
// the gateway alone, which takes each port's server name and goes on to a
// service of its own.
func checkOutside(t testing.TB, set *intent.Set, resources []Resource, entry *Resource, spec *networking.ServiceEntry) {
	t.Helper()
	if strings.HasSuffix(spec.Hosts[0], ".egress.meshwright") {
		return // the gateway's own
	}
	var rules []*networking.DestinationRule
	for _, r := range resources {
		if rule, ok := r.Spec.(*networking.DestinationRule); ok && r.Namespace == entry.Namespace && rule.Host == spec.Hosts[0] {
			rules = append(rules, rule)
		}
	}
	for _, origin := range entry.Origins {
		o := set.Get(origin).Spec.(*intent.OutboundSpec)
		for _, rule := range rules {
			tls := tlsOf(rule, uint32(o.Port))
			switch {
			case o.EgressGateway:
				checkEgress(t, resources, spec, tls, o)
			case o.Originates() && (tls == nil || !slices.Equal(tls.SubjectAltNames, []string{tls.Sni}) || tls.CaCertificates == "" && tls.CredentialName == ""):
				t.Errorf("%s: a rule opens no verified TLS on port %d: %v", origin, o.Port, tls)
			case o.HasCredentials() && tls.CredentialName != "" && rule.WorkloadSelector == nil:
				t.Errorf("%s: a rule without a selector names a secret: sidecars would send plain text", origin)
			}
		}
		if len(rules) == 0 && (o.EgressGateway || o.Originates()) {
			t.Errorf("%s: there is no DestinationRule for %s", origin, spec.Hosts[0])
		}
	}
	exports := map[string]bool{}
	for _, rule := range rules {
		if key := fmt.Sprint(rule.ExportTo, rule.WorkloadSelector != nil); exports[key] && rule.WorkloadSelector == nil || rule.WorkloadSelector == nil && len(rules) > 1 && rule.ExportTo[0] == "." {
			t.Errorf("istiod would merge the rules for %s: %v", spec.Hosts[0], rules)
		} else {
			exports[key] = true
		}
	}
}

func tlsOf(rule *networking.DestinationRule, port uint32) *networking.ClientTLSSettings {
	for _, s := range rule.TrafficPolicy.PortLevelSettings {
		if s.Port.Number == port {
			return s.Tls
		}
	}
	return nil
}

func checkEgress(t testing.TB, resources []Resource, entry *networking.ServiceEntry, tls *networking.ClientTLSSettings, o *intent.OutboundSpec) {
	t.Helper()
	name := intent.PortName(o.Protocol, o.Port)
	if len(entry.Endpoints) != 1 || !strings.Contains(entry.Endpoints[0].Address, ".svc.") || tls.GetMode() != networking.ClientTLSSettings_ISTIO_MUTUAL {
		t.Errorf("%s leads around the gateway: %v", entry.Hosts[0], entry)
		return
	}
	takes := map[string]int{}
	for _, r := range resources {
		switch spec := r.Spec.(type) {
		case *networking.Gateway:
			if s := spec.Servers[0]; s.Hosts[0] == tls.Sni && s.Port.Number == entry.Endpoints[0].Ports[name] && s.Tls.Mode == networking.ServerTLSSettings_ISTIO_MUTUAL {
				takes["Gateway"]++
			}
		case *networking.VirtualService:
			if spec.Hosts[0] == tls.Sni {
				takes["VirtualService"]++
			}
		case *networking.ServiceEntry:
			if spec.Hosts[0] == tls.Sni && spec.Ports[0].Number == uint32(o.Port) {
				takes["ServiceEntry"]++
			}
		case *networking.DestinationRule:
			if spec.Host == tls.Sni && o.TLS != nil {
				takes["DestinationRule"]++
			}
		}
	}
	want := map[string]int{"Gateway": 1, "VirtualService": 1, "ServiceEntry": 1}
	if o.TLS != nil {
		want["DestinationRule"] = 1
	}
	if fmt.Sprint(takes) != fmt.Sprint(want) {
		t.Errorf("%s:%d: the gateway has %v for the server name %s, want %v", entry.Hosts[0], o.Port, takes, tls.Sni, want)
	}
}

// randomOutbound calls one of a few hosts, so that some share one.
func randomOutbound(rt *rapid.T) *intent.OutboundSpec {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, label) }
	o := &intent.OutboundSpec{
		App: one("calling app", "server", "client"), AppLabel: "app=" + one("calling label", "web", "job"),
		ExternalServiceName: one("outside host", "a.example", "b.example"),
		Port:                rapid.SampledFrom([]int{80, 443, 5432}).Draw(rt, "outside port"),
		Protocol:            intent.Protocol(one("outside protocol", "HTTP", "GRPC", "TCP", "TLS")),
		EgressGateway:       rapid.Bool().Draw(rt, "egress gateway"),
	}
	if rapid.IntRange(0, 3).Draw(rt, "static") == 0 {
		o.Resolution, o.Endpoints = "STATIC", []string{"192.0.2.77", "2001:db8::77"}
	}
	if o.Protocol == "TLS" {
		return o
	}
	switch one("outside tls", "", "none", "simple", "mutual") {
	case "none":
		o.TLS = &intent.OutboundTLS{Mode: intent.TLSNone}
	case "simple":
		o.TLS = &intent.OutboundTLS{}
	case "mutual":
		o.TLS = &intent.OutboundTLS{Mode: intent.TLSMutual, CredentialName: "partner"}
	}
	return o
}

// TestSharedObjectsShowInEveryStatus holds that an outbound whose objects
// another one of its host makes is told of them, each once.
func TestSharedObjectsShowInEveryStatus(t *testing.T) {
	m := fleet(t, 2)
	tg := groupPath(0) + "/traffic-group-intents/tg"
	host := func(port int) *intent.OutboundSpec {
		return &intent.OutboundSpec{App: "server", ExternalServiceName: "a.example", Port: port, Protocol: "HTTP", TLS: &intent.OutboundTLS{}}
	}
	var ops []intent.Op
	for i, name := range []intent.Path{"a", "b", "c"} {
		ops = append(ops, putOp(t, tg+"/outbound-intents/"+name, host(8080+i)))
	}
	if err := m.apply(ops...); err != nil {
		t.Fatal(err)
	}
	v := newViews(m)
	v.build(t.Context(), m.Set())
	for cluster := range m.Set().List(intent.KindCluster, "") {
		view := v.View(cluster.Path)
		if !view.Concerns(tg + "/outbound-intents/a") {
			continue
		}
		for _, p := range []intent.Path{"a", "b", "c"} {
			var kinds []string
			for _, o := range view.By(tg + "/outbound-intents/" + p) {
				kinds = append(kinds, o.Type.Kind)
			}
			if got := strings.Join(kinds, " "); got != "ServiceEntry DestinationRule" {
				t.Errorf("objects of %s: %s", p, got)
			}
		}
		return
	}
	t.Fatal("no cluster is concerned")
}
