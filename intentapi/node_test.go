package intentapi_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
)

func TestHealth(t *testing.T) {
	s := start(t)
	diff(t, "healthz", `{"status":"alive"}`+"\n", s.must(200, "GET", "/healthz", "").body)
	eventually(t, "readiness", func() bool { return s.do("GET", "/readyz", "").status == 200 })
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.must(503, "GET", "/readyz", "")
	if p := r.problem(t).(map[string]any); p["errors"].([]any)[0].(map[string]any)["field"] != "/store" {
		t.Errorf("a closed store: %s", r.body)
	}
	diff(t, "still alive", 200, s.do("GET", "/healthz", "").status)
}

// TestStoreGone closes the store under the API: reads go on, writes tell that
// nothing was changed.
func TestStoreGone(t *testing.T) {
	s := start(t)
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	s.must(200, "GET", edge1, "")
	want := parse(t, `{"type":"urn:meshwright:problem:unavailable","title":"Service Unavailable","status":503,
		"detail":"the store can't take the request now; nothing was changed: send it again"}`)
	diff(t, "write", want, s.must(503, "DELETE", edge1, "").problem(t))
	linearizable := s.must(503, "GET", edge1+"?consistency=linearizable", "")
	diff(t, "linearizable read", want, linearizable.problem(t))
	diff(t, "Retry-After", "1", linearizable.header.Get("Retry-After"))
}

func TestStoreErrors(t *testing.T) {
	f := &faults{}
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.Store = f })
	unknown := `{"type":"urn:meshwright:problem:unavailable","title":"Service Unavailable","status":503,"outcome":"unknown",
		"detail":"the write may or may not have been carried out: read before writing again, or repeat it with the same Idempotency-Key"}`
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{intent.ErrUnknownOutcome, 503, unknown},
		{errors.New("dial 10.1.2.3:9019: no route to host"), 503, unknown}, // and no word of the address
		{intent.ErrTooLarge, 413, `{"type":"urn:meshwright:problem:too-large","title":"Request Entity Too Large","status":413,"detail":"the change is too large for one entry of the log: split it"}`},
	} {
		f.propose = func() error { return c.err }
		diff(t, c.err.Error(), parse(t, c.want), s.must(c.status, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`).problem(t))
	}
}

func TestPanic(t *testing.T) {
	f := &faults{}
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.Store = f })
	f.set = func() { panic("secret thing") }
	r := s.raw("GET", clustersPath, "", "X-Request-Id: boom")
	diff(t, "status", 500, r.status)
	diff(t, "problem", parse(t, `{"type":"urn:meshwright:problem:internal","title":"Internal Server Error","status":500,
		"detail":"an error that is not the request's; its details are in the server's log under the request id"}`), r.problem(t))
	f.set = nil
	if log := s.log.String(); !strings.Contains(log, "secret thing") || !strings.Contains(log, `"request_id":"boom"`) {
		t.Errorf("the panic is not in the log: %s", log)
	}
	s.must(200, "GET", clustersPath, "") // goes on
}

// TestSecrets stores keys as a later release may, and sees that none comes out.
func TestSecrets(t *testing.T) {
	s := start(t)
	s.fleet()
	key := "c2VjcmV0LWtleQ=="
	in := *s.store.Set().Get(inboundPath)
	spec := *in.Spec.(*intent.InboundSpec)
	spec.External = &intent.External{ExternalCerts: &intent.Certificates{ServiceCertificate: "c", ServicePrivateKey: key}}
	in.Spec = &spec
	outboundPath := intent.Path(tgPath + "/outbound-intents/pay")
	out := intent.Object{Path: outboundPath, Metadata: intent.Metadata{Name: "pay"}, Spec: &intent.OutboundSpec{
		App: "basket", ExternalServiceName: "pay.example.com", Port: 443, Protocol: "TLS", TLS: &intent.OutboundTLS{ClientPrivateKey: key},
	}}
	_, err := s.store.Propose(t.Context(), intent.Command{Kind: intent.Transact, At: time.Now(), Ops: []intent.Op{
		{Method: intent.Put, Path: inboundPath, Object: &in}, {Method: intent.Create, Path: outboundPath, Object: &out},
	}})
	if err != nil {
		t.Fatal(err)
	}
	events := s.events(t.Context(), "?sinceRevision=7")
	answers := []string{
		s.must(200, "GET", inboundPath, "").body, s.must(200, "GET", inboundsPath, "").body,
		s.must(200, "GET", string(outboundPath), "").body, next(t, events).Data, next(t, events).Data,
	}
	for _, a := range answers {
		if strings.Contains(a, key) || !strings.Contains(a, "sha256:") {
			t.Errorf("an answer shows a key, or no fingerprint: %s", a)
		}
	}
}

func TestMetricsLogAndTrace(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	s := start(t)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-1"}}`, "X-Request-Id: r-1", "traceparent: 00-"+trace+"-00f067aa0ba902b7-01")
	s.must(404, "GET", clustersPath+"/none", "", "X-Request-Id: r-2")
	s.must(200, "GET", edge1, "", "X-Request-Id: r-3")

	metrics := s.must(200, "GET", "/metrics", "").body
	for _, line := range []string{
		`meshwright_rest_requests_total{code="201",method="POST",route="/v2/cluster-providers/{provider}/clusters"} 1`,
		`meshwright_rest_requests_total{code="404",method="GET",route="/v2/cluster-providers/{provider}/clusters/{cluster}"} 1`,
		`meshwright_rest_request_seconds_count{method="GET",route="/v2/cluster-providers/{provider}/clusters/{cluster}"} 2`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %s in the metrics", line)
		}
	}
	want := map[string][]any{
		"r-1": {"INFO", 201.0, trace}, "r-2": {"INFO", 404.0, nil}, "r-3": {"DEBUG", 200.0, nil},
	}
	got := map[string][]any{}
	for lines := bufio.NewScanner(strings.NewReader(s.log.String())); lines.Scan(); {
		var e map[string]any
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if id, _ := e["request_id"].(string); want[id] != nil && e["msg"] == "request" {
			id1 := e["trace_id"]
			if id != "r-1" {
				id1 = nil
			}
			got[id] = append(got[id], e["level"], e["status"], id1)
		}
	}
	diff(t, "events", want, got)
	found := false
	for _, span := range recorder.Ended() {
		found = found || span.Name() == "POST /v2/cluster-providers/{provider}/clusters" && span.SpanContext().TraceID().String() == trace
	}
	if !found {
		t.Error("no span of the request in the caller's trace")
	}
}

func TestConfigValidate(t *testing.T) {
	_, err := intentapi.New(intentapi.DefaultConfig())
	if err == nil || !strings.Contains(err.Error(), "Store") {
		t.Errorf("a config without a store: %v", err)
	}
}
