package intentapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
)

const edge1 = clustersPath + "/edge-1"

// kinds lists the kinds of a JSON bundle's objects.
func kinds(t testing.TB, r reply) (out []string) {
	t.Helper()
	for _, item := range r.decoded(t).(map[string]any)["items"].([]any) {
		out = append(out, item.(map[string]any)["kind"].(string))
	}
	return out
}

func TestBundleFormats(t *testing.T) {
	s := start(t)
	s.fleet()
	list := s.must(200, "GET", edge1+"/bundle", "")
	if len(kinds(t, list)) == 0 {
		t.Fatal("the server cluster's bundle is empty")
	}
	documents := s.must(200, "GET", edge1+"/bundle", "", "Accept: text/html;q=0.9, application/yaml")
	diff(t, "Content-Type", "application/yaml", documents.header.Get("Content-Type"))
	var items []any
	for decoder := kubeyaml.NewYAMLOrJSONDecoder(strings.NewReader(documents.body), 4096); ; {
		var item any
		if err := decoder.Decode(&item); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	var want struct{ Items []any }
	if err := json.Unmarshal([]byte(list.body), &want); err != nil {
		t.Fatal(err)
	}
	diff(t, "YAML documents", want.Items, items)
	if list.header.Get("ETag") == documents.header.Get("ETag") {
		t.Error("two representations have one ETag")
	}
	chart := s.must(406, "GET", edge1+"/bundle", "", "Accept: application/vnd.cncf.helm.chart.content.v1.tar+gzip")
	diff(t, "Helm chart", parse(t, `{"type":"urn:meshwright:problem:not-acceptable","title":"Not Acceptable","status":406,
		"detail":"a bundle is served as application/json and application/yaml only"}`), chart.problem(t))
	diff(t, "Vary", "Accept", list.header.Get("Vary"))
}

func TestBundleConditions(t *testing.T) {
	s := start(t)
	s.fleet()
	first := s.must(200, "GET", edge1+"/bundle", "")
	etag := first.header.Get("ETag")
	s.must(304, "GET", edge1+"/bundle", "", "If-None-Match: "+etag)
	s.must(304, "GET", edge1+"/bundle?etag="+strings.Trim(etag, `"`), "")
	// What does not concern the cluster leaves its ETag.
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-3"}}`)
	s.must(304, "GET", edge1+"/bundle", "", "If-None-Match: "+etag)
	s.must(200, "PUT", inboundPath, strings.Replace(inboundBody, "8080", "8081", 1))
	after := s.must(200, "GET", edge1+"/bundle", "", "If-None-Match: "+etag)
	if bytes.Equal([]byte(after.body), []byte(first.body)) {
		t.Error("the bundle did not change with its intent")
	}
}

func TestBundleHeld(t *testing.T) {
	s := start(t)
	s.fleet()
	etag := strings.Trim(s.must(200, "GET", edge1+"/bundle", "").header.Get("ETag"), `"`)
	s.must(200, "GET", edge1+"/bundle?watch=true", "") // nothing known yet: at once
	held := make(chan reply, 1)
	go func() { held <- s.do("GET", edge1+"/bundle?watch=true&etag="+etag, "") }()
	eventually(t, "the held request", func() bool {
		return strings.Contains(s.raw("GET", "/metrics", "").body, "meshwright_rest_watchers 1")
	})
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-3"}}`) // concerns it not
	select {
	case r := <-held:
		t.Fatalf("answered without a change: %d", r.status)
	default:
	}
	s.must(200, "PUT", inboundPath, strings.Replace(inboundBody, "8080", "8081", 1))
	r := <-held
	if r.status != 200 || r.header.Get("ETag") == `"`+etag+`"` {
		t.Errorf("after a change: %d %s", r.status, r.header.Get("ETag"))
	}
}

func TestBundleHeldForAWhile(t *testing.T) {
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.HoldLimit = time.Millisecond })
	s.fleet()
	etag := s.must(200, "GET", edge1+"/bundle", "").header.Get("ETag")
	r := s.must(304, "GET", edge1+"/bundle?watch=true", "", "If-None-Match: "+etag)
	diff(t, "ETag", etag, r.header.Get("ETag"))
}

func TestBundleHeldWhileClusterGoes(t *testing.T) {
	s := start(t)
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	etag := s.must(200, "GET", edge1+"/bundle", "").header.Get("ETag")
	held := make(chan reply, 1)
	go func() { held <- s.do("GET", edge1+"/bundle?watch=true", "", "If-None-Match: "+etag) }()
	eventually(t, "the held request", func() bool {
		return strings.Contains(s.raw("GET", "/metrics", "").body, "meshwright_rest_watchers 1")
	})
	s.must(204, "DELETE", edge1, "")
	diff(t, "status", 404, (<-held).status)
}

