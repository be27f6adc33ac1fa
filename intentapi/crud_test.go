package intentapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
)

// at fixes the clock of a server.
func at(now string) func(*intentapi.Config, *raftstore.Config) {
	return func(c *intentapi.Config, _ *raftstore.Config) {
		c.Now = func() time.Time {
			t, _ := time.Parse(time.RFC3339, now)
			return t
		}
	}
}

func TestObjectLife(t *testing.T) {
	s := start(t, at("2026-01-02T03:04:05Z"))
	s.must(201, "POST", groupsPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop"}}`)
	s.must(201, "POST", groupPath+"/traffic-group-intents", `{"metadata":{"name":"traffic"}}`)

	created := s.must(201, "POST", inboundsPath, inboundBody)
	want := parse(t, `{"metadata":{"name":"basket","resourceVersion":"3","generation":1,"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"},
		"spec":{"app":"basket","appLabel":"app=basket","serviceName":"basket","port":8080,"protocol":"HTTP","serviceMesh":"istio","authorization":"access-points"}}`)
	answer := created.decoded(t).(map[string]any)
	diff(t, "warnings", []any{inboundPath + ": no cluster serves it: place app basket of its deployment intent group"}, answer["warnings"])
	delete(answer, "warnings")
	diff(t, "created", want, any(answer))
	diff(t, "ETag", `"3"`, created.header.Get("ETag"))
	diff(t, "Location", inboundPath, created.header.Get("Location"))
	diff(t, "Meshwright-Revision", "3", created.header.Get("Meshwright-Revision"))

	diff(t, "read", want, s.must(200, "GET", inboundPath, "").decoded(t))
	s.must(409, "POST", inboundsPath, inboundBody)
	s.must(304, "GET", inboundPath, "", `If-None-Match: "3"`)
	s.must(200, "GET", inboundPath, "", `If-None-Match: "2"`)

	// What was read can be edited and sent back.
	edited := strings.Replace(created.body, `"port":8080`, `"port":9090`, 1)
	s.must(412, "PUT", inboundPath, edited, `If-Match: "2"`)
	replaced := s.must(200, "PUT", inboundPath, edited, `If-Match: "1", "3"`)
	diff(t, "ETag", `"4"`, replaced.header.Get("ETag"))
	same := s.must(200, "PUT", inboundPath, replaced.body)
	diff(t, "ETag of a PUT that changes nothing", `"4"`, same.header.Get("ETag"))
	diff(t, "revision after it", "4", same.header.Get("Meshwright-Revision"))
	s.must(412, "PUT", inboundPath, edited, "If-None-Match: *")
	s.must(412, "DELETE", inboundPath, "", `If-Match: "3"`)

	s.must(409, "DELETE", groupPath, "")
	s.must(204, "DELETE", inboundPath, "", `If-Match: "4"`)
	s.must(404, "DELETE", inboundPath, "")
	s.must(404, "GET", inboundPath, "")
	s.must(201, "PUT", inboundPath, inboundBody, "If-None-Match: *")
	s.must(204, "DELETE", groupPath+"?cascade=true", "")
	diff(t, "groups", "[]\n", s.must(200, "GET", groupsPath, "").body)
	s.must(404, "GET", inboundsPath, "")
}

func TestAliases(t *testing.T) {
	s := start(t)
	s.fleet()
	body := `{"metadata":{"name":"pay"},"spec":{"application":"basket","appLabel":"app=pay","servicename":"pay","port":"8081","protocol":"grpc","istio":{"loadbalancing":{"type":"least_conn"},"mutualTLS":"MUTUAL"}}}`
	alias := strings.Replace(inboundsPath, "traffic-group-intents", "traffic-group-intent", 1)
	s.must(201, "POST", alias, body)
	got := s.must(200, "GET", inboundsPath+"/pay", "").decoded(t).(map[string]any)["spec"]
	diff(t, "spec", parse(t, `{"app":"basket","appLabel":"app=pay","serviceName":"pay","port":8081,"protocol":"GRPC","serviceMesh":"istio","authorization":"access-points",
		"management":{"tlsType":"MUTUAL"},"trafficPolicy":{"loadBalancing":{"type":"LEAST_REQUEST"}}}`), got)
	s.must(200, "GET", clientPath+"/security/read", "")
	s.must(201, "POST", strings.Replace(clientPath, "traffic-group-intents", "traffic-group-intent", 1)+"/security",
		`{"metadata":{"name":"write"},"spec":{"action":"deny","url":["/*"],"access":["post"]}}`)
	s.must(200, "GET", clientPath+"/access-points/write", "")

	s.must(200, "GET", strings.Replace(clientPath, "/shop/", "/sh%6Fp/", 1)+"/security/read", "")

	// Who reads YAML by its older rules sends yes as true.
	for _, c := range []struct{ member, want string }{
		{`"istio":{"mutualTLS":true,"sidecar-proxy":true}`, `{"tlsType":"MUTUAL","sidecarProxy":"yes"}`},
		{`"istio":{"mutualTLS":false}`, `{"tlsType":"NONE"}`},
		{`"management":{"sidecarProxy":true}`, `{"sidecarProxy":"yes"}`},
	} {
		body := `{"metadata":{"name":"pay"},"spec":{"app":"basket","appLabel":"app=pay","serviceName":"pay","port":8081,"protocol":"GRPC",` + c.member + `}}`
		spec := s.must(200, "PUT", inboundsPath+"/pay", body).decoded(t).(map[string]any)["spec"].(map[string]any)
		diff(t, c.member, parse(t, c.want), spec["management"])
	}

	// A project may bear the name of an alias.
	s.must(201, "POST", "/v2/projects/security/composite-apps/traffic-group-intent/v1/deployment-intent-groups", `{"metadata":{"name":"g"},"spec":{"namespace":"n"}}`)
	s.must(200, "GET", "/v2/projects/security/composite-apps/traffic-group-intent/v1/deployment-intent-groups/g", "")

	both := s.must(400, "POST", inboundsPath, `{"metadata":{"name":"two"},"spec":{"app":"a","appName":"b","appLabel":"a=b","serviceName":"s","port":1,"protocol":"TCP"}}`)
	diff(t, "both spellings", parse(t, `[{"field":"/spec/appName","message":"means the same as app: give one of them"}]`), both.problem(t).(map[string]any)["errors"])
	own := s.must(422, "POST", inboundsPath, `{"metadata":{"name":"two"},"spec":{"app":"a","appLabel":"a=b","servicename":"S","port":"0","protocol":"TCP"}}`)
	diff(t, "errors by the client's names", parse(t, `[
		{"field":"/spec/servicename","message":"\"S\" must be a DNS-1123 label: lower-case letters, digits and '-', starting and ending with a letter or digit"},
		{"field":"/spec/port","message":"must be from 1 to 65535, is 0"}]`), own.problem(t).(map[string]any)["errors"])
}

func TestYAMLBody(t *testing.T) {
	s := start(t)
	s.must(201, "POST", clustersPath, "---\nmetadata:\n  name: edge-1\n  labels: {tier: edge}\nspec:\n  network: n1\n", "Content-Type: application/yaml; charset=utf-8")
	s.must(201, "POST", clustersPath, "metadata: {name: edge-2, labels: {mesh: yes, power: on}, userData1: 2026-01-02}", "Content-Type: application/yaml")
	texts := s.must(200, "GET", clustersPath+"/edge-2", "").decoded(t).(map[string]any)["metadata"].(map[string]any)
	diff(t, "words and dates stay texts", parse(t, `{"labels":{"mesh":"yes","power":"on"},"userData1":"2026-01-02"}`),
		map[string]any{"labels": texts["labels"], "userData1": texts["userData1"]})
	r := s.must(400, "POST", clustersPath, "metadata:\n  name: a\n---\nmetadata:\n  name: b\n", "Content-Type: application/yaml")
	diff(t, "two documents", parse(t, `{"type":"urn:meshwright:problem:malformed","title":"Bad Request","status":400,
		"detail":"the body holds more than one YAML document: send one object a request, or a transaction"}`), r.problem(t))
	s.must(400, "POST", clustersPath, "metadata:\n  name: a\n  name: b\n", "Content-Type: application/yaml")
	s.must(400, "POST", clustersPath, "metadata: [", "Content-Type: application/yaml")
}

func TestListing(t *testing.T) {
	s := start(t)
	for i := range 7 {
		s.must(201, "POST", clustersPath, fmt.Sprintf(`{"metadata":{"name":"edge-%d","labels":{"parity":"p%d","tier":"edge"}}}`, 6-i, (6-i)%2))
	}
	names := func(r reply) (out []string) {
		for _, o := range r.decoded(t).([]any) {
			out = append(out, o.(map[string]any)["metadata"].(map[string]any)["name"].(string))
		}
		return out
	}
	diff(t, "all", []string{"edge-0", "edge-1", "edge-2", "edge-3", "edge-4", "edge-5", "edge-6"}, names(s.must(200, "GET", clustersPath, "")))
	for selector, want := range map[string][]string{
		"parity=p1":                          {"edge-1", "edge-3", "edge-5"},
		"parity!=p1,tier":                    {"edge-0", "edge-2", "edge-4", "edge-6"},
		"parity%20in%20(p1),tier=edge":       {"edge-1", "edge-3", "edge-5"},
		"parity%20notin%20(p0,p1)":           nil,
		"!tier":                              nil,
		"tier%20in%20(edge,core),parity==p0": {"edge-0", "edge-2", "edge-4", "edge-6"},
	} {
		diff(t, selector, want, names(s.must(200, "GET", clustersPath+"?labelSelector="+selector, "")))
	}
	var pages [][]string
	for next := clustersPath + "?limit=2&labelSelector=parity=p0"; next != ""; {
		r := s.must(200, "GET", next, "")
		pages = append(pages, names(r))
		link, rel, _ := strings.Cut(r.header.Get("Link"), ">; ")
		if next = strings.TrimPrefix(link, "<"); next != "" && rel != `rel="next"` {
			t.Fatalf("Link %q", r.header.Get("Link"))
		}
	}
	diff(t, "pages", [][]string{{"edge-0", "edge-2"}, {"edge-4", "edge-6"}}, pages)
	for _, query := range []string{"limit=0", "limit=x", "limit=-1", "labelSelector=%3D%3D", "continue=%21", "continue=eA", "limits=2", "limit=1&limit=2", "minRevision=x", "consistency=strong", "dryRun=true"} {
		s.must(400, "GET", clustersPath+"?"+query, "")
	}
}

func TestPageBound(t *testing.T) {
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.MaxPage = 2 })
	for i := range 3 {
		s.must(201, "POST", clustersPath, fmt.Sprintf(`{"metadata":{"name":"edge-%d"}}`, i))
	}
	if got := s.must(200, "GET", clustersPath+"?limit=1000", ""); len(got.decoded(t).([]any)) != 2 || got.header.Get("Link") == "" {
		t.Errorf("a page over the bound: %s, Link %q", got.body, got.header.Get("Link"))
	}
}

