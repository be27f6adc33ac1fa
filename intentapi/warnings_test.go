package intentapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// warnings are those of an answer, nil when it has none.
func (r reply) warnings(t testing.TB) any { return r.decoded(t).(map[string]any)["warnings"] }

// TestWarnings holds that what is legal but unwise is told by each kind of
// write, and by the status until it is mended.
func TestWarnings(t *testing.T) {
	s := start(t)
	s.fleet()
	diff(t, "status of a sound fleet", parse(t, `[]`), s.must(200, "GET", inboundPath+"/status", "").warnings(t))
	diff(t, "status of its cluster", parse(t, `[]`), s.must(200, "GET", edge1+"/status", "").warnings(t))

	const text = "authorization of the service is open, so this access point changes nothing: everyone may call"
	said := []any{accessPath + ": " + text}
	open := strings.Replace(inboundBody, `"port"`, `"authorization":"open","port"`, 1)
	diff(t, "dry run", any(said), s.must(200, "PUT", inboundPath+"?dryRun=true", open).warnings(t))
	diff(t, "replaced", any(said), s.must(200, "PUT", inboundPath, open, "Idempotency-Key: one").warnings(t))
	diff(t, "sent again", any(said), s.must(200, "PUT", inboundPath, open, "Idempotency-Key: one").warnings(t))
	diff(t, "unchanged", any(said), s.must(200, "PUT", inboundPath, open).warnings(t))
	diff(t, "dry run of what is there", any(said), s.must(200, "PUT", inboundPath+"?dryRun=true", open).warnings(t))
	diff(t, "transaction", any(said), s.must(200, "POST", "/v2/transactions", tx(op("PUT", inboundPath, `,"body":`+open))).warnings(t))
	want := []any{map[string]any{"intent": accessPath, "message": text}}
	for _, path := range []string{inboundPath, accessPath, groupPath, tgPath, edge1} {
		diff(t, "status of "+path, any(want), s.must(200, "GET", path+"/status", "").warnings(t))
	}

	mended := s.must(200, "PUT", inboundPath, inboundBody)
	diff(t, "mended", nil, mended.warnings(t))
	diff(t, "status of what is mended", parse(t, `[]`), s.must(200, "GET", inboundPath+"/status", "").warnings(t))
	diff(t, "GET", nil, s.must(200, "GET", inboundPath, "").warnings(t))
}

// TestWarningsOfWhatIsMissing holds that a write tells what some clusters can't
// be given, and that the number of warnings is bounded.
func TestWarningsOfWhatIsMissing(t *testing.T) {
	s := start(t)
	s.fleet()
	r := s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1"}}`)
	diff(t, "a lost gateway", any([]any{
		"cluster acme/edge-1: " + inboundPath + ": cluster acme/edge-1 has no east-west gateway any more: the last one known is kept",
		"cluster acme/edge-2: " + inboundPath + ": cluster acme/edge-1 has no east-west gateway address any more: the last one known is kept",
	}), r.warnings(t))

	var ops []string
	for i := range 120 {
		name := fmt.Sprintf("lone-%03d", i)
		ops = append(ops, op("PUT", inboundsPath+"/"+name, `,"body":{"metadata":{"name":"`+name+`"},"spec":{"app":"lone","appLabel":"a=b","serviceName":"`+name+`","port":1,"protocol":"TCP"}}`))
	}
	told := s.must(200, "POST", "/v2/transactions", tx(ops...)).warnings(t).([]any)
	if len(told) != 101 {
		t.Fatalf("%d warnings are told", len(told))
	}
	diff(t, "first", any(inboundsPath+"/lone-000: no cluster serves it: place app lone of its deployment intent group"), told[0])
	diff(t, "last", any("and 20 more: the status of each intent tells all of its own"), told[100])
}

