package intentapi_test

import (
	"fmt"
	"strings"
	"testing"
)

// problemJSON is the whole problem of a status, errors given as field and message.
func problemJSON(t testing.TB, status int, detail string, errors ...string) any {
	kinds := map[int][2]string{
		400: {"malformed", "Bad Request"}, 404: {"not-found", "Not Found"}, 409: {"conflict", "Conflict"},
		412: {"precondition-failed", "Precondition Failed"}, 413: {"too-large", "Request Entity Too Large"},
		415: {"unsupported-media-type", "Unsupported Media Type"}, 422: {"invalid", "Unprocessable Entity"},
	}
	p := map[string]any{
		"type": "urn:meshwright:problem:" + kinds[status][0], "title": kinds[status][1],
		"status": float64(status), "detail": detail,
	}
	var list []any
	for i := 0; i < len(errors); i += 2 {
		list = append(list, map[string]any{"field": errors[i], "message": errors[i+1]})
	}
	if list != nil {
		p["errors"] = list
	}
	return p
}

const shapeDetail = "the request is not well-formed"

// TestBadInput sends what must be refused, compares the whole problem, and sees
// that nothing was stored.
func TestBadInput(t *testing.T) {
	s := start(t)
	s.fleet()
	spec := func(s string) string { return `{"metadata":{"name":"x"},"spec":` + s + `}` }
	resources := tgPath + "/istio-resources"
	raw := func(resource string) string {
		return spec(`{"clusters":{"clusters":[{"clusterProvider":"acme","cluster":"edge-1"}]},"resource":` + resource + `}`)
	}
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     any
	}{
		{"empty", "POST", inboundsPath, " ", nil, problemJSON(t, 400, "the body is empty")},
		{"not JSON", "POST", inboundsPath, "{", nil, problemJSON(t, 400, "the body is not JSON: it ends too early")},
		{"more after it", "POST", inboundsPath, "{} {}", nil, problemJSON(t, 400, "the body is not JSON: something follows the value")},
		{"not UTF-8", "POST", inboundsPath, "\"\xff\"", nil, problemJSON(t, 400, "the body is not UTF-8")},
		{"deep", "POST", inboundsPath, strings.Repeat("[", 100), nil, problemJSON(t, 400, "the body is not JSON: it nests deeper than 64")},
		{"no object", "POST", inboundsPath, "[]", nil, problemJSON(t, 400, shapeDetail, "", "must be an object, is an array")},
		{"null", "POST", inboundsPath, "null", nil, problemJSON(t, 400, shapeDetail, "", "must be an object, is null")},
		{
			"wrong content type", "POST", inboundsPath, inboundBody,
			[]string{"Content-Type: application/x-www-form-urlencoded"},
			problemJSON(t, 415, "the body must be application/json or application/yaml, in UTF-8"),
		},
		{
			"wrong charset", "POST", inboundsPath, inboundBody,
			[]string{"Content-Type: application/json; charset=latin1"},
			problemJSON(t, 415, "the body must be application/json or application/yaml, in UTF-8"),
		},
		{"too large", "POST", inboundsPath, `{"metadata":{"name":"` + strings.Repeat("x", 1<<20) + `"}}`, nil, problemJSON(t, 413, "the body is over 1048576 bytes: split the request")},
		{"too large transaction", "POST", "/v2/transactions", strings.Repeat(" ", 1<<20+1), nil, problemJSON(t, 413, "the body is over 1048576 bytes: split the request")},
		{
			"repeated members", "POST", inboundsPath, `{"metadata":{"name":"a","name":"b"},"spec":{"a/b":1,"a/b":2}}`, nil,
			problemJSON(t, 400, shapeDetail, "/metadata/name", "is given more than once", "/spec/a~1b", "is given more than once"),
		},
		{
			"every violation of shape", "POST", inboundsPath, `{"metadata":{"labels":{"a":1},"colour":"red"},"spec":{"app":7,"port":"http","ports":[{"port":1.5}],"Protocol":"HTTP","headless":"no"},"status":{}}`, nil,
			problemJSON(t, 400, shapeDetail,
				"/metadata/colour", "is not known here",
				"/metadata/labels/a", "must be a string, is a number",
				"/metadata/name", "is missing",
				"/spec/Protocol", "is not known here",
				"/spec/app", "must be a string, is a number",
				"/spec/appLabel", "is missing",
				"/spec/headless", "must be a boolean, is a string",
				"/spec/port", "must be a whole number, is a string",
				"/spec/ports/0/port", "must be a whole number, is a number",
				"/spec/ports/0/protocol", "is missing",
				"/spec/protocol", "is missing",
				"/spec/serviceName", "is missing",
				"/status", "is not known here"),
		},
		{
			"a number too large", "POST", inboundsPath, spec(`{"app":"a","appLabel":"a=b","serviceName":"s","port":1e30,"protocol":"TCP"}`), nil,
			problemJSON(t, 400, shapeDetail, "/spec/port", "is a number that is not whole or too large"),
		},
		{
			"null field", "PUT", inboundPath, strings.Replace(inboundBody, "8080", "null", 1), nil,
			problemJSON(t, 400, shapeDetail, "/spec/port", "must be a whole number, is null"),
		},
		{
			"no name in a PUT", "PUT", inboundPath, strings.Replace(inboundBody, `"name":"basket"`, "", 1), nil,
			problemJSON(t, 400, shapeDetail, "/metadata/name", "is missing"),
		},
		{
			"every violation of value", "POST", inboundsPath, `{"metadata":{"name":"-x","labels":{"a b":"c"}},"spec":{"app":"","appLabel":"x","serviceName":"A","port":70000,"protocol":"SMTP"}}`, nil,
			problemJSON(t, 422, "the inbound intent is not legal",
				"/metadata/name", `"-x" must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'`,
				"/metadata/labels/a b", `label key "a b": must be 1 to 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit`,
				"/spec/app", "must not be empty",
				"/spec/appLabel", `"x" must be a label as key=value`,
				"/spec/serviceName", `"A" must be a DNS-1123 label: lower-case letters, digits and '-', starting and ending with a letter or digit`,
				"/spec/port", "must be from 1 to 65535, is 70000",
				"/spec/protocol", `"SMTP" is none of GRPC, GRPC-WEB, HTTP, HTTP2, HTTPS, MONGO, MYSQL, REDIS, TCP, TLS, UDP`),
		},
		{
			"another name than in the path", "PUT", inboundPath, strings.Replace(inboundBody, `"name":"basket"`, `"name":"x"`, 1), nil,
			problemJSON(t, 422, "the inbound intent is not legal", "/metadata/name", `"x" is not the name in the path, "basket"`),
		},
		{
			"a name in the path that is none", "PUT", inboundsPath + "/a%2Fb", inboundBody, nil,
			problemJSON(t, 400, `path segment {inbound}: "a/b" must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'`),
		},
		{
			"unknown cluster in a placement", "PUT", groupPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[{"app":"a","clusters":[{"clusterProvider":"acme","cluster":"edge-1"},{"clusterProvider":"acme","cluster":"nowhere"}]}]}}`, nil,
			problemJSON(t, 409, "a placement names a cluster that does not exist: register it first", "/spec/placements/0/clusters/1", "cluster acme/nowhere does not exist"),
		},
		{
			"host conflict", "POST", inboundsPath, `{"metadata":{"name":"x"},"spec":{"app":"web","appLabel":"a=b","serviceName":"other","port":1,"protocol":"TCP","globalName":"basket.shop.global"}}`, nil,
			problemJSON(t, 409, "another intent is in the way", "/spec/globalName", `host "basket.shop.global" is claimed by `+inboundPath+`: choose another globalName, or add the port to that intent's ports`),
		},
		{"no If-None-Match of a write", "PUT", inboundPath, inboundBody, []string{`If-None-Match: "3"`}, problemJSON(t, 400, "If-None-Match: a write takes * alone")},
		{
			"deletion with children", "DELETE", inboundPath, "", nil,
			problemJSON(t, 409, "it still has children, "+clientPath+" for one: delete them first, or all at once with ?cascade=true"),
		},
		{
			"a cluster that is named", "DELETE", clustersPath + "/edge-1", "", nil,
			problemJSON(t, 409, "the deployment intent group "+groupPath+" names this cluster: take it out there first"),
		},
		{
			"unknown key of EMCO's", "POST", clustersPath + "/edge-1/kv-pairs", `{"spec":{"kv":[{"istioIngressGatewayAddress":"192.0.2.7"},{"colour":"red"}]}}`, nil,
			problemJSON(t, 422, "the key-value pairs are not legal", "/spec/kv/1/colour", "is no key that Meshwright knows: it takes istioIngressGatewayAddress, istioIngressGatewayHttpPort, istioIngressGatewayHttpsPort, istioIngressGatewayInternalPort, istioIngressGatewayPort"),
		},
		{
			"key twice", "POST", clustersPath + "/edge-1/kv-pairs", `{"spec":{"kv":[{"istioIngressGatewayPort":"1"},{"istioIngressGatewayPort":2}]}}`, nil,
			problemJSON(t, 400, shapeDetail, "/spec/kv/1/istioIngressGatewayPort", "is given more than once"),
		},
		{
			"shape of pairs", "POST", clustersPath + "/edge-1/kv-pairs", `{"spec":{"kv":[{"istioIngressGatewayPort":true}]}}`, nil,
			problemJSON(t, 400, shapeDetail, "/spec/kv/0/istioIngressGatewayPort", "must be a whole number or a string, is a boolean"),
		},
		{
			"no API version", "POST", resources, raw(`{"apiVersion":"x","kind":"VirtualService","metadata":{"name":"a"}}`), nil,
			problemJSON(t, 422, "the Istio resource is not legal", "/spec/resource/apiVersion", `"x" is no API version such as networking.istio.io/v1`),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.store.Set()
			r := s.do(c.method, c.path, c.body, c.headers...)
			diff(t, "problem", c.want, r.problem(t))
			if s.store.Set() != before {
				t.Errorf("the store went from revision %s to %s", before.Revision(), s.store.Set().Revision())
			}
		})
	}
}