func TestBundleParts(t *testing.T) {
	s := start(t)
	s.fleet()
	all := kinds(t, s.must(200, "GET", edge1+"/bundle", ""))
	one := kinds(t, s.must(200, "GET", edge1+"/bundle?kinds=Gateway", ""))
	for _, k := range one {
		diff(t, "kind", "Gateway", k)
	}
	if len(one) == 0 || len(one) == len(all) {
		t.Errorf("kinds=Gateway gives %v of %v", one, all)
	}
	s.must(400, "GET", edge1+"/bundle?kinds=Gatewaay", "")
	s.must(400, "GET", edge1+"/bundle?channel=post", "")
	// The Namespace goes by bundle whatever the cluster's delivery is.
	for delivery, want := range map[string][2]int{"both": {len(all) - 1, len(all)}, "xds": {len(all) - 1, 1}, "bundle": {0, len(all)}} {
		s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","delivery":"`+delivery+`","gateways":[{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]}]}}`)
		xds, bundle := s.must(200, "GET", edge1+"/bundle?channel=xds", ""), s.must(200, "GET", edge1+"/bundle?channel=bundle", "")
		diff(t, delivery, want, [2]int{len(kinds(t, xds)), len(kinds(t, bundle))})
		diff(t, "without a channel", len(all), len(kinds(t, s.must(200, "GET", edge1+"/bundle", ""))))
	}
	diff(t, "no objects", "# no objects\n", s.must(200, "GET", edge1+"/bundle?channel=xds&kinds=Sidecar", "", "Accept: application/yaml").body)
}

func TestPostBundle(t *testing.T) {
	s := start(t)
	s.must(201, "POST", groupsPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[{"app":"basket","selector":{"matchLabels":{"tier":"edge"}}}]}}`)
	s.must(201, "POST", groupPath+"/traffic-group-intents", `{"metadata":{"name":"traffic"}}`)
	s.must(201, "POST", inboundsPath, inboundBody)
	created := s.must(201, "POST", edge1+"/bundle", `{"metadata":{"labels":{"tier":"edge"}},"spec":{"network":"n1"}}`)
	diff(t, "Location", edge1, created.header.Get("Location"))
	if len(kinds(t, created)) == 0 {
		t.Error("the new cluster's bundle is empty")
	}
	// Its bare configuration leaves the labels.
	again := s.must(200, "POST", edge1+"/bundle", `{"spec":{"network":"n2"}}`)
	diff(t, "bundle", created.body, again.body)
	got := s.must(200, "GET", edge1, "").decoded(t).(map[string]any)
	diff(t, "labels", parse(t, `{"tier":"edge"}`), got["metadata"].(map[string]any)["labels"])
	diff(t, "network", "n2", got["spec"].(map[string]any)["network"])
	s.must(400, "POST", edge1+"/bundle", `{"metadata":null}`)
	s.must(422, "POST", edge1+"/bundle", `{"metadata":{"name":"other"},"spec":{}}`)
	s.must(406, "POST", edge1+"/bundle", `{"spec":{}}`, "Accept: image/png")
	s.must(412, "POST", edge1+"/bundle", `{"spec":{}}`, `If-Match: "1"`)
	s.must(400, "POST", edge1+"/bundle", `{}`) // would take the cluster's gateways away
}

func TestKeyValues(t *testing.T) {
	s := start(t)
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	r := s.must(201, "POST", edge1+"/kv-pairs", `{"metadata":{"name":"istio"},"spec":{"kv":[{"istioIngressGatewayAddress":"192.0.2.11"},{"istioIngressGatewayPort":"32001"},{"istioIngressGatewayHttpsPort":32443}]}}`)
	want := parse(t, `[
		{"name":"eastwestgateway","role":"eastwest","namespace":"istio-system","selector":{"istio":"ingressgateway"},"addresses":["192.0.2.11"],"ports":{"tls":32001,"http":80,"https":443}},
		{"name":"ingressgateway","role":"ingress","namespace":"istio-system","selector":{"istio":"ingressgateway"},"addresses":["192.0.2.11"],"ports":{"tls":15443,"http":80,"https":32443}}]`)
	diff(t, "gateways", want, r.decoded(t).(map[string]any)["spec"].(map[string]any)["gateways"])
	diff(t, "ETag", `"2"`, r.header.Get("ETag"))
	same := s.must(201, "POST", edge1+"/kv-pairs", `{"istioIngressGatewayAddress":"192.0.2.11"}`, `If-Match: "2"`)
	diff(t, "repeated", r.body, same.body)
	s.must(412, "POST", edge1+"/kv-pairs", `{"istioIngressGatewayAddress":"192.0.2.12"}`, `If-Match: "1"`)
}

// A fold that is sent again must not undo what was written since.
func TestKeyValuesOnce(t *testing.T) {
	s := start(t)
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	pairs := func(address string) string { return `{"istioIngressGatewayAddress":"` + address + `"}` }
	s.must(201, "POST", edge1+"/kv-pairs", pairs("192.0.2.11"), "Idempotency-Key: k1", `If-Match: "1"`)
	moved := s.must(201, "POST", edge1+"/kv-pairs", pairs("192.0.2.12"), "Idempotency-Key: k2")
	again := s.must(201, "POST", edge1+"/kv-pairs", pairs("192.0.2.11"), "Idempotency-Key: k1", `If-Match: "1"`)
	diff(t, "sent again", moved.body, again.body)
	s.must(409, "POST", edge1+"/kv-pairs", pairs("192.0.2.13"), "Idempotency-Key: k1")
	s.must(409, "PUT", edge1, `{"metadata":{"name":"edge-1"}}`, "Idempotency-Key: k1")
	s.must(400, "POST", edge1+"/kv-pairs", pairs("192.0.2.13"), "Idempotency-Key: a b")
	diff(t, "cluster", moved.body, s.must(200, "GET", edge1, "").body)
}
