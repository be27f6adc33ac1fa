package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// OutboundSpec is a service outside the mesh that apps may call. The app
// speaks Protocol on Port; with TLS it is the mesh that opens it.
type OutboundSpec struct {
	App                 string       `json:"app"`
	AppLabel            string       `json:"appLabel,omitempty"`  // key=value on the calling pods; credentials without an egress gateway need it
	ExternalServiceName string       `json:"externalServiceName"` // host name, or *.domain with resolution NONE
	Port                int          `json:"port"`
	Protocol            Protocol     `json:"protocol"`
	Resolution          string       `json:"resolution,omitempty"` // DNS (default), STATIC, NONE
	Endpoints           []string     `json:"endpoints,omitempty"`
	TLS                 *OutboundTLS `json:"tls,omitempty"`
	EgressGateway       bool         `json:"egressGateway,omitempty"`
}

// OutboundTLS is the TLS that the mesh originates towards an outside service.
type OutboundTLS struct {
	Mode              string `json:"mode,omitempty"` // SIMPLE (default), MUTUAL, NONE
	SNI               string `json:"sni,omitempty"`
	ClientCertificate string `json:"clientCertificate,omitempty"`
	ClientPrivateKey  string `json:"clientPrivateKey,omitempty"`
	CACertificate     string `json:"caCertificate,omitempty"`
	CredentialName    string `json:"credentialName,omitempty"`
}

func (o *OutboundSpec) normalize() {
	o.Protocol = Protocol(strings.ToUpper(string(o.Protocol)))
	o.ExternalServiceName = strings.ToLower(o.ExternalServiceName)
	o.Resolution = strings.ToUpper(o.Resolution)
	if o.Resolution == "" {
		o.Resolution = "DNS"
	}
	if t := o.TLS; t != nil {
		t.Mode = strings.ToUpper(t.Mode)
		if t.Mode == "" {
			t.Mode = TLSSimple
		}
		t.SNI = strings.ToLower(t.SNI)
	}
}

// Originates reports whether the mesh opens TLS towards the service.
func (o *OutboundSpec) Originates() bool {
	return o.TLS != nil && (o.TLS.Mode == TLSSimple || o.TLS.Mode == TLSMutual)
}

// HasCredentials reports whether TLS takes more than the certificates that
// every proxy trusts: a secret, given here or there already.
func (o *OutboundSpec) HasCredentials() bool {
	return o.Originates() && (o.TLS.CredentialName != "" || o.TLS.inline())
}

// TargetPort is the port that the service listens on: port 80 becomes 443 when
// the mesh opens TLS, any other stays.
func (o *OutboundSpec) TargetPort() int {
	if o.Port == 80 && o.Originates() {
		return 443
	}
	return o.Port
}

// IsOpaque reports whether a call does not say which host it is for, as HTTP
// does by its Host header and TLS by its server name.
func (o *OutboundSpec) IsOpaque() bool {
	return !o.Protocol.IsHTTP() && o.Protocol != "TLS" && o.Protocol != "HTTPS"
}

// Addresses are the IP addresses that alone tell an opaque service's calls
// from others: none means that it takes all calls to its port.
func (o *OutboundSpec) Addresses() []string {
	if o.IsOpaque() && o.Resolution == "STATIC" {
		return o.Endpoints
	}
	return nil
}

