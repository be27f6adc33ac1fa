package snapshot

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// checkIngress holds, of what a cluster gets, that each port an ingress gateway
// opens for outside clients leads somewhere, shows a certificate that is there,
// and is told apart from every other that the same gateway opens.
func checkIngress(t testing.TB, resources []Resource) {
	t.Helper()
	claims := map[string]string{}
	for _, r := range resources {
		spec, ok := r.Spec.(*networking.Gateway)
		if !ok || r.Origins[0].Inbound() == "" || spec.Servers[0].GetTls().GetMode() == networking.ServerTLSSettings_AUTO_PASSTHROUGH {
			continue
		}
		at := slices.IndexFunc(resources, func(o Resource) bool {
			v, ok := o.Spec.(*networking.VirtualService)
			return ok && slices.Contains(v.Gateways, r.Namespace+"/"+r.Name)
		})
		if at < 0 {
			t.Errorf("Gateway %s/%s leads nowhere", r.Namespace, r.Name)
			continue
		}
		for _, server := range spec.Servers {
			if !leads(resources[at].Spec.(*networking.VirtualService), server) {
				t.Errorf("Gateway %s/%s: port %s leads nowhere", r.Namespace, r.Name, server.Port.Name)
			}
			claim := fmt.Sprint(r.Namespace, spec.Selector, server.Port.Number, server.Port.Protocol == "HTTP")
			if server.Port.Protocol != "TCP" {
				claim += server.Hosts[0]
			}
			if claims[claim] != "" {
				t.Errorf("%s and %s both open %s", claims[claim], r.Name, claim)
			}
			claims[claim] = r.Name
			if secret := server.GetTls().GetCredentialName(); strings.HasPrefix(secret, namePrefix) && !slices.ContainsFunc(resources, func(o Resource) bool {
				return o.Type.ID == Secret && o.Namespace == r.Namespace && o.Name == secret
			}) {
				t.Errorf("Gateway %s/%s shows %s, which is not there", r.Namespace, r.Name, secret)
			}
		}
	}
}

// leads reports whether a VirtualService has a route that a server's
// connections can take.
func leads(spec *networking.VirtualService, server *networking.Server) bool {
	if "./"+spec.Hosts[0] != server.Hosts[0] {
		return false
	}
	switch {
	case strings.HasPrefix(server.Port.Protocol, "HTTP"):
		last := len(spec.Http) - 1 // that takes what no other does
		return last >= 0 && len(spec.Http[last].Match) == 0
	case server.Tls != nil && server.Tls.Mode == networking.ServerTLSSettings_PASSTHROUGH:
		return slices.ContainsFunc(spec.Tls, func(r *networking.TLSRoute) bool {
			return r.Match[0].Port == server.Port.Number && "./"+r.Match[0].SniHosts[0] == server.Hosts[0]
		})
	}
	return slices.ContainsFunc(spec.Tcp, func(r *networking.TCPRoute) bool { return r.Match[0].Port == server.Port.Number })
}

// TestKeyStaysInSecret holds that a private key is in the Secret alone, and as
// PEM once it is decoded as Kubernetes does.
func TestKeyStaysInSecret(t *testing.T) {
	set := fleetFrom(t, "testdata/external-mutual/in.yaml")
	cluster := set.Get("/v2/cluster-providers/edge/clusters/a")
	manifests, problems := goldenOf(t, set, cluster)
	var inbound *intent.InboundSpec
	for o := range set.List(intent.KindInbound, "") {
		inbound = o.Spec.(*intent.InboundSpec)
	}
	key := inbound.External.ExternalCerts.ServicePrivateKey
	if n := strings.Count(manifests, key); n != 1 || strings.Contains(problems, key) {
		t.Errorf("the key is there %d times, want once; problems: %s", n, problems)
	}
	resources, _ := generated(set, cluster)
	data := resources[slices.IndexFunc(resources, func(r Resource) bool { return r.Type.ID == Secret })]
	object, err := newObject(&data)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := object.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	fields := manifest["data"].(map[string]any)
	if diff := cmp.Diff([]string{"ca.crt", "tls.crt", "tls.key"}, slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Errorf("the Secret's data (-want +got):\n%s", diff)
	}
	for name, value := range fields {
		raw, err := base64.StdEncoding.DecodeString(value.(string))
		if block, rest := pem.Decode(raw); err != nil || block == nil || len(rest) > 0 {
			t.Errorf("%s is no PEM: %v", name, err)
		}
	}
}

