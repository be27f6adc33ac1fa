package intent

import (
	"fmt"
	"net/netip"
	"strings"
)

// GatewayRole says what a cluster's gateway is for.
type GatewayRole string

// The roles.
const (
	EastWest GatewayRole = "eastwest"
	Ingress  GatewayRole = "ingress"
	Egress   GatewayRole = "egress"
)

// Delivery says by which channels a cluster takes its objects.
type Delivery string

// The channels.
const (
	DeliverXDS    Delivery = "xds"
	DeliverBundle Delivery = "bundle"
	DeliverBoth   Delivery = "both"
)

// ClusterSpec is a member cluster as its operator describes it.
type ClusterSpec struct {
	Network       string        `json:"network,omitempty"`
	Region        string        `json:"region,omitempty"`
	Zone          string        `json:"zone,omitempty"`
	TrustDomain   string        `json:"trustDomain,omitempty"`   // default cluster.local
	ClusterDomain string        `json:"clusterDomain,omitempty"` // default cluster.local
	Istio         *IstioInstall `json:"istio,omitempty"`
	Gateways      []Gateway     `json:"gateways,omitempty"`
	Authorities   []string      `json:"authorities,omitempty"` // names under which this cluster's istiod dials us
	DNS           *DNSZone      `json:"dns,omitempty"`
	Delivery      Delivery      `json:"delivery,omitempty"` // default both
}

// IstioInstall is the Istio that runs in a cluster.
type IstioInstall struct {
	Version       string `json:"version,omitempty"`
	Revision      string `json:"revision,omitempty"`
	RootNamespace string `json:"rootNamespace,omitempty"` // default istio-system
}

// Gateway is one of a cluster's gateway workloads.
type Gateway struct {
	Name      string            `json:"name"`
	Role      GatewayRole       `json:"role"`
	Namespace string            `json:"namespace,omitempty"` // default istio-system
	Selector  map[string]string `json:"selector,omitempty"`  // default istio: <name>
	Addresses []string          `json:"addresses,omitempty"` // IPs, or one host name
	Ports     *GatewayPorts     `json:"ports,omitempty"`
}

// GatewayPorts are the ports under which a gateway's addresses are reached.
type GatewayPorts struct {
	TLS   int `json:"tls,omitempty"`   // default 15443
	HTTP  int `json:"http,omitempty"`  // default 80
	HTTPS int `json:"https,omitempty"` // default 443
}

// DNSZone is where names of this cluster's external services are published.
type DNSZone struct {
	Provider string `json:"provider,omitempty"`
	Zone     string `json:"zone,omitempty"`
}

// Gateway returns the cluster's first gateway with a role, or nil.
func (c *ClusterSpec) Gateway(role GatewayRole) *Gateway { return gatewayOf(c.Gateways, role) }

func gatewayOf(gateways []Gateway, role GatewayRole) *Gateway {
	for i := range gateways {
		if gateways[i].Role == role {
			return &gateways[i]
		}
	}
	return nil
}

func (c *ClusterSpec) normalize() {
	for i, a := range c.Authorities {
		c.Authorities[i] = NormalizeAuthority(a)
	}
	if c.TrustDomain == "" {
		c.TrustDomain = "cluster.local"
	}
	if c.ClusterDomain == "" {
		c.ClusterDomain = "cluster.local"
	}
	if c.Delivery == "" {
		c.Delivery = DeliverBoth
	}
	for i := range c.Gateways {
		c.Gateways[i].normalize()
	}
}

func (g *Gateway) normalize() {
	if g.Namespace == "" {
		g.Namespace = "istio-system"
	}
	if len(g.Selector) == 0 && g.Name != "" {
		g.Selector = map[string]string{"istio": g.Name}
	}
	if g.Ports == nil {
		g.Ports = &GatewayPorts{}
	}
	for _, p := range []struct {
		port     *int
		standard int
	}{{&g.Ports.TLS, 15443}, {&g.Ports.HTTP, 80}, {&g.Ports.HTTPS, 443}} {
		if *p.port == 0 {
			*p.port = p.standard
		}
	}
}

