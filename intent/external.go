package intent

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"slices"
	"strings"
)

// Entry says at which port of an ingress gateway something comes in, and so by
// what it is told apart there.
type Entry string

// The entries.
const (
	EntryHTTP  Entry = "http"  // the gateway's HTTP port: plain HTTP, told apart by the host it asks for
	EntryHTTPS Entry = "https" // the gateway's HTTPS port: TLS, told apart by its server name (SNI)
	EntryPort  Entry = "port"  // the service's own port number: plain TCP, which nothing tells apart
)

// Exposure is one port of a service as clients outside the mesh reach it.
type Exposure struct {
	Port  ServicePort
	Entry Entry
}

// Passthrough reports whether the service's own TLS is passed on as it is.
func (e *Exposure) Passthrough() bool { return e.Port.Protocol == "TLS" || e.Port.Protocol == "HTTPS" }

// Terminated reports whether the gateway ends clients' TLS, with the
// certificate that the intent names.
func (e *Exposure) Terminated() bool { return e.Entry == EntryHTTPS && !e.Passthrough() }

// At is the port of a gateway at which the exposure's connections arrive.
func (e *Exposure) At(g *Gateway) int {
	ports := g.Ports
	if ports == nil {
		ports = &GatewayPorts{}
	}
	switch e.Entry {
	case EntryHTTP:
		return cmp.Or(ports.HTTP, 80)
	case EntryHTTPS:
		return cmp.Or(ports.HTTPS, 443)
	}
	return e.Port.Port
}

// Exposures lists how each port of the service is reached from outside the
// mesh, and the ports that can't be, in their order; both are empty without
// externalSupport.
//
// A service has one external name, and at a gateway's HTTP or HTTPS port a name
// leads to one port of it: to the first that comes in there. Only plain TCP
// comes in at a port of its own.
func (s *InboundSpec) Exposures() (out []Exposure, left []ServicePort) {
	if !s.ExternalSupport {
		return nil, nil
	}
	taken := map[Entry]bool{}
	for _, p := range s.AllPorts() {
		e := Exposure{Port: p, Entry: EntryPort}
		switch {
		case e.Passthrough() || s.Certificates() != nil:
			e.Entry = EntryHTTPS
		case p.Protocol.IsHTTP():
			e.Entry = EntryHTTP
		}
		if p.Protocol == "UDP" || taken[e.Entry] {
			left = append(left, p)
			continue
		}
		taken[e.Entry] = e.Entry != EntryPort
		out = append(out, e)
	}
	return out, left
}

// Certificates are those with which gateways answer clients outside the mesh,
// or nil for none.
func (s *InboundSpec) Certificates() *Certificates {
	if s.External == nil || s.External.ExternalCerts == nil || *s.External.ExternalCerts == (Certificates{}) {
		return nil
	}
	return s.External.ExternalCerts
}

// ExternalHost is the name by which clients outside the mesh call an inbound:
// the one it gives, or its global name; "" when they can't.
func (s *Set) ExternalHost(inbound *Object) string {
	spec := inbound.Spec.(*InboundSpec)
	switch {
	case !spec.ExternalSupport:
		return ""
	case spec.ExternalName != "":
		return spec.ExternalName
	}
	return s.Host(inbound)
}

// validateServer is validate for what a gateway shows its clients.
func (c *Certificates) validateServer(v *violations) {
	c.validate(v)
	if c.CACertificate != "" && c.ServiceCertificate == "" && c.ServicePrivateKey == "" && c.CredentialName == "" {
		v.add("caCertificate judges clients' certificates, and the gateway needs its own: give serviceCertificate and servicePrivateKey, too")
	}
}

// checkKeyPair says whether a certificate and key, in base64 of PEM, belong
// together. What either is by itself is judged elsewhere.
func checkKeyPair(certificate, key string) string {
	if checkPEM(certificate, "CERTIFICATE") != "" || checkPEM(key, "PRIVATE KEY") != "" || certificate == "" || key == "" {
		return ""
	}
	certPEM, _ := base64.StdEncoding.DecodeString(certificate) // checked above
	keyPEM, _ := base64.StdEncoding.DecodeString(key)
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil { // the error is not repeated: it quotes its input
		return "does not belong to the certificate, or can't be read: give the unencrypted key that the certificate was made for"
	}
	return ""
}