// TestExternalTokens holds that where calls are limited and the service takes
// end users' tokens, what comes from outside the mesh needs one, of any of the
// issuers, and that TCP ports, which have no tokens, stay shut.
func TestExternalTokens(t *testing.T) {
	set := fleetFrom(t, "testdata/external-authorization/in.yaml")
	var inbound intent.Object
	for o := range set.List(intent.KindInbound, "") {
		inbound = *o
	}
	spec := *inbound.Spec.(*intent.InboundSpec)
	spec.JWT = []intent.JWTRule{{Issuer: "https://two.example", JWKSURI: "https://two.example/keys"}, {Issuer: "one", JWKS: `{"keys":[{}]}`}}
	inbound.Spec = &spec
	set, _, err := set.Apply(intent.Command{Kind: intent.Transact, Ops: []intent.Op{{Method: intent.Put, Path: inbound.Path, Object: &inbound}}})
	if err != nil {
		t.Fatal(err)
	}
	resources, problems := generated(set, set.Get("/v2/cluster-providers/edge/clusters/a"))
	var got *security.AuthorizationPolicy
	for _, r := range resources {
		if r.Type.ID == AuthorizationPolicy && r.Name == objectName(inbound.Path, roleExternal) {
			got = r.Spec.(*security.AuthorizationPolicy)
		}
	}
	want := []*security.Rule{{
		From: []*security.Rule_From{{Source: &security.Source{
			Principals: []string{"cluster.local/ns/istio-ingress/sa/*"}, RequestPrincipals: []string{"https://two.example/*", "one/*"},
		}}},
		To: []*security.Rule_To{{Operation: &security.Operation{Ports: []string{"8080"}}}},
	}}
	if diff := cmp.Diff(want, got.GetRules(), protocmp.Transform()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	told := func(p Problem) bool { return strings.Contains(p.Message, "port 5432 are refused") }
	if !slices.ContainsFunc(problems, told) {
		t.Errorf("nothing is said of port 5432: %v", problems)
	}
}

// keyPair is a certificate and its key, as an intent holds them.
var keyPair = sync.OnceValue(func() *intent.Certificates {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC)}
	cert, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	text := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return &intent.Certificates{ServiceCertificate: text("CERTIFICATE", cert), ServicePrivateKey: text("PRIVATE KEY", der)}
})

// exposed draws whether and how a service is reached from outside the mesh.
func exposed(one func(label string, of ...string) string, in *intent.InboundSpec) {
	in.ExternalSupport = one("external", "yes", "no") == "yes"
	in.ExternalName = one("external name", "", "x.example", "y.example")
	switch one("certificates", "none", "named", "given", "mutual") {
	case "named":
		in.External = &intent.External{ExternalCerts: &intent.Certificates{CredentialName: "cert"}}
	case "given":
		in.External = &intent.External{ExternalCerts: keyPair()}
	case "mutual":
		certs := *keyPair()
		certs.CACertificate = certs.ServiceCertificate
		in.External = &intent.External{ExternalCerts: &certs}
	}
}

// entered draws a cluster's ingress gateways, zone and delivery.
func entered(one func(label string, of ...string) string, i int, c *intent.ClusterSpec) {
	for n := range map[string]int{"none": 0, "one": 1, "two": 2}[one("ingress gateways", "none", "one", "two")] {
		g := intent.Gateway{Name: fmt.Sprint("in", n), Role: intent.Ingress, Namespace: one("ingress namespace", "", "ns0", "shop")}
		switch one("ingress address", "ip", "host", "none") {
		case "ip":
			g.Addresses = []string{fmt.Sprintf("203.0.113.%d", 10*i+n)}
		case "host":
			g.Addresses = []string{fmt.Sprintf("in%d%d.example.com", i, n)}
		}
		c.Gateways = append(c.Gateways, g)
	}
	if release := one("release", "", "1.30.1", "1.31.0"); release != "" {
		if c.Istio == nil {
			c.Istio = &intent.IstioInstall{}
		}
		c.Istio.Version = release
	}
	if zone := one("zone", "", "example", "x.example"); zone != "" {
		c.DNS = &intent.DNSZone{Provider: one("provider", "aws", "coredns"), Zone: zone}
	}
	c.Delivery = intent.Delivery(one("delivery", "", "bundle", "xds"))
}
