package intentapi_test

import (
	"encoding/json"
	"strings"
	"testing"
)

const outboundsPath = tgPath + "/outbound-intents"

// egressFleet is the fleet with an egress gateway on the first cluster, where
// the app basket is placed.
func egressFleet(t *testing.T) *server {
	s := start(t)
	s.fleet()
	s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","gateways":[
		{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]},
		{"name":"istio-egressgateway","role":"egress","namespace":"istio-egress"}]}}`)
	return s
}

// kinds are what an intent's status lists for the only cluster it concerns.
func (s *server) kinds(path string) (kinds []string, on map[string]any) {
	s.t.Helper()
	clusters := s.must(200, "GET", path+"/status", "").decoded(s.t).(map[string]any)["clusters"].([]any)
	if len(clusters) != 1 {
		s.t.Fatalf("%s concerns %v", path, clusters)
	}
	on = clusters[0].(map[string]any)
	for _, o := range on["objects"].([]any) {
		kinds = append(kinds, o.(map[string]any)["kind"].(string))
	}
	return kinds, on
}

// TestOutbound follows an outbound intent through preview, write, status,
// bundle and removal, and sees that its key goes by bundle alone.
func TestOutbound(t *testing.T) {
	s := egressFleet(t)
	certificate, key, _ := keyPair(t, 3)
	body := func(name string, port int, tls string) string {
		text, err := json.Marshal(map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{
			"app": "basket", "externalServiceName": "pay.example.com", "port": port, "protocol": "HTTP", "egressGateway": true,
			"tls": json.RawMessage(tls),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	mutual := body("pay", 80, `{"mode":"MUTUAL","clientCertificate":"`+certificate+`","clientPrivateKey":"`+key+`","caCertificate":"`+certificate+`"}`)
	preview := s.must(200, "POST", outboundsPath+"?dryRun=true", mutual).body
	if !strings.Contains(preview, `"kind":"Secret"`) || !strings.Contains(preview, "sha256:") || strings.Contains(preview, key) {
		t.Errorf("the preview shows the key, or no Secret: %s", preview)
	}
	s.must(404, "GET", outboundsPath+"/pay", "")
	s.must(201, "POST", outboundsPath, mutual)
	if stored := s.must(200, "GET", outboundsPath+"/pay", "").body; strings.Contains(stored, key) || !strings.Contains(stored, "sha256:") {
		t.Errorf("an answer shows the key: %s", stored)
	}
	kinds, on := s.kinds(outboundsPath + "/pay")
	diff(t, "kinds", []string{
		"Secret", "ServiceEntry", "ServiceEntry", "DestinationRule", "DestinationRule", "Gateway",
		"VirtualService", "VirtualService", "AuthorizationPolicy",
	}, kinds)
	diff(t, "state", "Pending", on["state"])
	bundle := s.must(200, "GET", edge1+"/bundle?kinds=Secret", "", "Accept: application/json").decoded(t).(map[string]any)
	secret := bundle["items"].([]any)[0].(map[string]any)
	diff(t, "the Secret's data", map[string]any{"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}, secret["data"])
	diff(t, "the Secret's namespace", "istio-egress", secret["metadata"].(map[string]any)["namespace"])

	// A second port shares the first one's objects, whoever made them.
	s.must(201, "POST", outboundsPath, body("pay-too", 8443, `{}`))
	kinds, _ = s.kinds(outboundsPath + "/pay-too")
	diff(t, "kinds of a second port", []string{
		"ServiceEntry", "DestinationRule", "Gateway", "VirtualService", "AuthorizationPolicy",
		"ServiceEntry", "DestinationRule", "VirtualService",
	}, kinds)
	s.must(409, "POST", outboundsPath, body("pay-again", 80, `{}`))
	s.must(422, "POST", outboundsPath, strings.Replace(body("bad", 81, `{}`), `"HTTP"`, `"HTTPS"`, 1))

	// Without the gateway nothing is left, and the status says why.
	s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","gateways":[{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]}]}}`)
	kinds, on = s.kinds(outboundsPath + "/pay")
	diff(t, "kinds without the gateway", []string(nil), kinds)
	diff(t, "state without the gateway", "Failed", on["state"])
	if problems := on["problems"].([]any); len(problems) != 1 || !strings.Contains(problems[0].(map[string]any)["message"].(string), "has no egress gateway") {
		t.Errorf("problems: %v", problems)
	}
	s.must(204, "DELETE", tgPath+"?cascade=true", "")
	s.must(404, "GET", outboundsPath+"/pay", "")
	if left := s.must(200, "GET", edge1+"/bundle", "", "Accept: application/json").body; strings.Contains(left, "pay") {
		t.Errorf("the bundle still holds %s", left)
	}
}

// TestOutboundWithoutBundles says that certificates can't reach a cluster that
// takes no bundles.
func TestOutboundWithoutBundles(t *testing.T) {
	s := start(t)
	s.fleet()
	certificate, _, _ := keyPair(t, 4)
	s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"delivery":"xds"}}`)
	s.must(201, "POST", outboundsPath, `{"metadata":{"name":"pay"},"spec":{"app":"basket","appLabel":"app=basket","externalServiceName":"pay.example.com",
		"port":443,"protocol":"HTTP","tls":{"caCertificate":"`+certificate+`"}}}`)
	_, on := s.kinds(outboundsPath + "/pay")
	diff(t, "state", "Failed", on["state"])
	if problems := on["problems"].([]any); len(problems) != 1 || !strings.Contains(problems[0].(map[string]any)["message"].(string), "takes no bundles") {
		t.Errorf("problems: %v", problems)
	}
}
