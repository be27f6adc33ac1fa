package gatewayapi

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/schema/gatewayapi"

	"github.com/meshwright/meshwright/test/proxy"
)

// cluster is what is there before anything is generated: an ingress gateway,
// whose pods listen at other ports than its Service, and the service with the
// ports of all cases.
const cluster = `
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: %[1]s}
spec:
  clusterIP: 10.0.0.1
  selector: {istio: istio-ingressgateway}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}, {name: tcp, port: 5432, targetPort: 5432}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: istio-ingressgateway, namespace: %[1]s, labels: {kubernetes.io/service-name: istio-ingressgateway}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: ingress-1, namespace: %[1]s}}]
ports: [{name: http, port: 8080}, {name: https, port: 8443}, {name: tcp, port: 5432}]
---
apiVersion: v1
kind: Pod
metadata: {name: ingress-1, namespace: %[1]s, labels: {istio: istio-ingressgateway}}
spec: {serviceAccountName: ingress}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.0.0.2
  ports: [{name: http, port: 80}, {name: tcp, port: 5432}, {name: tls, port: 8443}, {name: grpc, port: 9090}, {name: redis, port: 6379}]
---
apiVersion: v1
kind: Service
metadata: {name: copy, namespace: shop}
spec:
  clusterIP: 10.0.0.3
  ports: [{name: http, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
`

// TestGatewayAPI gives Istio's own conversion what the goldens hold, and reads
// what the ingress gateway that is there takes, and where that goes.
func TestGatewayAPI(t *testing.T) {
	secret := func(namespace string) string {
		return "kubernetes-gateway://" + namespace + "/mw-shop-prod-web-external-hbwf547aipruudoh"
	}
	for _, test := range []struct {
		name, namespace string
		want            []proxy.Entrance
	}{
		{"external-gateway-api", "istio-ingress", []proxy.Entrance{
			{Port: 5432, Leads: []string{"outbound|5432||web.shop.svc.cluster.local"}},
			{Port: 8080, Leads: []string{"web.example.com outbound|80||web.shop.svc.cluster.local"}},
			{Port: 8443, ServerNames: "web.example.com", Leads: []string{"outbound|8443||web.shop.svc.cluster.local"}},
		}},
		{"external-gateway-api-grpc", "istio-ingress", []proxy.Entrance{
			{Port: 8443, ServerNames: "web.example.com", Secret: secret("istio-ingress"), Leads: []string{"web.example.com outbound|9090||web.shop.svc.cluster.local"}},
		}},
		{"external-gateway-api-tcp-tls", "istio-ingress", []proxy.Entrance{
			{Port: 8443, ServerNames: "web.example.com", Secret: secret("istio-ingress"), Leads: []string{"outbound|6379||web.shop.svc.cluster.local"}},
		}},
		{"external-gateway-api-same-namespace", "shop", []proxy.Entrance{
			{Port: 8080, Leads: []string{"web.example.com outbound|80||web.shop.svc.cluster.local"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := gatewayOf(t, test.name, "a", test.namespace)
			if diff := cmp.Diff(test.want, told.Entrances()); diff != "" {
				t.Errorf("what the gateway takes (-want +got):\n%s", diff)
			}
		})
	}
}

// gatewayOf is what istiod tells the ingress gateway of a cluster that has what
// a golden holds for it.
func gatewayOf(t *testing.T, golden, name, namespace string) *proxy.Config {
	t.Helper()
	clear(gatewayapi.MinimumCRDVersions) // the stand-in's CRDs don't tell their versions
	bundle, err := os.ReadFile("../../snapshot/testdata/" + golden + "/out.edge." + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, istio := split(string(bundle))
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		KubernetesObjectString: fmt.Sprintf(cluster, namespace) + "---\n" + kubernetes,
		ConfigString:           istio,
	})
	gateway := s.SetupProxy(&model.Proxy{
		Type: model.Router, IPAddresses: []string{"10.1.0.1"}, ConfigNamespace: namespace,
		ID: "ingress-1." + namespace, Labels: map[string]string{"istio": "istio-ingressgateway"},
		Metadata: &model.NodeMetadata{Namespace: namespace, Labels: map[string]string{"istio": "istio-ingressgateway"}},
	})
	told := proxy.NewConfig()
	for _, l := range s.Listeners(gateway) {
		told.Listeners[l.Name] = l
	}
	for _, r := range s.Routes(gateway) {
		told.Routes[r.Name] = r
	}
	return told
}

// split parts a bundle into what istiod reads from Kubernetes in this test and
// what it reads as configuration.
func split(bundle string) (kubernetes, istio string) {
	var parts [2][]string
	for _, doc := range strings.Split(bundle, "---\n") {
		i := 0
		if strings.Contains(doc, ".istio.io/v1\n") {
			i = 1
		}
		parts[i] = append(parts[i], doc)
	}
	return strings.Join(parts[0], "---\n"), strings.Join(parts[1], "---\n")
}
