package intentapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

func op(method, path string, rest ...string) string {
	return fmt.Sprintf(`{"method":%q,"path":%q%s}`, method, path, strings.Join(rest, ""))
}

func tx(ops ...string) string { return `{"operations":[` + strings.Join(ops, ",") + `]}` }

func TestTransaction(t *testing.T) {
	s := start(t, at("2026-01-02T03:04:05Z"))
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"old"}}`)
	r := s.must(200, "POST", "/v2/transactions", tx(
		op("POST", clustersPath, `,"body":{"metadata":{"name":"new"}}`),
		op("POST", groupsPath, `,"body":{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[{"appName":"a","clusters":[{"clusterProvider":"acme","cluster":"new"}]}]}}`),
		op("PUT", strings.Replace(tgPath, "intents/traffic", "intent/traffic", 1), `,"body":{"metadata":{"name":"traffic"}},"ifNoneMatch":"*"`),
		op("DELETE", clustersPath+"/old", `,"ifMatch":"\"1\""`),
	))
	stamp := `"resourceVersion":"2","generation":1,"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"`
	diff(t, "answer", parse(t, `{"revision":2,"results":[
		{"path":"`+clustersPath+`/new","effect":"created","object":{"metadata":{"name":"new",`+stamp+`},"spec":{"trustDomain":"cluster.local","clusterDomain":"cluster.local","delivery":"both"}}},
		{"path":"`+groupPath+`","effect":"created","object":{"metadata":{"name":"production",`+stamp+`},"spec":{"namespace":"shop","placements":[{"app":"a","clusters":[{"clusterProvider":"acme","cluster":"new"}]}]}}},
		{"path":"`+tgPath+`","effect":"created","object":{"metadata":{"name":"traffic",`+stamp+`},"spec":{}}},
		{"path":"`+clustersPath+`/old","effect":"deleted"}]}`), r.decoded(t))
	cascade := s.must(200, "POST", "/v2/transactions", tx(op("DELETE", groupPath, `,"cascade":true`), op("PUT", clustersPath+"/new", `,"body":{"metadata":{"name":"new"}}`)))
	diff(t, "effects", parse(t, `[{"path":"`+groupPath+`","effect":"deleted"},"unchanged"]`),
		[]any{cascade.decoded(t).(map[string]any)["results"].([]any)[0], cascade.decoded(t).(map[string]any)["results"].([]any)[1].(map[string]any)["effect"]})
}

func TestTransactionRefusals(t *testing.T) {
	s := start(t)
	s.fleet()
	good := op("POST", clustersPath, `,"body":{"metadata":{"name":"edge-9"}}`)
	port := func(p string) string { return `,"body":` + strings.Replace(inboundBody, "8080", p, 1) }
	many := make([]string, intent.MaxOps+1)
	for i := range many {
		many[i] = good
	}
	for name, c := range map[string]struct {
		body string
		want any
	}{
		"shape of the whole": {`{"operations":[{"path":1,"colour":"red"}]}`, problemJSON(t, 400, shapeDetail,
			"/operations/0/colour", "is not known here", "/operations/0/method", "is missing", "/operations/0/path", "must be a string, is a number")},
		"no operation":  {tx(), problemJSON(t, 400, shapeDetail, "/operations", "must hold 1 to 1000 operations, has 0")},
		"too many":      {tx(many...), problemJSON(t, 400, shapeDetail, "/operations", "must hold 1 to 1000 operations, has 1001")},
		"wrong method":  {tx(good, op("PATCH", inboundPath)), problemJSON(t, 400, shapeDetail, "/operations/1/method", "is none of POST, PUT, DELETE")},
		"missing body":  {tx(good, op("PUT", inboundPath)), problemJSON(t, 400, shapeDetail, "/operations/1/body", "is missing")},
		"body too much": {tx(good, op("DELETE", inboundPath, `,"body":{}`)), problemJSON(t, 400, shapeDetail, "/operations/1/body", "must be absent for a DELETE")},
		"condition":     {tx(good, op("DELETE", inboundPath, `,"ifNoneMatch":"3"`)), problemJSON(t, 400, shapeDetail, "/operations/1/ifNoneMatch", "a write takes * alone")},
		"no path":       {tx(good, op("DELETE", "/v2/x")), problemJSON(t, 400, shapeDetail, "/operations/1/path", `"/v2/x" is not the path of an object: see the OpenAPI document for the resource tree`)},
		"shape of all bodies": {tx(op("PUT", inboundPath, port(`true`)), good, op("PUT", inboundPath, port(`[]`)), op("PUT", inboundPath, port(`0`))), problemJSON(t, 400, shapeDetail,
			"/operations/0/body/spec/port", "must be a whole number, is a boolean", "/operations/2/body/spec/port", "must be a whole number, is an array")},
		"values of all bodies": {tx(op("PUT", inboundPath, port(`0`)), good, op("PUT", inboundPath, port(`"70000"`))), problemJSON(t, 422, "the transaction holds objects that are not legal",
			"/operations/0/body/spec/port", "must be from 1 to 65535, is 0", "/operations/2/body/spec/port", "must be from 1 to 65535, is 70000")},
		"absent": {tx(good, op("DELETE", inboundsPath+"/x")), problemJSON(t, 404, "operation 1, DELETE "+inboundsPath+"/x: the inbound intent does not exist",
			"/operations/1/path", "the inbound intent does not exist")},
		"If-Match": {tx(good, op("DELETE", accessPath, `,"ifMatch":"1"`)), problemJSON(t, 412, "operation 1, DELETE "+accessPath+": If-Match: the object is at resourceVersion 7: read it again and repeat the change",
			"/operations/1/ifMatch", "If-Match: the object is at resourceVersion 7: read it again and repeat the change")},
		"unknown cluster": {
			tx(good, op("PUT", groupPath, `,"body":{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[{"app":"a","clusters":[{"clusterProvider":"x","cluster":"y"}]}]}}`)),
			problemJSON(t, 409, "operation 1, PUT "+groupPath+": a placement names a cluster that does not exist: register it first",
				"/operations/1/body/spec/placements/0/clusters/0", "cluster x/y does not exist"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.store.Set()
			diff(t, "problem", c.want, s.do("POST", "/v2/transactions", c.body).problem(t))
			if s.store.Set() != before {
				t.Error("the store changed")
			}
		})
	}
}

// TestTransactionSize sends as many operations as one may hold.
func TestTransactionSize(t *testing.T) {
	s := start(t)
	ops := make([]string, intent.MaxOps)
	for i := range ops {
		ops[i] = op("POST", clustersPath, fmt.Sprintf(`,"body":{"metadata":{"name":"edge-%04d"}}`, i))
	}
	r := s.must(200, "POST", "/v2/transactions", tx(ops...))
	var got struct{ Results []json.RawMessage }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || len(got.Results) != intent.MaxOps || s.store.Set().Revision() != 1 {
		t.Errorf("%d results at revision %s: %v", len(got.Results), s.store.Set().Revision(), err)
	}
}
