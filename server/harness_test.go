package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

const (
	virtualServices = "networking.istio.io/v1/VirtualService"
	serviceEntries  = "networking.istio.io/v1/ServiceEntry"
	gateways        = "networking.istio.io/v1/Gateway"

	trafficGroup intent.Path = "/v2/projects/p/composite-apps/ca/v1/deployment-intent-groups/g/traffic-group-intents/tg"
)

// patience bounds each wait for what must happen.
const patience = 20 * time.Second

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// memory is a store without a log: it applies commands to a real Set.
type memory struct {
	mu           sync.Mutex
	set          *intent.Set
	transactions []intent.Transaction
	changed      chan struct{}
	ready        chan struct{} // closed: the store may be read
}

func newMemory() *memory {
	m := &memory{set: intent.NewSet(), changed: make(chan struct{}), ready: make(chan struct{})}
	close(m.ready)
	return m
}

func (m *memory) Set() *intent.Set {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set
}

func (m *memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) Since(r intent.Revision) ([]intent.Transaction, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.transactions[r:], true
}

func (m *memory) WaitReady(ctx context.Context) error {
	select {
	case <-m.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) apply(t testing.TB, ops ...intent.Op) {
	t.Helper()
	before := m.Set()
	if err := m.try(ops...); err != nil {
		t.Fatal(err)
	}
	if m.Set() == before {
		t.Fatal("the command changed nothing")
	}
}

// try applies a command that may be refused, or change nothing.
func (m *memory) try(ops ...intent.Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, result, err := m.set.Apply(intent.Command{Kind: intent.Transact, At: epoch, Ops: ops})
	if err != nil || next == m.set {
		return err
	}
	m.set = next
	m.transactions = append(m.transactions, intent.Transaction{Revision: next.Revision(), Changes: result.Changes})
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func put(t testing.TB, path intent.Path, spec intent.Spec) intent.Op {
	t.Helper()
	o := &intent.Object{Path: path, Metadata: intent.Metadata{Name: path.Name()}, Spec: spec}
	o.Normalize()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return intent.Op{Method: intent.Put, Path: path, Object: o}
}

func remove(path intent.Path) intent.Op {
	return intent.Op{Method: intent.Delete, Path: path, Cascade: true}
}

func clusterPath(name string) intent.Path { return intent.ClusterPath("edge", name) }

// cluster registers a cluster whose istiods dial NAME.example.
func cluster(t testing.TB, name string, authorities ...string) intent.Op {
	t.Helper()
	if authorities == nil {
		authorities = []string{name + ".example"}
	}
	return put(t, clusterPath(name), &intent.ClusterSpec{Authorities: authorities})
}

func resourcePath(name string) intent.Path {
	return trafficGroup + "/istio-resources/" + intent.Path(name)
}

// resource is an Istio resource for clusters.
func resource(t testing.TB, kind, name, spec string, clusters ...string) intent.Op {
	t.Helper()
	return resourceOf(t, "networking.istio.io/v1", kind, name, spec, clusters...)
}

// resourceOf is an Istio resource of any API version.
func resourceOf(t testing.TB, apiVersion, kind, name, spec string, clusters ...string) intent.Op {
	t.Helper()
	r := &intent.IstioResourceSpec{Resource: intent.RawResource{
		APIVersion: apiVersion, Kind: kind, Metadata: intent.RawMetadata{Name: name, Namespace: "shop"}, Spec: []byte(spec),
	}}
	for _, c := range clusters {
		r.Clusters.Clusters = append(r.Clusters.Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: c})
	}
	return put(t, resourcePath(name), r)
}

// route is a VirtualService that leads HOST to a service.
func route(t testing.TB, name, to string, clusters ...string) intent.Op {
	t.Helper()
	spec := fmt.Sprintf(`{"hosts":[%q],"http":[{"route":[{"destination":{"host":%q}}]}]}`, name+".global", to)
	return resource(t, "VirtualService", name, spec, clusters...)
}

// entry is a ServiceEntry.
func entry(t testing.TB, name string, clusters ...string) intent.Op {
	t.Helper()
	spec := fmt.Sprintf(`{"hosts":[%q],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`, name+".entry.example")
	return resource(t, "ServiceEntry", name, spec, clusters...)
}

// hub is a real server over real views.
type hub struct {
	store    *memory
	views    *snapshot.Views
	tracker  *clusters.Tracker
	server   *Server
	registry *prometheus.Registry
	stop     func() // ends Run and waits for it
}

// newStore has the clusters a and b, and the group that resources stand in.
func newStore(t testing.TB) *memory {
	t.Helper()
	m := newMemory()
	m.apply(t, cluster(t, "a"), cluster(t, "b"),
		put(t, trafficGroup.Group(), &intent.GroupSpec{Namespace: "shop"}),
		put(t, trafficGroup, &intent.TrafficGroupSpec{}))
	return m
}

// startHub runs a hub over a store; change alters its configuration.
func startHub(t testing.TB, m *memory, change ...func(*Config)) *hub {
	t.Helper()
	h := newHub(t, m, change...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{h.views.Run, h.server.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	h.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(h.stop)
	return h
}

// newHub makes a hub that listens and does not run.
func newHub(t testing.TB, m *memory, change ...func(*Config)) *hub {
	t.Helper()
	h := &hub{store: m, registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	views := snapshot.DefaultConfig()
	views.Source, views.Logger = m, log
	h.views = snapshot.New(views)
	h.tracker = clusters.NewTracker(clusters.TrackerConfig{Sets: m})
	config := DefaultConfig()
	config.Views, config.Sets, config.Tracker = h.views, m, h.tracker
	config.Logger, config.Registerer = log, h.registry
	config.XDSAddrs = []string{"127.0.0.1:0"}
	config.KeepLost, config.HoldFirst = 0, 0 // most clients here ask for one type
	config.Resolver = resolver(t, m, "")
	for _, f := range change {
		f(&config)
	}
	var err error
	if h.server, err = New(config); err != nil {
		t.Fatal(err)
	}
	if err := h.server.Listen(); err != nil {
		t.Fatal(err)
	}
	return h
}

func resolver(t testing.TB, m *memory, byDefault string) *clusters.Resolver {
	t.Helper()
	r, err := clusters.NewResolver(m, byDefault)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// settle waits until the views are built up to the store's revision.
func (h *hub) settle(t testing.TB) {
	t.Helper()
	timeout := time.After(patience)
	for {
		advanced := h.views.Advanced()
		if h.views.Ready() && h.views.Revision() >= h.store.Set().Revision() {
			return
		}
		select {
		case <-advanced:
		case <-timeout:
			t.Fatalf("views are at revision %d, the store is at %d", h.views.Revision(), h.store.Set().Revision())
		}
	}
}

// set is what a cluster is to have of a type.
func (h *hub) set(cluster string, id snapshot.TypeID) *snapshot.TypeSet {
	return h.views.View(clusterPath(cluster)).OverXDS(id)
}

// dial connects as the istiod of the cluster that lists an authority.
func (h *hub) dial(t testing.TB, authority string, options ...grpc.DialOption) discovery.AggregatedDiscoveryServiceClient {
	t.Helper()
	return dial(t, h.server.Addr().String(), append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority),
	}, options...)...)
}

func dial(t testing.TB, addr string, options ...grpc.DialOption) discovery.AggregatedDiscoveryServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return discovery.NewAggregatedDiscoveryServiceClient(conn)
}

// metric is the sum of a metric's values over its labels.
func (h *hub) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != "meshwright_xds_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[l.GetValue()] = true
			}
			match := true
			for _, l := range labels {
				match = match && has[l]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// goroutines counts those that run a function, tests aside, named as in
// (*Server).serve; "" for any of the server.
func goroutines(function string) int {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	n := 0
	for _, stack := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(stack, "meshwright/server.(*"+strings.TrimPrefix(function, "(*")) && !strings.Contains(stack, "testing.tRunner") {
			n++
		}
	}
	return n
}
