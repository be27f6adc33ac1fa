package intentapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
	"github.com/meshwright/meshwright/snapshot"
)

// faults is a store that a test lets fail.
type faults struct {
	intentapi.Store
	propose func() error
	set     func()
}

func (f *faults) Propose(ctx context.Context, c intent.Command) (intent.Result, error) {
	if f.propose != nil {
		return intent.Result{}, f.propose()
	}
	return f.Store.Propose(ctx, c)
}

func (f *faults) Set() *intent.Set {
	if f.set != nil {
		f.set()
	}
	return f.Store.Set()
}

// server is the API on a real store and real views.
type server struct {
	t       testing.TB
	url     string
	client  *http.Client
	store   *raftstore.Store
	views   *snapshot.Views
	tracker *clusters.Tracker
	log     *syncBuffer
	openapi *openapiChecker
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t testing.TB, configure ...func(*intentapi.Config, *raftstore.Config)) *server {
	t.Helper()
	registry := prometheus.NewRegistry()
	logs := &syncBuffer{}
	logger := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config, storeConfig := intentapi.DefaultConfig(), raftstore.DefaultConfig()
	storeConfig.Dir = t.TempDir()
	for _, f := range configure {
		f(&config, &storeConfig)
	}
	store, err := raftstore.Open(storeConfig)
	if err != nil {
		t.Fatal(err)
	}
	viewsConfig := snapshot.DefaultConfig()
	viewsConfig.Source, viewsConfig.Logger, viewsConfig.Registerer = store, slog.New(slog.DiscardHandler), registry
	views := snapshot.New(viewsConfig)
	tracker := clusters.NewTracker(clusters.TrackerConfig{Sets: store, Replica: "replica-1"})

	if f, ok := config.Store.(*faults); ok {
		f.Store = store
	} else {
		config.Store = store
	}
	config.Views, config.Tracker = views, tracker
	config.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	config.Registerer, config.Logger = registry, logger
	api, err := intentapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- views.Run(ctx) }()
	server1 := httptest.NewServer(api)
	t.Cleanup(func() {
		server1.CloseClientConnections()
		server1.Close()
		stop()
		if err := <-running; err != nil {
			t.Errorf("views: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	s := &server{t: t, url: server1.URL, client: server1.Client(), store: store, views: views, tracker: tracker, log: logs}
	if err := store.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.openapi = newOpenAPIChecker(t, s.raw("GET", "/openapi.json", "").body)
	return s
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request and checks the answer against the OpenAPI document.
// Headers are given as "Name: value".
func (s *server) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r := s.raw(method, path, body, headers...)
	if r.status == 0 {
		return r
	}
	s.openapi.check(s.t, method, path, r)
	return r
}

// raw is do without the check. A request that gets no answer fails the test and
// returns the zero reply, so that any goroutine may call it.
func (s *server) raw(method, path, body string, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return reply{}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return reply{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return reply{}
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// must is do for requests that have to succeed with a status.
func (s *server) must(status int, method, path, body string, headers ...string) reply {
	s.t.Helper()
	r := s.do(method, path, body, headers...)
	if r.status != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// decoded is the body as plain values.
func (r reply) decoded(t testing.TB) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return v
}

// parse reads JSON that a test states.
func parse(t testing.TB, text string) any {
	t.Helper()
	return reply{body: text}.decoded(t)
}

// problem is an error answer without what differs from run to run.
func (r reply) problem(t testing.TB) any {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q, want application/problem+json", got)
	}
	p, ok := r.decoded(t).(map[string]any)
	if !ok {
		t.Fatalf("problem is %s", r.body)
	}
	if p["requestId"] != r.header.Get("X-Request-Id") || p["requestId"] == "" {
		t.Errorf("requestId %v, header %q", p["requestId"], r.header.Get("X-Request-Id"))
	}
	delete(p, "requestId")
	return p
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// eventually asks until the answer is true, for as long as a test may take.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ask() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// The paths that the tests write to.
const (
	clustersPath = "/v2/cluster-providers/acme/clusters"
	groupsPath   = "/v2/projects/shop/composite-apps/store/v1/deployment-intent-groups"
	groupPath    = groupsPath + "/production"
	tgPath       = groupPath + "/traffic-group-intents/traffic"
	inboundsPath = tgPath + "/inbound-intents"
	inboundPath  = inboundsPath + "/basket"
	clientPath   = inboundPath + "/clients/web"
	accessPath   = clientPath + "/access-points/read"
)

// fleet registers two clusters, an inbound service on the first, a client on
// the second, and what it may call.
func (s *server) fleet() {
	s.t.Helper()
	for _, w := range []struct{ path, body string }{
		{clustersPath, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","gateways":[{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]}]}}`},
		{clustersPath, `{"metadata":{"name":"edge-2"},"spec":{"network":"n2","gateways":[{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.2"]}]}}`},
		{groupsPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[
			{"app":"basket","clusters":[{"clusterProvider":"acme","cluster":"edge-1"}]},
			{"app":"web","clusters":[{"clusterProvider":"acme","cluster":"edge-2"}]}],"serviceAccounts":{"web":"web"}}}`},
		{groupPath + "/traffic-group-intents", `{"metadata":{"name":"traffic"}}`},
		{inboundsPath, inboundBody},
		{inboundPath + "/clients", `{"metadata":{"name":"web"},"spec":{"app":"web","appLabel":"app=web","namespaces":[],"cidrs":[]}}`},
		{clientPath + "/access-points", `{"metadata":{"name":"read"},"spec":{"action":"ALLOW","url":["/basket/*"],"access":["GET"]}}`},
	} {
		s.must(201, "POST", w.path, w.body)
	}
}

const inboundBody = `{"metadata":{"name":"basket"},"spec":{"app":"basket","appLabel":"app=basket","serviceName":"basket","port":8080,"protocol":"HTTP"}}`