// checkExternal holds that, on any one cluster, an external name leads to one
// inbound at each port of the ingress gateways, and so does a port that comes
// in without a name.
func (d *draft) checkExternal(in *Object, v *violations) {
	exposures, _ := in.Spec.(*InboundSpec).Exposures()
	clusters := d.next.ServerClusters(in)
	for _, e := range exposures {
		if e.Entry == EntryPort {
			d.checkExternalPort(in, &e, clusters, v)
		} else {
			d.checkExternalName(in, &e, clusters, v)
		}
	}
}

func (d *draft) checkExternalName(in *Object, e *Exposure, clusters []Path, v *violations) {
	host := d.next.ExternalHost(in)
	for p := range d.next.lookup(byExternal, host) {
		other := d.next.Get(p)
		if p == in.Path {
			continue
		}
		d.checkPublished(host, clusters, other, v)
		shared := common(clusters, d.next.ServerClusters(other))
		if shared == "" {
			continue
		}
		theirs, _ := other.Spec.(*InboundSpec).Exposures()
		if slices.ContainsFunc(theirs, func(t Exposure) bool { return t.Entry == e.Entry }) {
			v.in("externalName").add("%q at the %s port of the ingress gateways of cluster %s is claimed by %s: choose another externalName", host, e.Entry, shared.ClusterName(), p)
		}
	}
}

func (d *draft) checkExternalPort(in *Object, e *Exposure, clusters []Path, v *violations) {
	at := v.in("port")
	if i := slices.IndexFunc(in.Spec.(*InboundSpec).Ports, func(p ServicePort) bool { return p.Port == e.Port.Port }); i >= 0 {
		at = v.in("ports").at(i).in("port")
	}
	for p := range d.next.lookup(byExternalPort, itoa(e.Port.Port)) {
		shared := common(clusters, d.next.ServerClusters(d.next.Get(p)))
		if p != in.Path && shared != "" {
			at.add("port %d of the ingress gateways of cluster %s is claimed by %s, and nothing tells plain connections apart: choose another port, or give externalCerts", e.Port.Port, shared.ClusterName(), p)
		}
	}
	for _, cluster := range clusters {
		for _, g := range d.next.Get(cluster).Spec.(*ClusterSpec).GatewaysOf(Ingress) {
			if use := g.usesOf(e.Port.Port); use != "" {
				at.add("port %d is the %s port of gateway %s of cluster %s: choose another port, or give externalCerts", e.Port.Port, use, g.Name, cluster.ClusterName())
				return
			}
		}
	}
}

// GatewaysOf lists the cluster's gateways with a role, in the record's order.
func (c *ClusterSpec) GatewaysOf(role GatewayRole) []*Gateway {
	var out []*Gateway
	for i := range c.Gateways {
		if c.Gateways[i].Role == role {
			out = append(out, &c.Gateways[i])
		}
	}
	return out
}

// Holds reports whether a name belongs in the zone; any does when the record
// tells none.
func (z *DNSZone) Holds(host string) bool {
	return z.Zone == "" || host == z.Zone || strings.HasSuffix(host, "."+z.Zone)
}

// usesOf says what a gateway takes a port for by itself, or "".
func (g *Gateway) usesOf(port int) string {
	if g.Ports == nil {
		return ""
	}
	switch port {
	case g.Ports.HTTP:
		return "http"
	case g.Ports.HTTPS:
		return "https"
	case g.Ports.TLS:
		return "tls"
	}
	return ""
}

// drawInEntered adds what comes in at a cluster's ingress gateways when their
// ports have changed, for a port may have become one that an inbound claims; or
// where their names are published.
func (d *draft) drawInEntered(c Change, inbounds, resources drawn) {
	if c.Old == nil || sameEntries(c.Old.Spec.(*ClusterSpec), c.New.Spec.(*ClusterSpec)) {
		return
	}
	for o := range d.next.ChoosersOf(c.Path) {
		d.drawIn(o, c.Path, inbounds, resources)
	}
}

func sameEntries(a, b *ClusterSpec) bool {
	if (a.DNS == nil) != (b.DNS == nil) || a.DNS != nil && *a.DNS != *b.DNS || a.Delivery != b.Delivery {
		return false
	}
	return slices.EqualFunc(a.GatewaysOf(Ingress), b.GatewaysOf(Ingress), func(g, h *Gateway) bool {
		return (g.Ports == nil) == (h.Ports == nil) && (g.Ports == nil || *g.Ports == *h.Ports)
	})
}
