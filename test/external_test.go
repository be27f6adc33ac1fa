package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

// TestExternalClients reads out of a real istiod what an ingress gateway takes
// from clients outside the mesh, with which secrets, and which service it leads
// to.
func TestExternalClients(t *testing.T) {
	t.Parallel()
	h := example(t)
	h.Put(t, "/v2/cluster-providers/edge/clusters/shop-1", `
metadata: {name: shop-1}
spec:
  authorities: [127.0.0.2]
  gateways:
    - {name: eastwestgateway, role: eastwest, addresses: [192.0.2.10]}
    - {name: ingressgateway, role: ingress, namespace: istio-ingress, addresses: [203.0.113.10]}`)
	cert, key := keyPair(t)
	given := fmt.Sprintf("external: {externalCerts: {serviceCertificate: %s, servicePrivateKey: %s}}", cert, key)
	mutual := fmt.Sprintf("external: {externalCerts: {serviceCertificate: %[1]s, servicePrivateKey: %[2]s, caCertificate: %[1]s}}", cert, key)
	external := func(name, protocol string, port int, certs string) {
		h.Put(t, webIntents+"/inbound-intents/"+name, fmt.Sprintf(`
metadata: {name: %[1]s}
spec: {app: catalog, appLabel: app=%[1]s, serviceName: %[1]s, port: %[3]d, protocol: %[2]s, externalSupport: true, externalName: %[1]s.example.com, %[4]s}`, name, protocol, port, certs))
		name, body := hub.Raw(t, "edge/shop-1", serviceManifest(name, protocol, port))
		h.Put(t, webIntents+"/istio-resources/"+name, body)
	}
	external("pages", "HTTP", 8000, "")
	external("other", "HTTP", 8001, "")
	external("prices", "GRPC", 9090, given)
	external("orders", "HTTP", 8002, mutual)
	external("basket", "HTTP", 8003, "external: {externalCerts: {credentialName: basket-cert}}")
	external("vault", "TLS", 8443, "")
	external("cache", "REDIS", 6379, mutual)
	external("stock", "TCP", 5432, "")

	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")
	gateway := proxy.Node{Type: "router", Name: "ingress-1", Namespace: "istio-ingress", Labels: map[string]string{"istio": "ingressgateway"}}
	secrets := secretNames(t, h)
	sds := func(name string) string { return "kubernetes://" + secrets[name] }
	want := []proxy.Entrance{
		{Port: 80, Leads: []string{
			"other.example.com outbound|8001||other.shop.svc.cluster.local",
			"pages.example.com outbound|8000||pages.shop.svc.cluster.local",
		}},
		{Port: 443, ServerNames: "basket.example.com", Secret: "kubernetes://basket-cert", Leads: []string{"basket.example.com outbound|8003||basket.shop.svc.cluster.local"}},
		{Port: 443, ServerNames: "cache.example.com", Secret: sds("cache"), Authority: sds("cache") + "-cacert", Leads: []string{"outbound|6379||cache.shop.svc.cluster.local"}},
		{Port: 443, ServerNames: "orders.example.com", Secret: sds("orders"), Authority: sds("orders") + "-cacert", Leads: []string{"orders.example.com outbound|8002||orders.shop.svc.cluster.local"}},
		{Port: 443, ServerNames: "prices.example.com", Secret: sds("prices"), Leads: []string{"prices.example.com outbound|9090||prices.shop.svc.cluster.local"}},
		{Port: 443, ServerNames: "vault.example.com", Leads: []string{"outbound|8443||vault.shop.svc.cluster.local"}},
		{Port: 5432, Leads: []string{"outbound|5432||stock.shop.svc.cluster.local"}},
	}
	wait.Until(t, "the ingress gateway to take what the intents expose", func() error {
		got, err := proxy.Fetch(t.Context(), i.XDSAddr(), gateway)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got.Entrances()); diff != "" {
			return fmt.Errorf("what it takes (-want +got):\n%s", diff)
		}
		// Behind the gateway calls go on by mutual TLS.
		if diff := cmp.Diff([]string{"outbound_.8000_._.pages.shop.svc.cluster.local"}, got.OutboundSNIs("pages.shop.svc.cluster.local")); diff != "" {
			return fmt.Errorf("SNIs to the service (-want +got):\n%s", diff)
		}
		return nil
	})
	if strings.Contains(h.Logs(), key) {
		t.Error("the node logged a private key")
	}
}

// serviceManifest stands in for a Kubernetes service.
func serviceManifest(name, protocol string, port int) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: shop}
spec:
  hosts: [%[1]s.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: %[3]d, name: port, protocol: %[2]s}]
  endpoints: [{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}]`, name, protocol, port)
}

// secretNames are the names of the generated secrets, by their inbound's.
func secretNames(t *testing.T, h *hub.Hub) map[string]string {
	t.Helper()
	var list struct{ Items []hub.Object }
	h.Get(t, "/v2/cluster-providers/edge/clusters/shop-1/bundle?kinds=Secret", &list)
	out := map[string]string{}
	for _, o := range list.Items {
		path := o.Metadata.Annotations["meshwright.io/intents"]
		if o.Metadata.Namespace != "istio-ingress" {
			t.Errorf("%s is not beside the gateway", o.ID())
		}
		out[path[strings.LastIndexByte(path, '/')+1:]] = o.Metadata.Name
	}
	return out
}

// keyPair is a new certificate and its key, as an intent holds them.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER)
}
