package intent

import "strings"

// OutboundSpec is a service outside the mesh that apps may call.
type OutboundSpec struct {
	App                 string       `json:"app"`
	AppLabel            string       `json:"appLabel,omitempty"`
	ExternalServiceName string       `json:"externalServiceName"` // host name
	Port                int          `json:"port"`
	Protocol            Protocol     `json:"protocol"`
	Resolution          string       `json:"resolution,omitempty"` // DNS, STATIC, NONE
	Endpoints           []string     `json:"endpoints,omitempty"`
	TLS                 *OutboundTLS `json:"tls,omitempty"`
	EgressGateway       bool         `json:"egressGateway,omitempty"`
}

// OutboundTLS is the TLS that the mesh originates towards an outside service.
type OutboundTLS struct {
	Mode              string `json:"mode,omitempty"`
	SNI               string `json:"sni,omitempty"`
	ClientCertificate string `json:"clientCertificate,omitempty"`
	ClientPrivateKey  string `json:"clientPrivateKey,omitempty"`
	CACertificate     string `json:"caCertificate,omitempty"`
	CredentialName    string `json:"credentialName,omitempty"`
}

func (o *OutboundSpec) normalize() {
	o.Protocol = Protocol(strings.ToUpper(string(o.Protocol)))
	o.ExternalServiceName = strings.ToLower(o.ExternalServiceName)
}

func (o *OutboundSpec) validate(v *violations) {
	v.in("app").check(CheckName(o.App))
	if o.AppLabel != "" {
		v.in("appLabel").check(checkAppLabel(o.AppLabel))
	}
	v.in("externalServiceName").check(checkHost(o.ExternalServiceName))
	v.in("port").check(checkPort(o.Port))
	v.in("protocol").check(checkProtocol(o.Protocol))
	v.in("resolution").oneOf(o.Resolution, "", "DNS", "STATIC", "NONE")
	for i, e := range o.Endpoints {
		v.in("endpoints").at(i).check(checkHostOrIP(e))
	}
	o.notYet(v)
}
