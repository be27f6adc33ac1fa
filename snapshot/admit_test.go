package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// TestTooMuchOfLittle holds that intents which are small, and make much of what
// they say, are refused before Istio's validation looks at it.
func TestTooMuchOfLittle(t *testing.T) {
	long := strings.Repeat("x", 900)
	inbound := inboundSpec(0)
	inbound.JWT = []intent.JWTRule{{Issuer: "a", JWKSURI: "https://a.example/keys"}}
	for i := range 31 {
		inbound.Ports = append(inbound.Ports, intent.ServicePort{Port: 2000 + i, Protocol: "HTTP"})
	}
	ap, rule := &intent.AccessPointSpec{Action: intent.Allow, Access: []string{"GET"}}, &intent.RoutingRuleSpec{}
	for i := range 250 {
		ap.URL = append(ap.URL, fmt.Sprint("/", i, long))
	}
	for i := range 60 {
		ap.Users = append(ap.Users, intent.User{Issuer: "a", Claims: map[string][]string{fmt.Sprint("c", i): {"x"}}})
	}
	for i := range 32 {
		rule.Match = append(rule.Match, intent.RouteMatch{Path: &intent.StringMatch{Exact: fmt.Sprint("/", i)}})
	}
	raw := rawSpec("much", 0)
	raw.Resource.Spec = fmt.Appendf(nil, `{"hosts":["h.example.com"],"http":[{"route":[{"destination":{"host":"h.example.com"}}],"match":[%s{}]}]}`,
		strings.Repeat(`{"uri":{"exact":"/"}},`, 1000))
	for path, c := range map[intent.Path]struct {
		spec intent.Spec
		want string
	}{
		inboundPath(0, 0) + "/clients/c/access-points/much": {ap, "would make an object of "},
		inboundPath(0, 0) + "/routing-rules/much":           {rule, "would make a VirtualService with 1056 matches, 1000 at most"},
		rawPath(0, 0): {raw, "would make a VirtualService with 1001 matches, 1000 at most"},
	} {
		m := newMemory()
		for i := range 2 {
			m.mustApply(t, putOp(t, clusterPath(i), clusterSpec(i)))
		}
		m.mustApply(t, putOp(t, groupPath(0), groupSpec("shop", 0, 1)), putOp(t, groupPath(0)+"/traffic-group-intents/tg", &intent.TrafficGroupSpec{}))
		m.mustApply(t, service(t, 0, 0)...)
		m.mustApply(t, putOp(t, inboundPath(0, 0), inbound))
		before := m.Set()
		m.mustApply(t, putOp(t, path, c.spec))
		transactions, _ := m.Since(before.Revision())
		_, err := Admit(before, m.Set(), changesOf(transactions))
		var refusal *intent.Error
		if !errors.As(err, &refusal) || refusal.Kind != intent.Invalid || !strings.HasPrefix(refusal.Violations[0].Message, c.want) {
			t.Errorf("%s: %v, want it refused because it %s", path, err, c.want)
		}
	}
}
