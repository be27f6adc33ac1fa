package intentapi_test

import (
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
