package intent

import (
	"net/netip"
	"strings"
)

// OutboundSpec is a service outside the mesh that apps may call.
type OutboundSpec struct {
	App                 string       `json:"app"`
	AppLabel            string       `json:"appLabel,omitempty"`
	ExternalServiceName string       `json:"externalServiceName"` // host name
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

func (o *OutboundSpec) validate(v *violations) {
	v.in("app").check(CheckName(o.App))
	if o.AppLabel != "" {
		v.in("appLabel").check(checkAppLabel(o.AppLabel))
	}
	v.in("externalServiceName").check(checkHost(o.ExternalServiceName))
	v.in("port").check(checkPort(o.Port))
	v.in("protocol").check(checkProtocol(o.Protocol))
	v.in("resolution").oneOf(o.Resolution, "DNS", "STATIC", "NONE")
	o.validateEndpoints(v.in("endpoints"))
	if o.TLS != nil {
		o.TLS.validate(v.in("tls"))
	}
	o.notYet(v)
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
		if _, err := netip.ParseAddr(e); err != nil && o.Resolution == "STATIC" {
			v.at(i).add("must be an IP address with resolution STATIC")
		}
	}
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
	case t.Mode == TLSSimple && client:
		v.add("mode %s shows no client certificate: use %s", TLSSimple, TLSMutual)
	case t.Mode == TLSNone && (client || t.CACertificate != "" || t.CredentialName != "" || t.SNI != ""):
		v.add("mode %s takes no other field", TLSNone)
	}
}
