package clusters

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

const vs, se = "networking.istio.io/VirtualService", "networking.istio.io/ServiceEntry"

var a = intent.ClusterPath("edge", "a")

// ticking is a clock that moves on by a second each time it is asked.
func ticking() func() time.Time {
	now := epoch
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func at(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }

func newTracker(m *memory) *Tracker {
	return NewTracker(TrackerConfig{Sets: m, Replica: "hub-0", Now: ticking()})
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestStatusOfOneConnection(t *testing.T) {
	tr := newTracker(fleet(t, map[string][]string{"a": nil}))
	none := Status{Connectivity: NeverSeen, Connections: []ConnectionStatus{}, Types: []TypeStatus{}}
	diff(t, "status before", none, tr.Status(a))

	c := tr.Connect(a, Peer{Address: "192.0.2.1:4000", Protocol: "sotw", Authority: "a.example:15010"}) // second 1
	c.Identify("sidecar~1.2.3.4~istiod-0.istio-system~x", "canary")
	c.Sent(vs, "v1", 4)                       // 2
	c.Acknowledged(vs, "v1")                  // 3
	c.Sent(vs, "v2", 7)                       // 4
	c.Acknowledged(vs, "v1")                  // overtaken
	c.Sent(se, "s1", 7)                       // 5
	c.Rejected(se, "s1", "it is no \xff use") // 6
	types := []TypeStatus{
		{Type: se, Sent: &Mark{"s1", 7, at(5)}, Rejected: &Rejection{"s1", "it is no � use", at(6)}},
		{Type: vs, Sent: &Mark{"v2", 7, at(4)}, Acknowledged: &Mark{"v1", 4, at(3)}},
	}
	want := Status{
		Connectivity: Connected, Since: at(1),
		Connections: []ConnectionStatus{{
			Peer: Peer{
				Address: "192.0.2.1:4000", Protocol: "sotw", Authority: "a.example:15010",
				Node: "sidecar~1.2.3.4~istiod-0.istio-system~x", Revision: "canary",
			},
			Replica: "hub-0", Since: at(1), Types: types,
		}},
		Types: types,
	}
	diff(t, "status while connected", want, tr.Status(a))

	c.Acknowledged(se, "s1") // 7: on second thoughts
	c.Close()                // 8
	diff(t, "status afterwards", Status{
		Connectivity: Disconnected, Since: at(8), Connections: []ConnectionStatus{},
		Types: []TypeStatus{
			{Type: se, Acknowledged: &Mark{"s1", 7, at(7)}},
			{Type: vs, Acknowledged: &Mark{"v1", 4, at(3)}},
		},
	}, tr.Status(a))
}

func TestStatusJSON(t *testing.T) {
	tr := newTracker(fleet(t, map[string][]string{"a": nil}))
	c := tr.Connect(a, Peer{Address: "192.0.2.1:4000", Protocol: "delta", SNI: "a.example"})
	c.Sent(vs, "v1", 4)
	c.Acknowledged(vs, "v1")
	got, err := json.MarshalIndent(tr.Status(a), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const types = `[
  {
   "type": "networking.istio.io/VirtualService",
   "sent": {
    "version": "v1",
    "revision": 4,
    "at": "2026-01-02T03:04:07Z"
   },
   "acknowledged": {
    "version": "v1",
    "revision": 4,
    "at": "2026-01-02T03:04:08Z"
   }
  }
 ]`
	want := `{
 "connectivity": "Connected",
 "since": "2026-01-02T03:04:06Z",
 "connections": [
  {
   "address": "192.0.2.1:4000",
   "protocol": "delta",
   "sni": "a.example",
   "replica": "hub-0",
   "since": "2026-01-02T03:04:06Z",
   "types": ` + strings.ReplaceAll(types, "\n", "\n  ") + `
  }
 ],
 "types": ` + types + `
}`
	diff(t, "JSON", want, string(got))
}

// TestClusterHasWhatAllItsConnectionsHave holds that one istiod that lags
// behind keeps its cluster behind, until it catches up or leaves.
func TestClusterHasWhatAllItsConnectionsHave(t *testing.T) {
	tr := newTracker(fleet(t, map[string][]string{"a": nil}))
	one, two := tr.Connect(a, Peer{Address: "one"}), tr.Connect(a, Peer{Address: "two"})
	acknowledged := func() string {
		for _, s := range tr.Status(a).Types {
			if s.Acknowledged != nil {
				return s.Acknowledged.Version
			}
		}
		return ""
	}
	steps := []struct {
		do   func()
		want string
	}{
		{func() { one.Sent(vs, "v1", 1); two.Sent(vs, "v1", 1) }, ""},
		{func() { one.Acknowledged(vs, "v1") }, ""},
		{func() { two.Acknowledged(vs, "v1") }, "v1"},
		{func() { one.Sent(vs, "v2", 2); two.Sent(vs, "v2", 2); one.Acknowledged(vs, "v2") }, "v1"},
		{func() { two.Rejected(vs, "v2", "no") }, "v1"},
		{func() { two.Close() }, "v2"},
		{func() { two = tr.Connect(a, Peer{Address: "two again"}) }, "v2"},
		{func() { two.Sent(vs, "v2", 3) }, "v2"},
		{func() { one.Sent(vs, "v3", 4); one.Acknowledged(vs, "v3") }, "v2"},
		{func() { two.Sent(vs, "v3", 4); two.Acknowledged(vs, "v3") }, "v3"},
	}
	for i, step := range steps {
		step.do()
		if got := acknowledged(); got != step.want {
			t.Errorf("step %d: the cluster has acknowledged %q, want %q", i, got, step.want)
		}
	}
}

// TestConfirmationsOutliveTheProcess takes what was confirmed into the store
// and reads it with a new Tracker.
func TestConfirmationsOutliveTheProcess(t *testing.T) {
	m := fleet(t, map[string][]string{"a": nil, "b": nil})
	tr := newTracker(m)
	c := tr.Connect(a, Peer{}) // second 1
	c.Sent(vs, "v1", 4)
	c.Acknowledged(vs, "v1")
	c.Sent(vs, "v2", 5)
	c.Acknowledged(vs, "v2") // 5
	c.Sent(se, "s2", 5)
	c.Acknowledged(se, "s2") // 7
	want := []intent.Confirmation{
		{Cluster: a, Type: se, Version: "s2", Revision: 5, At: at(7)},
		{Cluster: a, Type: vs, Version: "v2", Revision: 5, At: at(5)},
	}
	taken := tr.TakeConfirmations()
	diff(t, "confirmations", want, taken)
	diff(t, "confirmations taken twice", []intent.Confirmation(nil), tr.TakeConfirmations())

	// The log had no quorum; meanwhile a later one came.
	c.Sent(vs, "v3", 6)
	c.Acknowledged(vs, "v3") // 9
	tr.ReturnConfirmations(taken)
	want[1] = intent.Confirmation{Cluster: a, Type: vs, Version: "v3", Revision: 6, At: at(9)}
	taken = tr.TakeConfirmations()
	diff(t, "confirmations after a failure", want, taken)
	m.apply(t, intent.Command{Kind: intent.Confirm, Confirmations: taken})

	tr = NewTracker(TrackerConfig{Sets: m, Now: ticking()})
	diff(t, "status after a restart", Status{
		Connectivity: Disconnected, Since: at(9), Connections: []ConnectionStatus{},
		Types: []TypeStatus{
			{Type: se, Acknowledged: &Mark{"s2", 5, at(7)}},
			{Type: vs, Acknowledged: &Mark{"v3", 6, at(9)}},
		},
	}, tr.Status(a))

	// The edge comes back with what the store knows: no news for the log.
	c = tr.Connect(a, Peer{})
	c.Sent(vs, "v3", 6)
	c.Acknowledged(vs, "v3")
	diff(t, "confirmations after a restart", []intent.Confirmation(nil), tr.TakeConfirmations())
	c.Sent(vs, "v4", 7)
	c.Acknowledged(vs, "v4")
	if got := tr.TakeConfirmations(); len(got) != 1 || got[0].Version != "v4" {
		t.Errorf("confirmations after a change = %v, want v4", got)
	}
}

// TestDeletedClustersAreForgotten holds that memory follows the clusters that
// exist, whatever came and went.
func TestDeletedClustersAreForgotten(t *testing.T) {
	names := map[string][]string{"keep": nil}
	for i := range 20 {
		names[fmt.Sprint("c", i)] = nil
	}
	m := fleet(t, names)
	tr := newTracker(m)
	keep := tr.Connect(intent.ClusterPath("edge", "keep"), Peer{})
	defer keep.Close()
	for i := range 20 {
		c := tr.Connect(intent.ClusterPath("edge", fmt.Sprint("c", i)), Peer{})
		c.Sent(vs, "v1", 1)
		c.Acknowledged(vs, "v1")
		if i%2 == 0 { // its connection ends before the cluster does
			c.Close()
			m.remove(t, fmt.Sprint("c", i))
		} else {
			m.remove(t, fmt.Sprint("c", i))
			c.Close()
		}
	}
	diff(t, "confirmations of deleted clusters", []intent.Confirmation(nil), tr.TakeConfirmations())
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.clusters) != 1 || len(tr.pending) != 0 {
		t.Errorf("%d records and %d confirmations are left, want 1 and 0", len(tr.clusters), len(tr.pending))
	}
}

func TestLongTextsAreCut(t *testing.T) {
	tr := newTracker(fleet(t, map[string][]string{"a": nil}))
	long := strings.Repeat("x", 1<<20)
	c := tr.Connect(a, Peer{SNI: long, Authority: long})
	c.Identify(long, long)
	c.Sent(vs, "v1", 1)
	c.Rejected(vs, long, long)
	text, err := json.Marshal(tr.Status(a))
	if err != nil || len(text) > 16<<10 {
		t.Errorf("the status has %d bytes, error %v", len(text), err)
	}
}