// NormalizeAuthority turns a host, host:port or [v6]:port, as a connection or
// a cluster's record names it, into the bare lower-case host or IP address.
func NormalizeAuthority(s string) string {
	host := strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
	} else if strings.Count(host, ":") == 1 {
		host, _, _ = strings.Cut(host, ":")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().WithZone("").String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (c *ClusterSpec) validate(v *violations) {
	for _, d := range []struct{ field, value string }{{"trustDomain", c.TrustDomain}, {"clusterDomain", c.ClusterDomain}} {
		v.in(d.field).check(checkHost(d.value))
	}
	for _, t := range []struct{ field, value string }{{"network", c.Network}, {"region", c.Region}, {"zone", c.Zone}} {
		v.in(t.field).check(checkLabelValue(t.value))
	}
	switch c.Delivery {
	case DeliverXDS, DeliverBundle, DeliverBoth:
	default:
		v.in("delivery").add("%q is none of xds, bundle, both", c.Delivery)
	}
	if c.Istio != nil {
		c.Istio.validate(v.in("istio"))
	}
	c.validateGateways(v.in("gateways"))
	seen := map[string]int{}
	for i, a := range c.Authorities {
		at := v.in("authorities").at(i)
		at.check(checkHostOrIP(a))
		if first, ok := seen[a]; ok {
			at.add("%q stands at index %d already", a, first)
		}
		seen[a] = i
	}
	if c.DNS != nil {
		at := v.in("dns")
		at.in("provider").check(checkLabelValue(c.DNS.Provider))
		if c.DNS.Zone != "" {
			at.in("zone").check(checkHost(c.DNS.Zone))
		}
	}
}

func (i *IstioInstall) validate(v *violations) {
	if i.Version != "" && !versionRE.MatchString(i.Version) {
		v.in("version").add("%q is no Istio version such as 1.29.6", clip(i.Version))
	}
	if i.Revision != "" {
		v.in("revision").check(checkDNSLabel(i.Revision))
	}
	if i.RootNamespace != "" {
		v.in("rootNamespace").check(checkDNSLabel(i.RootNamespace))
	}
}

func (c *ClusterSpec) validateGateways(v *violations) {
	names := map[string]int{}
	roles := map[GatewayRole]int{}
	for i := range c.Gateways {
		g, at := &c.Gateways[i], v.at(i)
		g.validate(at)
		if first, ok := names[g.Name]; ok {
			at.in("name").add("%q is the name of gateway %d already", g.Name, first)
		} else {
			names[g.Name] = i
		}
		if first, ok := roles[g.Role]; ok && g.Role == EastWest {
			at.in("role").add("gateway %d is the cluster's %s gateway already: give that one all addresses", first, g.Role)
		} else {
			roles[g.Role] = i
		}
	}
}

func (g *Gateway) validate(v *violations) {
	v.in("name").check(CheckName(g.Name))
	switch g.Role {
	case EastWest, Ingress, Egress:
	default:
		v.in("role").add("%q is none of eastwest, ingress, egress", g.Role)
	}
	v.in("namespace").check(checkDNSLabel(g.Namespace))
	validateLabels(v.in("selector"), g.Selector)
	hosts := 0
	for i, a := range g.Addresses {
		v.in("addresses").at(i).check(checkHostOrIP(a))
		addr, err := netip.ParseAddr(a)
		if err != nil {
			hosts++
		} else if addr.IsUnspecified() || addr.IsMulticast() {
			v.in("addresses").at(i).add("%s can't be dialled: give the gateway's own address", a)
		}
	}
	if hosts > 0 && len(g.Addresses) > 1 {
		v.in("addresses").add("give either IP addresses or exactly one host name")
	}
	if g.Ports == nil {
		return
	}
	for _, p := range []struct {
		field string
		port  int
	}{{"tls", g.Ports.TLS}, {"http", g.Ports.HTTP}, {"https", g.Ports.HTTPS}} {
		v.in("ports").in(p.field).check(checkPort(p.port))
	}
}

// KeyValues folds EMCO's flat keys for a cluster's Istio gateways into the
// record, and returns the new record. Unknown keys are an error that names
// them all: EMCO's other kv-pairs mean nothing to Meshwright.
func (c *ClusterSpec) KeyValues(pairs map[string]string) (*ClusterSpec, error) {
	next := *c
	next.Gateways = append([]Gateway(nil), c.Gateways...)
	var vs violations
	for _, key := range sortedKeys(pairs) {
		field, ok := kvFields[key]
		if !ok {
			vs.in(key).add("is no key that Meshwright knows: it takes %s", strings.Join(sortedKeys(kvFields), ", "))
			continue
		}
		field(next.gatewayFor(), pairs[key], vs.in(key))
	}
	if err := vs.err("the key-value pairs are not legal"); err != nil {
		return nil, err
	}
	next.normalize()
	return &next, nil
}

// kvFields says what each of EMCO's keys sets on the ingress gateway, which
// EMCO also used as the east-west one: InternalPort is the port between
// clusters.
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

func (c *ClusterSpec) gatewayFor() kvGateways { return kvGateways{c} }

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
	var port int
	if _, err := fmt.Sscanf(value, "%d", &port); err != nil || fmt.Sprint(port) != value {
		v.add("%q is no port number", clip(value))
		return
	}
	v.check(checkPort(port))
	ports := GatewayPorts{}
	if g.Ports != nil {
		ports = *g.Ports
	}
	*field(&ports) = port
	g.Ports = &ports
}
