package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// memory is a store without a log: it applies commands to a real Set.
type memory struct {
	mu      sync.Mutex
	set     *intent.Set
	log     []intent.Transaction
	base    intent.Revision // what log follows on
	changed chan struct{}
	ready   chan struct{} // closed: the store may be read
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
	if r < m.base {
		return nil, false
	}
	for i, t := range m.log {
		if t.Revision > r {
			return m.log[i:], true
		}
	}
	return nil, true
}

// forget drops all transactions: who has not seen them must look at all.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log, m.base = nil, m.set.Revision()
}

func (m *memory) WaitReady(ctx context.Context) error {
	select {
	case <-m.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply runs one command and returns its refusal.
func (m *memory) apply(ops ...intent.Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, result, err := m.set.Apply(intent.Command{Kind: intent.Transact, At: epoch, Ops: ops})
	if err != nil {
		return err
	}
	m.set = next
	if len(result.Changes) > 0 {
		m.log = append(m.log, intent.Transaction{Revision: next.Revision(), Changes: result.Changes})
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m *memory) mustApply(t testing.TB, ops ...intent.Op) {
	t.Helper()
	if err := m.apply(ops...); err != nil {
		t.Fatal(err)
	}
}

// putOp is an operation that stores a legal object.
func putOp(t testing.TB, path intent.Path, spec intent.Spec, labels ...string) intent.Op {
	t.Helper()
	o := &intent.Object{Path: path, Metadata: intent.Metadata{Name: path.Name()}, Spec: spec}
	for i := 0; i+1 < len(labels); i += 2 {
		if o.Metadata.Labels == nil {
			o.Metadata.Labels = map[string]string{}
		}
		o.Metadata.Labels[labels[i]] = labels[i+1]
	}
	o.Normalize()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return intent.Op{Method: intent.Put, Path: path, Object: o}
}

func removeOp(path intent.Path) intent.Op {
	return intent.Op{Method: intent.Delete, Path: path, Cascade: true}
}

// A small fleet: clusters c0…, groups g0… each with a server and a client app.

func clusterPath(i int) intent.Path { return intent.ClusterPath("edge", fmt.Sprint("c", i)) }

func clusterSpec(i int) *intent.ClusterSpec {
	return &intent.ClusterSpec{
		Network: fmt.Sprint("net-", i), Region: "r1", Zone: fmt.Sprint("z", i),
		Gateways: []intent.Gateway{{Name: "eastwestgateway", Role: intent.EastWest, Addresses: []string{fmt.Sprintf("10.%d.%d.1", i/250, i%250)}}},
	}
}

func groupPath(i int) intent.Path {
	return intent.Path(fmt.Sprintf("/v2/projects/p/composite-apps/ca/v1/deployment-intent-groups/g%d", i))
}

func inboundPath(group, i int) intent.Path {
	return groupPath(group) + intent.Path(fmt.Sprintf("/traffic-group-intents/tg/inbound-intents/in%d", i))
}

func groupSpec(namespace string, server, client int) *intent.GroupSpec {
	ref := func(i int) []intent.ClusterRef {
		return []intent.ClusterRef{{ClusterProvider: "edge", Cluster: fmt.Sprint("c", i)}}
	}
	return &intent.GroupSpec{Namespace: namespace, Placements: []intent.Placement{
		{App: "server", Clusters: ref(server)}, {App: "client", Clusters: ref(client)},
	}}
}

func inboundSpec(i int) *intent.InboundSpec {
	return &intent.InboundSpec{App: "server", AppLabel: fmt.Sprint("app=server", i), ServiceName: fmt.Sprint("svc", i), Port: 8080, Protocol: "HTTP"}
}

func clientSpec() *intent.ClientSpec {
	return &intent.ClientSpec{App: "client", AppLabel: "app=client", Namespaces: []string{}, CIDRs: []string{}, ServiceAccount: "client"}
}

func accessPointSpec(method string) *intent.AccessPointSpec {
	return &intent.AccessPointSpec{Action: intent.Allow, URL: []string{"/"}, Access: []string{method}}
}

// service is an inbound with a client and an access point.
func service(t testing.TB, group, i int) []intent.Op {
	in := inboundPath(group, i)
	return []intent.Op{
		putOp(t, in, inboundSpec(i)),
		putOp(t, in+"/clients/c", clientSpec()),
		putOp(t, in+"/clients/c/access-points/ap", accessPointSpec("GET")),
	}
}

func rawPath(group, i int) intent.Path {
	return groupPath(group) + intent.Path(fmt.Sprint("/traffic-group-intents/tg/istio-resources/r", i))
}

// rawSpec is an Istio resource for clusters.
func rawSpec(name string, clusters ...int) *intent.IstioResourceSpec {
	spec := &intent.IstioResourceSpec{Resource: intent.RawResource{
		APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Metadata: intent.RawMetadata{Name: name},
		Spec: json.RawMessage(`{"hosts":["h.example.com"],"http":[{"route":[{"destination":{"host":"h.example.com"}}]}]}`),
	}}
	for _, i := range clusters {
		spec.Clusters.Clusters = append(spec.Clusters.Clusters, intent.ClusterRef{ClusterProvider: "edge", Cluster: fmt.Sprint("c", i)})
	}
	return spec
}

func newViews(m *memory) *Views {
	c := DefaultConfig()
	c.Source, c.Logger = m, slog.New(slog.NewTextHandler(io.Discard, nil))
	return New(c)
}