// TestIstioRefuses sends raw objects that have a legal shape and that Istio
// does not take; the words are Istio's.
func TestIstioRefuses(t *testing.T) {
	s := start(t)
	s.fleet()
	before := s.store.Set()
	for i, resource := range []string{
		`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":[]}}`,
		`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":["a"],"colour":"red"}}`,
		`{"apiVersion":"networking.istio.io/v1","kind":"Sidecaar","metadata":{"name":"a"},"spec":{}}`,
	} {
		body := fmt.Sprintf(`{"metadata":{"name":"r%d"},"spec":{"clusters":{"clusters":[{"clusterProvider":"acme","cluster":"edge-1"}]},"resource":%s}}`, i, resource)
		one := s.must(422, "POST", tgPath+"/istio-resources", body).problem(t).(map[string]any)
		if one["errors"] == nil {
			t.Errorf("%s: no errors: %v", resource, one)
		}
		tx := fmt.Sprintf(`{"operations":[{"method":"DELETE","path":%q},{"method":"POST","path":%q,"body":%s}]}`, accessPath, tgPath+"/istio-resources", body)
		many := s.must(422, "POST", "/v2/transactions", tx).problem(t).(map[string]any)
		for _, e := range many["errors"].([]any) {
			if field := e.(map[string]any)["field"].(string); !strings.HasPrefix(field, "/operations/1/body/spec") {
				t.Errorf("field %q is not in the failing operation", field)
			}
		}
	}
	if s.store.Set() != before {
		t.Error("something was stored")
	}
}
