package intent

import (
	"slices"
	"strconv"
	"strings"
)

// KeyValues folds EMCO's flat keys for a cluster's Istio gateways into the
// record, and returns the new record. Unknown keys are an error that names
// them all: EMCO's other kv-pairs mean nothing to Meshwright.
func (c *ClusterSpec) KeyValues(pairs map[string]string) (*ClusterSpec, error) {
	next := *c
	next.Authorities = slices.Clone(c.Authorities)
	next.Gateways = slices.Clone(c.Gateways)
	for i := range next.Gateways {
		next.Gateways[i].Addresses = slices.Clone(next.Gateways[i].Addresses)
		if ports := next.Gateways[i].Ports; ports != nil {
			next.Gateways[i].Ports = &GatewayPorts{TLS: ports.TLS, HTTP: ports.HTTP, HTTPS: ports.HTTPS}
		}
	}
	var vs violations
	for _, key := range sortedKeys(pairs) {
		known, ok := GatewayKey(key)
		field := kvFields[known]
		if !ok {
			vs.in(key).add("is no key that Meshwright knows: it takes %s", strings.Join(sortedKeys(kvFields), ", "))
			continue
		}
		field(kvGateways{&next}, pairs[key], vs.in(key))
	}
	if err := vs.err("the key-value pairs are not legal"); err != nil {
		return nil, err
	}
	next.normalize()
	return &next, nil
}

// GatewayKey is the canonical spelling of one of EMCO's keys for a gateway, in
// whatever case it comes (EMCO's own files write them in lower case); false for
// any other key.
func GatewayKey(key string) (string, bool) {
	for known := range kvFields {
		if strings.EqualFold(known, key) {
			return known, true
		}
	}
	return "", false
}

// kvFields says what each of EMCO's keys sets on the ingress gateway, which
// EMCO also used as the east-west one. Keys are taken in their order, so that
// Port, under which other clusters reach the gateway, wins over InternalPort.
var kvFields = map[string]func(gs kvGateways, value string, v *violations){
	"istioIngressGatewayAddress": func(gs kvGateways, value string, v *violations) {
		v.check(checkHostOrIP(value))
		for _, g := range gs.both() {
			g.Addresses = []string{value}
		}
	},
	"istioIngressGatewayPort": func(gs kvGateways, value string, v *violations) {
		gs.eastWest().setPort(func(p *GatewayPorts) *int { return &p.TLS }, value, v)
	},
	"istioIngressGatewayInternalPort": func(gs kvGateways, value string, v *violations) {
		gs.eastWest().setPort(func(p *GatewayPorts) *int { return &p.TLS }, value, v)
	},
	"istioIngressGatewayHttpPort": func(gs kvGateways, value string, v *violations) {
		gs.ingress().setPort(func(p *GatewayPorts) *int { return &p.HTTP }, value, v)
	},
	"istioIngressGatewayHttpsPort": func(gs kvGateways, value string, v *violations) {
		gs.ingress().setPort(func(p *GatewayPorts) *int { return &p.HTTPS }, value, v)
	},
}

// kvGateways finds or makes the gateways that EMCO's keys describe.
type kvGateways struct{ spec *ClusterSpec }

func (k kvGateways) eastWest() *Gateway { return k.named("eastwestgateway", EastWest) }
func (k kvGateways) ingress() *Gateway  { return k.named("ingressgateway", Ingress) }
func (k kvGateways) both() []*Gateway {
	k.eastWest() // both exist before either pointer is taken: append may move them
	k.ingress()
	return []*Gateway{k.eastWest(), k.ingress()}
}

func (k kvGateways) named(name string, role GatewayRole) *Gateway {
	if g := k.spec.Gateway(role); g != nil {
		return g
	}
	// EMCO knows one gateway, the ingress one: its workload serves both roles
	// until the record says otherwise.
	selector := map[string]string{"istio": "ingressgateway"}
	k.spec.Gateways = append(k.spec.Gateways, Gateway{Name: name, Role: role, Selector: selector})
	return k.spec.Gateway(role)
}

func (g *Gateway) setPort(field func(*GatewayPorts) *int, value string, v *violations) {
	port, err := strconv.Atoi(value)
	if err != nil {
		v.add("%q is no port number", clip(value))
		return
	}
	v.check(checkPort(port))
	if g.Ports == nil {
		g.Ports = &GatewayPorts{}
	}
	*field(g.Ports) = port
}
