package intent

import (
	"strings"
)

// Protocol is what a port speaks, in upper case.
type Protocol string

// protocols lists what a service port may speak, and whether Istio reads HTTP
// in it.
var protocols = map[Protocol]bool{
	"HTTP": true, "HTTP2": true, "GRPC": true, "GRPC-WEB": true,
	"HTTPS": false, "TLS": false, "TCP": false, "MONGO": false, "MYSQL": false, "REDIS": false, "UDP": false,
}

// IsHTTP reports whether proxies can read HTTP in the protocol, so that
// methods, paths and headers mean something.
func (p Protocol) IsHTTP() bool { return protocols[p] }

// InboundSpec is a service that others may call.
type InboundSpec struct {
	App             string         `json:"app"`
	AppLabel        string         `json:"appLabel"` // key=value on the serving pods
	ServiceName     string         `json:"serviceName"`
	Port            int            `json:"port"`
	Protocol        Protocol       `json:"protocol"`
	TargetPort      int            `json:"targetPort,omitempty"` // of the serving pods; default: Port
	Ports           []ServicePort  `json:"ports,omitempty"`      // more ports of the same service
	GlobalName      string         `json:"globalName,omitempty"`
	ExternalSupport bool           `json:"externalSupport,omitempty"`
	ExternalName    string         `json:"externalName,omitempty"`
	ServiceMesh     string         `json:"serviceMesh,omitempty"` // istio (default) or none
	Management      *Management    `json:"management,omitempty"`
	External        *External      `json:"external,omitempty"`
	Headless        bool           `json:"headless,omitempty"`
	TrafficPolicy   *TrafficPolicy `json:"trafficPolicy,omitempty"`
	Authorization   string         `json:"authorization,omitempty"` // access-points (default), clients, open
	JWT             []JWTRule      `json:"jwt,omitempty"`

	// Istio is the older spelling of TrafficPolicy and Management; normalize
	// moves it there.
	Istio *WikiIstio `json:"istio,omitempty"`
}

// ServicePort is a further port of an inbound service.
type ServicePort struct {
	Name       string   `json:"name,omitempty"`
	Port       int      `json:"port"`
	Protocol   Protocol `json:"protocol"`
	TargetPort int      `json:"targetPort,omitempty"`
}

// Management says how a service is reached inside the mesh.
type Management struct {
	SidecarProxy string `json:"sidecarProxy,omitempty"` // yes or no
	TLSType      string `json:"tlsType,omitempty"`      // MUTUAL, SIMPLE, NONE
}

// External is how clients outside the mesh reach a service.
type External struct {
	ExternalCerts *Certificates `json:"externalCerts,omitempty"`
}

// Certificates are base64 PEM, or the name of a secret that is already there.
type Certificates struct {
	ServiceCertificate string `json:"serviceCertificate,omitempty"`
	ServicePrivateKey  string `json:"servicePrivateKey,omitempty"`
	CACertificate      string `json:"caCertificate,omitempty"`
	CredentialName     string `json:"credentialName,omitempty"`
}

// JWTRule names an issuer of end-user tokens that the service accepts.
type JWTRule struct {
	Issuer               string   `json:"issuer"`
	JWKSURI              string   `json:"jwksUri,omitempty"`
	JWKS                 string   `json:"jwks,omitempty"`
	Audiences            []string `json:"audiences,omitempty"`
	ForwardOriginalToken bool     `json:"forwardOriginalToken,omitempty"`
}

// The values of InboundSpec.Authorization.
const (
	AuthorizeAccessPoints = "access-points" // once an access point exists, declared clients within theirs
	AuthorizeClients      = "clients"       // declared clients, anything
	AuthorizeOpen         = "open"          // anyone
)

// The values of Management.TLSType.
const (
	TLSMutual = "MUTUAL"
	TLSSimple = "SIMPLE"
	TLSNone   = "NONE"
)

// AllPorts lists the service's ports, the first one named after its protocol.
func (s *InboundSpec) AllPorts() []ServicePort {
	ports := []ServicePort{{Name: PortName(s.Protocol, s.Port), Port: s.Port, Protocol: s.Protocol, TargetPort: s.TargetPort}}
	for _, p := range s.Ports {
		if p.Name == "" {
			p.Name = PortName(p.Protocol, p.Port)
		}
		ports = append(ports, p)
	}
	return ports
}

// PortName is the name of a port that its intent left unnamed, in the form
// that Istio reads a protocol from: http-8080.
func PortName(p Protocol, port int) string {
	return strings.ToLower(string(p)) + "-" + itoa(port)
}

// IsHTTP reports whether any of the service's ports speaks HTTP.
func (s *InboundSpec) IsHTTP() bool {
	for _, p := range s.AllPorts() {
		if p.Protocol.IsHTTP() {
			return true
		}
	}
	return false
}

// TLSMode is the service's TLS type, MUTUAL unless it says otherwise; NONE
// where no proxy could end that.
func (s *InboundSpec) TLSMode() string {
	switch {
	case s.Management != nil && s.Management.TLSType != "":
		return s.Management.TLSType
	case s.Proxied():
		return TLSMutual
	}
	return TLSNone
}

