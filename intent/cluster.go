package intent

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
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
	IPFamilies    []IPFamily    `json:"ipFamilies,omitempty"` // that its pods have; when not given, what its gateways show
	Delivery      Delivery      `json:"delivery,omitempty"`   // default both
}

// IPFamily is a version of the Internet Protocol, as Kubernetes names it.
type IPFamily string

// The families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

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
	for i, a := range g.Addresses {
		if addr, err := netip.ParseAddr(a); err == nil {
			g.Addresses[i] = addr.Unmap().String()
		}
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
// What is none of these comes back nearly as it was, for validation to refuse.
func NormalizeAuthority(s string) string {
	host := trimHost(strings.ToLower(s))
	if rest, ok := strings.CutPrefix(host, "["); ok {
		inside, _, _ := strings.Cut(rest, "]")
		if addr, err := netip.ParseAddr(inside); err == nil {
			return plainAddr(addr)
		}
		return host
	}
	if name, port, ok := strings.Cut(host, ":"); ok && strings.Trim(port, "0123456789") == "" {
		host = trimHost(name)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return plainAddr(addr)
	}
	return host
}

// trimHost drops the space around a host name and the dot of the DNS root.
func trimHost(s string) string {
	return strings.TrimRightFunc(strings.TrimSpace(s), func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

func plainAddr(addr netip.Addr) string { return addr.Unmap().WithZone("").String() }

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
	for i, f := range c.IPFamilies {
		v.in("ipFamilies").at(i).oneOf(string(f), string(IPv4), string(IPv6))
		if slices.Contains(c.IPFamilies[:i], f) {
			v.in("ipFamilies").at(i).add("%s stands there already", f)
		}
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
		if first := slices.Index(g.Addresses, a); first < i {
			v.in("addresses").at(i).add("%q stands at index %d already", clip(a), first)
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