// collides reports whether proxies could not tell the calls of two services on
// one port apart.
func (o *OutboundSpec) collides(other *OutboundSpec) bool {
	if o.Port != other.Port || !o.IsOpaque() && !other.IsOpaque() {
		return false
	}
	a, b := o.Addresses(), other.Addresses()
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func (o *OutboundSpec) validate(v *violations) {
	v.in("app").check(CheckName(o.App))
	if o.AppLabel != "" {
		v.in("appLabel").check(checkAppLabel(o.AppLabel))
	}
	v.in("externalServiceName").check(o.checkName())
	v.in("port").check(checkPort(o.Port))
	v.in("protocol").check(checkProtocol(o.Protocol))
	if o.Protocol == "UDP" {
		v.in("protocol").add("UDP can't be given: Istio's proxies carry TCP alone")
	}
	v.in("resolution").oneOf(o.Resolution, "DNS", "STATIC", "NONE")
	if o.Resolution == "NONE" && o.IsOpaque() && o.Protocol != "UDP" {
		v.in("resolution").add("NONE can't be used with %s, whose calls name no host: it would open port %d of every address", o.Protocol, o.Port)
	}
	o.validateEndpoints(v.in("endpoints"))
	if o.TLS != nil {
		o.TLS.validate(v.in("tls"))
	}
	o.validateOrigination(v)
	if o.EgressGateway && o.Resolution == "NONE" {
		v.in("egressGateway").add("can't be used with resolution NONE: the gateway has to know where calls go")
	}
}

// checkName refuses a single word, too: Istio takes it for a Kubernetes
// service of the namespace.
func (o *OutboundSpec) checkName() string {
	name := o.ExternalServiceName
	domain, wildcard := strings.CutPrefix(name, "*.")
	switch msg := checkFullHost(domain); {
	case msg != "":
		return msg
	case wildcard && o.Resolution != "NONE":
		return fmt.Sprintf("%q stands for many hosts, which have no address in common: give resolution NONE", name)
	}
	return ""
}

// validateOrigination holds TLS to what the mesh can open.
func (o *OutboundSpec) validateOrigination(v *violations) {
	if !o.Originates() {
		return
	}
	at := v.in("tls")
	if o.Protocol == "TLS" || o.Protocol == "HTTPS" {
		at.in("mode").add("%s would put TLS into the TLS that the app opens itself with protocol %s: give the protocol inside it, such as HTTP or TCP, or leave tls out", o.TLS.Mode, o.Protocol)
	}
	switch {
	case strings.HasPrefix(o.ExternalServiceName, "*"):
		at.add("needs one host name to verify the server's certificate by, %q stands for many", o.ExternalServiceName)
	case o.Resolution == "NONE" && o.Port == 80:
		at.add("can't lead port 80 to port 443 with resolution NONE, where calls go where the app sends them: let the app call port 443, or use DNS")
	}
	if o.HasCredentials() && !o.EgressGateway && o.AppLabel == "" {
		v.in("appLabel").add("must be given with certificates or credentialName unless calls go through an egress gateway: Istio hands a secret to those sidecars only that a label selects")
	}
}

// validateEndpoints holds the endpoints to what the resolution does with them.
func (o *OutboundSpec) validateEndpoints(v *violations) {
	switch {
	case o.Resolution == "STATIC" && len(o.Endpoints) == 0:
		v.add("must be given with resolution STATIC")
	case o.Resolution == "NONE" && len(o.Endpoints) > 0:
		v.add("can't be given with resolution NONE: calls go where the app sends them")
	}
	for i, e := range o.Endpoints {
		v.at(i).check(checkHostOrIP(e))
		addr, err := netip.ParseAddr(e)
		switch {
		case err != nil && o.Resolution == "STATIC":
			v.at(i).add("must be an IP address with resolution STATIC")
		case err == nil && (addr.IsUnspecified() || addr.IsMulticast()):
			v.at(i).add("%s can't be dialled", e)
		}
		if slices.Contains(o.Endpoints[:i], e) {
			v.at(i).add("%q stands there already", clip(e))
		}
	}
}

// inline reports whether certificates are given here, not by name.
func (t *OutboundTLS) inline() bool {
	return t.ClientCertificate != "" || t.ClientPrivateKey != "" || t.CACertificate != ""
}

func (t *OutboundTLS) validate(v *violations) {
	v.in("mode").oneOf(t.Mode, TLSSimple, TLSMutual, TLSNone)
	if t.SNI != "" {
		v.in("sni").check(checkHost(t.SNI))
	}
	certs := Certificates{
		ServiceCertificate: t.ClientCertificate, ServicePrivateKey: t.ClientPrivateKey,
		CACertificate: t.CACertificate, CredentialName: t.CredentialName,
	}
	certs.validateAs(v, "clientCertificate", "clientPrivateKey")
	client := t.ClientCertificate != "" || t.ClientPrivateKey != ""
	switch {
	case t.Mode == TLSMutual && !client && t.CredentialName == "":
		v.add("mode %s needs clientCertificate and clientPrivateKey, or credentialName", TLSMutual)
	case t.Mode == TLSMutual && client && t.CACertificate == "":
		v.in("caCertificate").add("must be given with a client certificate: proxies take both from one secret, and would trust no server without it")
	case t.Mode == TLSSimple && client:
		v.add("mode %s shows no client certificate: use %s", TLSSimple, TLSMutual)
	case t.Mode == TLSNone && (client || t.CACertificate != "" || t.CredentialName != "" || t.SNI != ""):
		v.add("mode %s takes no other field", TLSNone)
	}
}