func TestParents(t *testing.T) {
	s := start(t)
	missing := s.must(404, "POST", inboundsPath, inboundBody)
	diff(t, "without a group", parse(t, `{"type":"urn:meshwright:problem:not-found","title":"Not Found","status":404,
		"detail":"the deployment intent group `+groupPath+` does not exist: create it first"}`), missing.problem(t))
	s.must(201, "POST", groupsPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop"}}`)
	s.must(409, "POST", inboundsPath, inboundBody)
	s.must(404, "GET", inboundsPath, "")
	diff(t, "no traffic groups", "[]\n", s.must(200, "GET", groupPath+"/traffic-group-intents", "").body)
	s.must(404, "GET", clustersPath+"/nowhere", "")
	s.must(404, "GET", clustersPath+"/nowhere/bundle", "")
	s.must(404, "GET", clustersPath+"/nowhere/status", "")
	s.must(404, "POST", clustersPath+"/nowhere/kv-pairs", `{"istioIngressGatewayAddress":"192.0.2.1"}`)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := start(t)
	diff(t, "path", parse(t, `{"type":"urn:meshwright:problem:not-found","title":"Not Found","status":404,
		"detail":"there is no such path: /openapi.yaml lists those that are served"}`), s.must(404, "GET", "/v2/nothing", "").problem(t))
	diff(t, "method", parse(t, `{"type":"urn:meshwright:problem:method-not-allowed","title":"Method Not Allowed","status":405,
		"detail":"the path takes GET, HEAD, POST only"}`), s.must(405, "PATCH", clustersPath, "{}").problem(t))
	for _, path := range []string{"/v2/members", "/v2/backup", clustersPath + "/a/bundle/revisions", groupPath + "/history"} {
		diff(t, path, parse(t, `{"type":"urn:meshwright:problem:not-implemented","title":"Not Implemented","status":501,"detail":"not supported by this release"}`),
			s.must(501, "GET", path, "").problem(t))
	}
	s.must(501, "POST", clustersPath+"/a/reports", "{}")
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"a"}}`)
	s.must(501, "GET", clustersPath+"/a/bundle?revision=1", "")
	head := s.raw("HEAD", clustersPath+"/a", "")
	diff(t, "HEAD", []any{200, "", `"1"`}, []any{head.status, head.body, head.header.Get("ETag")})
}

func TestDryRun(t *testing.T) {
	s := start(t)
	s.fleet()
	before := s.store.Set()
	created := s.must(200, "POST", inboundsPath+"?dryRun=true", `{"metadata":{"name":"pay"},"spec":{"app":"basket","appLabel":"app=pay","serviceName":"pay","port":8080,"protocol":"HTTP"}}`, "Idempotency-Key: unused")
	var kinds []string
	for _, c := range created.decoded(t).(map[string]any)["clusters"].([]any) {
		for _, o := range c.(map[string]any)["added"].([]any) {
			kinds = append(kinds, c.(map[string]any)["cluster"].(string)+" "+o.(map[string]any)["kind"].(string))
		}
	}
	if len(kinds) == 0 {
		t.Errorf("the preview of a new inbound intent adds nothing: %s", created.body)
	}
	s.must(200, "PUT", inboundPath+"?dryRun=true", strings.Replace(inboundBody, "8080", "8081", 1))
	removed := s.must(200, "DELETE", inboundPath+"?dryRun=true&cascade=true", "")
	if n := len(removed.decoded(t).(map[string]any)["clusters"].([]any)); n != 2 {
		t.Errorf("the preview of a deletion touches %d clusters, want 2: %s", n, removed.body)
	}
	s.must(200, "POST", clustersPath+"/edge-1/kv-pairs?dryRun=true", `{"istioIngressGatewayAddress":"192.0.2.99"}`)
	s.must(200, "POST", clustersPath+"/edge-3/bundle?dryRun=true", `{"spec":{}}`)
	s.must(200, "POST", "/v2/transactions?dryRun=true", `{"operations":[{"method":"DELETE","path":"`+accessPath+`"}]}`)
	s.must(422, "POST", inboundsPath+"?dryRun=true", strings.Replace(inboundBody, "8080", "0", 1))
	s.must(409, "POST", inboundsPath+"?dryRun=true", inboundBody)
	s.must(400, "POST", inboundsPath+"?dryrun=true", inboundBody)
	s.must(400, "POST", inboundsPath+"?dryRun=yes", inboundBody)
	if s.store.Set() != before {
		t.Error("a dry run changed the store")
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := start(t)
	body := `{"metadata":{"name":"edge-1"},"spec":{"network":"n1"}}`
	first := s.must(201, "POST", clustersPath, body, "Idempotency-Key: k1")
	again := s.must(201, "POST", clustersPath, body, "Idempotency-Key: k1")
	diff(t, "answer to a repetition", first.body, again.body)
	diff(t, "revision", "1", again.header.Get("Meshwright-Revision"))
	s.must(409, "POST", clustersPath, strings.Replace(body, "n1", "n2", 1), "Idempotency-Key: k1")
	s.must(409, "POST", clustersPath, body, "Idempotency-Key: k2")
	s.must(204, "DELETE", clustersPath+"/edge-1", "", "Idempotency-Key: k3")
	s.must(204, "DELETE", clustersPath+"/edge-1", "", "Idempotency-Key: k3")
	s.must(410, "POST", clustersPath, body, "Idempotency-Key: k1")
	for _, key := range []string{strings.Repeat("k", 201), "two words", "ümlaut"} {
		s.must(400, "POST", clustersPath, body, "Idempotency-Key: "+key)
	}
	tx := `{"operations":[{"method":"POST","path":"` + clustersPath + `","body":{"metadata":{"name":"t"}}}]}`
	diff(t, "repeated transaction", s.must(200, "POST", "/v2/transactions", tx, "Idempotency-Key: t1").body, s.must(200, "POST", "/v2/transactions", tx, "Idempotency-Key: t1").body)
}

func TestRevisionAndConsistency(t *testing.T) {
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.RevisionWait = 50 * time.Millisecond })
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	s.must(200, "GET", clustersPath+"?minRevision=1&consistency=linearizable", "")
	late := s.must(504, "GET", clustersPath+"?minRevision=2", "")
	diff(t, "too new", parse(t, `{"type":"urn:meshwright:problem:timeout","title":"Gateway Timeout","status":504,
		"detail":"this replica is at revision 1 and did not reach the asked one in time: ask again or another replica"}`), late.problem(t))
}

func TestMinRevisionWaits(t *testing.T) {
	s := start(t)
	got := make(chan int, 1)
	go func() {
		resp, err := s.client.Get(s.url + clustersPath + "/edge-1?minRevision=1")
		if err != nil {
			got <- 0
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	diff(t, "status", http.StatusOK, <-got)
}

func TestRequestID(t *testing.T) {
	s := start(t)
	diff(t, "given", "trace-1", s.must(200, "GET", clustersPath, "", "X-Request-Id: trace-1").header.Get("X-Request-Id"))
	for _, bad := range []string{"two words", strings.Repeat("x", 129), `"quoted"`} {
		if got := s.must(200, "GET", clustersPath, "", "X-Request-Id: "+bad).header.Get("X-Request-Id"); len(got) != 32 {
			t.Errorf("request id for %q: %q", bad, got)
		}
	}
}
