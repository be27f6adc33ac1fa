package intentapi_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// TestPrivateKeyStaysInside gives a service a certificate and its key, then
// another, and looks for the keys in every answer, event and log line. The
// bundle alone, which is what the cluster applies, has the key, in its Secret.
func TestPrivateKeyStaysInside(t *testing.T) {
	s := start(t)
	s.fleet()
	s.must(200, "PUT", clustersPath+"/edge-1", `{"metadata":{"name":"edge-1"},"spec":{"gateways":[{"name":"ingressgateway","role":"ingress","addresses":["203.0.113.1"]}]}}`)
	cert1, key1, secret1 := keyPair(t, 1)
	cert2, key2, secret2 := keyPair(t, 2)
	body := func(cert, key string) string {
		return strings.Replace(inboundBody, `"protocol":"HTTP"`, `"protocol":"HTTP","externalSupport":true,"externalName":"basket.example","external":{"externalCerts":{"serviceCertificate":"`+
			cert+`","servicePrivateKey":"`+key+`"}}`, 1)
	}
	put := `,"body":`
	answers := map[string]string{}
	note := func(what string, status int, method, path, body string) {
		t.Helper()
		answers[what] = s.must(status, method, path, body).body
	}
	events := s.events(t.Context(), "?sinceRevision=8")
	note("preview of a new secret", 200, "PUT", inboundPath+"?dryRun=true", body(cert1, key1))
	note("preview of a transaction", 200, "POST", "/v2/transactions?dryRun=true", tx(op("PUT", inboundPath, put+body(cert1, key1))))
	note("PUT", 200, "PUT", inboundPath, body(cert1, key1))
	note("PUT of the same", 200, "PUT", inboundPath, body(cert1, key1))
	note("GET", 200, "GET", inboundPath, "")
	note("list", 200, "GET", inboundsPath, "")
	note("preview of another secret", 200, "PUT", inboundPath+"?dryRun=true", body(cert2, key2))
	note("preview of a removal", 200, "DELETE", inboundPath+"?dryRun=true&cascade=true", "")
	note("transaction", 200, "POST", "/v2/transactions", tx(op("PUT", inboundPath, put+body(cert2, key2))))
	note("status", 200, "GET", inboundPath+"/status?minRevision=10", "")
	answers["first event"], answers["second event"] = next(t, events).Data, next(t, events).Data

	note("keys that don't match", 422, "PUT", inboundPath, body(cert1, key2))
	note("a key in the certificate's place", 422, "PUT", inboundPath, body(key1, key1))
	note("a key that is cut", 422, "PUT", inboundPath, body(cert1, key1[:len(key1)-8]))
	note("a key that is PEM and not base64", 422, "PUT", inboundPath, body(cert1, strings.ReplaceAll(decode(t, key1), "\n", `\n`)))
	note("a key of the wrong type", 400, "PUT", inboundPath, strings.Replace(body(cert1, key1), `"servicePrivateKey":"`+key1+`"`, `"servicePrivateKey":["`+key1+`"]`, 1))
	note("a key in an unknown field", 400, "PUT", inboundPath, strings.Replace(body(cert1, key1), `"servicePrivateKey"`, `"privateKey"`, 1))
	note("a transaction that is refused", 422, "POST", "/v2/transactions", tx(op("PUT", inboundPath, put+body(cert1, key2))))
	note("cluster", 200, "GET", clustersPath+"/edge-1", "")
	note("fleet", 200, "GET", "/v2/status", "")
	answers["log"] = s.log.String()

	for what, answer := range answers {
		for _, secret := range []string{key1, key2, secret1, secret2} {
			if strings.Contains(answer, secret) {
				t.Errorf("%s shows a private key: %s", what, answer)
			}
		}
	}
	for _, what := range []string{"preview of a new secret", "preview of another secret", "PUT", "GET", "list", "transaction", "first event", "second event"} {
		if !strings.Contains(answers[what], "sha256:") {
			t.Errorf("%s shows no fingerprint: %s", what, answers[what])
		}
	}

	bundle := s.must(200, "GET", clustersPath+"/edge-1/bundle", "", "Accept: application/json").body
	if n := strings.Count(bundle, key2); n != 1 {
		t.Errorf("the bundle has the key %d times, want once: %s", n, bundle)
	}
	var list struct {
		Items []struct {
			Kind string
			Type string
			Data map[string]string
		}
	}
	if err := json.Unmarshal([]byte(bundle), &list); err != nil {
		t.Fatal(err)
	}
	diff(t, "the bundle's first kinds", []string{"Namespace", "Secret"}, []string{list.Items[0].Kind, list.Items[1].Kind})
	diff(t, "the secret", map[string]string{"tls.crt": cert2, "tls.key": key2}, list.Items[1].Data)
	diff(t, "its type", "kubernetes.io/tls", list.Items[1].Type)
}

// keyPair is a certificate and its key, as an intent holds them, and the
// characters of the PEM that are the key's alone.
func keyPair(t *testing.T, seed byte) (certificate, key, secret string) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
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
	inPEM := base64.StdEncoding.EncodeToString(keyDER)
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER), inPEM[len(inPEM)-16:]
}

func decode(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