func (s *InboundSpec) normalize() {
	s.Protocol = Protocol(strings.ToUpper(string(s.Protocol)))
	for i := range s.Ports {
		s.Ports[i].Protocol = Protocol(strings.ToUpper(string(s.Ports[i].Protocol)))
	}
	s.GlobalName = strings.ToLower(s.GlobalName)
	s.ExternalName = strings.ToLower(s.ExternalName)
	s.ServiceMesh = strings.ToLower(s.ServiceMesh)
	if s.ServiceMesh == "" {
		s.ServiceMesh = "istio"
	}
	if s.Authorization == "" {
		s.Authorization = AuthorizeAccessPoints
	}
	s.Istio.fold(s)
	if m := s.Management; m != nil {
		m.TLSType = strings.ToUpper(m.TLSType)
		m.SidecarProxy = strings.ToLower(m.SidecarProxy)
	}
	s.TrafficPolicy.normalize()
}

func (s *InboundSpec) validate(v *violations) {
	v.in("app").check(CheckName(s.App))
	v.in("appLabel").check(checkAppLabel(s.AppLabel))
	v.in("serviceName").check(checkDNSLabel(s.ServiceName))
	v.in("port").check(checkPort(s.Port))
	v.in("protocol").check(checkProtocol(s.Protocol))
	if s.TargetPort != 0 {
		v.in("targetPort").check(checkPort(s.TargetPort))
	}
	s.validatePorts(v.in("ports"))
	if s.GlobalName != "" {
		v.in("globalName").check(checkFullHost(s.GlobalName))
	}
	if s.ExternalName != "" {
		v.in("externalName").check(checkHost(s.ExternalName))
	}
	v.in("serviceMesh").oneOf(s.ServiceMesh, "istio", "none")
	v.in("authorization").oneOf(s.Authorization, AuthorizeAccessPoints, AuthorizeClients, AuthorizeOpen)
	if m := s.Management; m != nil {
		v.in("management").in("sidecarProxy").oneOf(m.SidecarProxy, "", "yes", "no")
		v.in("management").in("tlsType").oneOf(m.TLSType, "", TLSMutual, TLSSimple, TLSNone)
	}
	if s.External != nil && s.External.ExternalCerts != nil {
		s.External.ExternalCerts.validateServer(v.in("external").in("externalCerts"))
	}
	s.TrafficPolicy.validate(v.in("trafficPolicy"))
	for i, j := range s.JWT {
		j.validate(v.in("jwt").at(i))
	}
	s.checkMesh(v)
	if len(s.JWT) > 0 && !s.IsHTTP() {
		v.in("jwt").add("needs a port on which proxies can read HTTP: on no other does a call carry a token")
	}
}

func (s *InboundSpec) validatePorts(v *violations) {
	type transport struct { // UDP and TCP number their ports apart
		port int
		udp  bool
	}
	numbers, names := map[transport]bool{{s.Port, s.Protocol == "UDP"}: true}, map[string]bool{PortName(s.Protocol, s.Port): true}
	for i, p := range s.Ports {
		at := v.at(i)
		if p.Name != "" {
			at.in("name").check(checkDNSLabel(p.Name))
		}
		at.in("port").check(checkPort(p.Port))
		at.in("protocol").check(checkProtocol(p.Protocol))
		if p.TargetPort != 0 {
			at.in("targetPort").check(checkPort(p.TargetPort))
		}
		number := transport{p.Port, p.Protocol == "UDP"}
		if numbers[number] {
			at.in("port").add("%d is a port of this service already", p.Port)
		}
		name := p.Name
		if name == "" {
			name = PortName(p.Protocol, p.Port)
		}
		if names[name] && !numbers[number] {
			at.in("name").add("%q names another port of this service already", name)
		}
		numbers[number], names[name] = true, true
	}
}

func (c *Certificates) validate(v *violations) {
	c.validateAs(v, "serviceCertificate", "servicePrivateKey")
}

// validateAs is validate where the certificate and key go by other names.
func (c *Certificates) validateAs(v *violations, certificate, key string) {
	inline := c.ServiceCertificate != "" || c.ServicePrivateKey != "" || c.CACertificate != ""
	if c.CredentialName != "" {
		v.in("credentialName").check(checkDNSName(c.CredentialName))
	}
	if strings.HasPrefix(c.CredentialName, KeptPrefix) { // it may be another intent's
		v.in("credentialName").add("%q begins with %q, which is kept for generated secrets: choose another name", clip(c.CredentialName), KeptPrefix)
	}
	if c.CredentialName != "" && inline {
		v.add("give either credentialName or certificates, not both")
	}
	if (c.ServiceCertificate == "") != (c.ServicePrivateKey == "") {
		v.add("%s and %s belong together: one of them is missing", certificate, key)
	}
	v.in(certificate).check(checkPEM(c.ServiceCertificate, "CERTIFICATE"))
	v.in(key).check(checkPEM(c.ServicePrivateKey, "PRIVATE KEY"))
	v.in(key).check(checkKeyPair(c.ServiceCertificate, c.ServicePrivateKey))
	v.in("caCertificate").check(checkPEM(c.CACertificate, "CERTIFICATE"))
}

func (j *JWTRule) validate(v *violations) {
	v.in("issuer").check(checkNotEmpty(j.Issuer))
	if (j.JWKSURI == "") == (j.JWKS == "") {
		v.add("give exactly one of jwksUri and jwks")
	}
	if j.JWKSURI != "" {
		v.in("jwksUri").check(checkHTTPURL(j.JWKSURI))
	}
	if j.JWKS != "" {
		v.in("jwks").check(checkJWKS(j.JWKS))
	}
	eachNotEmpty(v.in("audiences"), j.Audiences)
}