// TestWarningsOfTheContract holds that each of what a write is to warn of is
// told once by the answer to a create and to a replace, by the dry run before
// it, and by the status of the intent.
func TestWarningsOfTheContract(t *testing.T) {
	const tcpPath = inboundsPath + "/db"
	rule := func(name, spec string) string { return `{"metadata":{"name":"` + name + `"},"spec":` + spec + `}` }
	for _, test := range []struct {
		name             string
		before           []string // collections and bodies, in pairs
		collection, body string
		intent, message  string // of the warning
		other            string // that follows
	}{
		{
			name:       "a client in a cluster without an east-west gateway",
			before:     []string{clustersPath, `{"metadata":{"name":"edge-3"},"spec":{"network":"n3"}}`, groupsPath, `{"metadata":{"name":"callers"},"spec":{"namespace":"callers","placements":[{"app":"cli","clusters":[{"clusterProvider":"acme","cluster":"edge-3"}]}],"serviceAccounts":{"cli":"cli"}}}`},
			collection: inboundPath + "/clients",
			body:       `{"metadata":{"name":"cli"},"spec":{"app":"cli","appLabel":"app=cli","namespaces":[],"cidrs":[],"group":{"project":"shop","compositeApp":"store","version":"v1","group":"callers"}}}`,
			intent:     inboundPath + "/clients/cli",
			message:    "no east-west gateway is known of acme/edge-3, where it runs: its calls go out from there all the same, but no other cluster can call anything there",
		},
		{
			name:       "a service with no placement",
			collection: inboundsPath,
			body:       `{"metadata":{"name":"lone"},"spec":{"app":"lone","appLabel":"app=lone","serviceName":"lone","port":80,"protocol":"HTTP"}}`,
			intent:     inboundsPath + "/lone",
			message:    "no cluster serves it: place app lone of its deployment intent group",
		},
		{
			name:       "a client of a service with no placement",
			before:     []string{inboundsPath, `{"metadata":{"name":"lone"},"spec":{"app":"lone","appLabel":"app=lone","serviceName":"lone","port":80,"protocol":"HTTP"}}`},
			collection: inboundsPath + "/lone/clients",
			body:       `{"metadata":{"name":"web"},"spec":{"app":"web","appLabel":"app=web","namespaces":[],"cidrs":[]}}`,
			intent:     inboundsPath + "/lone",
			message:    "no cluster serves it: place app lone of its deployment intent group",
		},
		{
			name: "ALLOW on a TCP service with HTTP fields",
			before: []string{
				inboundsPath, `{"metadata":{"name":"db"},"spec":{"app":"basket","appLabel":"app=db","serviceName":"db","port":5432,"protocol":"TCP"}}`,
				tcpPath + "/clients", `{"metadata":{"name":"web"},"spec":{"app":"web","appLabel":"app=web","namespaces":[],"cidrs":[]}}`,
			},
			collection: tcpPath + "/clients/web/access-points",
			body:       `{"metadata":{"name":"read"},"spec":{"action":"ALLOW","url":["/rows/*"],"access":["GET"]}}`,
			intent:     tcpPath + "/clients/web/access-points/read",
			message:    "methods and paths are HTTP fields, which mean nothing to a TCP or TLS service, so this access point allows nothing: give ports, or no more than * for url and access",
		},
		{
			name:       "ALLOW on a TCP port with HTTP fields",
			before:     []string{inboundsPath, `{"metadata":{"name":"db"},"spec":{"app":"basket","appLabel":"app=db","serviceName":"db","port":5432,"protocol":"TCP"}}`, tcpPath + "/clients", `{"metadata":{"name":"web"},"spec":{"app":"web","appLabel":"app=web","namespaces":[],"cidrs":[]}}`},
			collection: tcpPath + "/clients/web/access-points",
			body:       `{"metadata":{"name":"read"},"spec":{"action":"ALLOW","url":["/rows/*"],"access":["GET"],"ports":[5432]}}`,
			intent:     tcpPath + "/clients/web/access-points/read",
			message:    "methods and paths are HTTP fields, which mean nothing on TCP and TLS ports: on ports 5432 every call is allowed",
		},
		{
			name:       "a route that shadows another",
			before:     []string{inboundPath + "/routing-rules", rule("narrow", `{"match":[{"path":{"prefix":"/v1/items"}}],"timeout":"1s"}`)},
			collection: inboundPath + "/routing-rules",
			body:       rule("wide", `{"priority":10,"match":[{"path":{"prefix":"/v1"}}],"timeout":"2s"}`),
			intent:     inboundPath + "/routing-rules/narrow",
			other:      inboundPath + "/routing-rules/wide: it shadows " + inboundPath + "/routing-rules/narrow, which no call reaches: it comes before that rule and matches all that it does",
			message:    "it is shadowed, so no call reaches it: " + inboundPath + "/routing-rules/wide comes before it and matches all that it does; give it a higher priority, or narrow the other",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			s.fleet()
			for i := 0; i < len(test.before); i += 2 {
				s.must(201, "POST", test.before[i], test.before[i+1])
			}
			var written struct{ Metadata struct{ Name string } }
			if err := json.Unmarshal([]byte(test.body), &written); err != nil {
				t.Fatal(err)
			}
			path, said := test.collection+"/"+written.Metadata.Name, []any{test.intent + ": " + test.message}
			if test.other != "" {
				said = append(said, test.other)
			}
			diff(t, "dry run of POST", any(said), s.must(200, "POST", test.collection+"?dryRun=true", test.body).warnings(t))
			diff(t, "dry run of PUT", any(said), s.must(200, "PUT", path+"?dryRun=true", test.body).warnings(t))
			diff(t, "POST", any(said), s.must(201, "POST", test.collection, test.body).warnings(t))
			s.must(204, "DELETE", path, "")
			diff(t, "PUT", any(said), s.must(201, "PUT", path, test.body).warnings(t))
			for _, line := range said {
				about, message, _ := strings.Cut(line.(string), ": ")
				want := any([]any{map[string]any{"intent": about, "message": message}})
				diff(t, "status of "+about, want, s.must(200, "GET", about+"/status", "").warnings(t))
			}
		})
	}
}
