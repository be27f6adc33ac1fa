package clusters

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// Tracker holds what each cluster's connections were sent and what they
// confirmed. The xDS server writes it, the REST interface reads it.
//
// What a cluster has confirmed outlives the process by way of the log:
// whoever owns the Tracker takes the pending confirmations from time to time
// and proposes them. The memory of a Tracker is bounded by the clusters that
// exist and their live connections.
type Tracker struct {
	sets    Sets
	replica string
	now     func() time.Time

	mu       sync.Mutex // guards the rest, and all records and connections
	clusters map[intent.Path]*record
	pending  map[confirmed]intent.Confirmation // not in the log yet
}

// TrackerConfig is what a Tracker needs.
type TrackerConfig struct {
	Sets    Sets
	Replica string           // what this replica calls itself in a status
	Now     func() time.Time // time.Now when nil
}

// confirmed tells confirmations apart: a later one of the same cluster and
// type replaces an earlier one.
type confirmed struct {
	cluster intent.Path
	name    string
}

// record is one cluster that has been connected since the process started.
type record struct {
	connections  map[*Connection]struct{}
	since        time.Time       // connected or disconnected since
	acknowledged map[string]Mark // by type: what all connections have
}

// NewTracker returns an empty Tracker.
func NewTracker(c TrackerConfig) *Tracker {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Tracker{
		sets: c.Sets, replica: c.Replica, now: c.Now,
		clusters: map[intent.Path]*record{}, pending: map[confirmed]intent.Confirmation{},
	}
}

// Peer is who is at the other end of a connection. All but Address and
// Protocol is the peer's word.
type Peer struct {
	Address   string `json:"address"`
	Protocol  string `json:"protocol"` // sotw or delta
	SNI       string `json:"sni,omitempty"`
	Authority string `json:"authority,omitempty"`
	Node      string `json:"node,omitempty"`          // xDS node id
	Revision  string `json:"istioRevision,omitempty"` // ISTIO_REVISION, when it says so
}

// maxText bounds what is kept of a text that a peer chose.
const maxText = 1024

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// Connection is the record of one live connection. Its methods may be called
// from any goroutine, until Close.
type Connection struct {
	tracker *Tracker
	cluster intent.Path
	peer    Peer
	since   time.Time
	types   []progress // few: looked through, not indexed
}

// progress is how far one type has come on one connection.
type progress struct {
	name         string
	sent         Mark
	acknowledged Mark // the zero Mark before the first
	rejected     *Rejection
}

// Connect records a new connection of a cluster. The caller must Close it.
func (t *Tracker) Connect(cluster intent.Path, p Peer) *Connection {
	for _, s := range []*string{&p.SNI, &p.Authority, &p.Node, &p.Revision} {
		*s = clip(*s)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &Connection{tracker: t, cluster: cluster, peer: p, since: t.now()}
	r := t.clusters[cluster]
	if r == nil {
		r = &record{connections: map[*Connection]struct{}{}, acknowledged: map[string]Mark{}}
		t.clusters[cluster] = r
	}
	if len(r.connections) == 0 {
		r.since = c.since
	}
	r.connections[c] = struct{}{}
	return c
}

// Identify adds what the first request of a stream says about its sender.
func (c *Connection) Identify(node, istioRevision string) {
	c.tracker.mu.Lock()
	defer c.tracker.mu.Unlock()
	c.peer.Node, c.peer.Revision = clip(node), clip(istioRevision)
}

// Sent records that a version of a type, named group/Kind, went out.
func (c *Connection) Sent(name, version string, revision intent.Revision) {
	t := c.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	p := c.progress(name)
	if p == nil {
		c.types = append(c.types, progress{name: name})
		p = &c.types[len(c.types)-1]
	}
	p.sent = Mark{version, revision, t.now()}
}

// Acknowledged records that the peer has a version of a type. One that is not
// the last that was sent is overtaken already, and ignored.
func (c *Connection) Acknowledged(name, version string) {
	t := c.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	p := c.progress(name)
	if p == nil || p.sent.Version != version {
		return
	}
	p.acknowledged, p.rejected = Mark{version, p.sent.Revision, t.now()}, nil
	t.settle(c.cluster, name)
}

// Rejected records that the peer refused a version of a type, with its
// message.
func (c *Connection) Rejected(name, version, message string) {
	t := c.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := c.progress(name); p != nil {
		p.rejected = &Rejection{clip(version), clip(message), t.now()}
	}
}

// Close records that the connection has ended.
func (c *Connection) Close() {
	t := c.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.clusters[c.cluster]
	if r == nil {
		return // the cluster was deleted and forgotten
	}
	delete(r.connections, c)
	for _, p := range c.types { // it may have been the one that was behind
		t.settle(c.cluster, p.name)
	}
	if len(r.connections) == 0 {
		r.since = t.now()
		t.forget(t.sets.Set(), c.cluster)
	}
}

func (c *Connection) progress(name string) *progress {
	i := slices.IndexFunc(c.types, func(p progress) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &c.types[i]
}

// settle works out what all connections of a cluster have of a type: the
// acknowledgement of the one that is furthest behind. One that has none yet
// leaves the cluster's as it is.
func (t *Tracker) settle(cluster intent.Path, name string) {
	r := t.clusters[cluster]
	if r == nil {
		return
	}
	var least Mark
	for c := range r.connections {
		p := c.progress(name)
		if p == nil {
			continue // it does not ask for this type
		}
		if p.acknowledged.Version == "" {
			return
		}
		if least.Version == "" || p.acknowledged.Revision < least.Revision {
			least = p.acknowledged
		}
	}
	if least.Version == "" {
		return
	}
	known := r.acknowledged[name].Version
	r.acknowledged[name] = least
	// After a restart the first acknowledgement is mostly old news. Later ones
	// are news when they differ, even if the store agrees: it may be about to
	// learn what came between.
	if (known == "" || known == least.Version) && holds(t.sets.Set(), cluster, name, least.Version) {
		return
	}
	t.pending[confirmed{cluster, name}] = intent.Confirmation{
		Cluster: cluster, Type: name, Version: least.Version, Revision: least.Revision, At: least.At,
	}
}

// TakeConfirmations returns what clusters have confirmed since it was last
// called and the store does not hold, at most one for each cluster and type,
// the latest, in a fixed order. A caller that fails to store them gives them
// back.
func (t *Tracker) TakeConfirmations() []intent.Confirmation {
	set := t.sets.Set()
	t.mu.Lock()
	defer t.mu.Unlock()
	if set.Len(intent.KindCluster) < len(t.clusters) {
		for cluster := range t.clusters {
			t.forget(set, cluster)
		}
	}
	var out []intent.Confirmation
	for key, c := range t.pending {
		if set.Get(key.cluster) != nil {
			out = append(out, c)
		}
	}
	clear(t.pending)
	slices.SortFunc(out, func(a, b intent.Confirmation) int {
		if a.Cluster != b.Cluster {
			return strings.Compare(string(a.Cluster), string(b.Cluster))
		}
		return strings.Compare(a.Type, b.Type)
	})
	return out
}

// ReturnConfirmations gives back confirmations that could not be stored.
// Those that a later one has overtaken are dropped.
func (t *Tracker) ReturnConfirmations(cs []intent.Confirmation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range cs {
		key := confirmed{c.Cluster, c.Type}
		if _, overtaken := t.pending[key]; !overtaken {
			t.pending[key] = c
		}
	}
}

// holds reports whether the store knows that a cluster has a version.
func holds(set *intent.Set, cluster intent.Path, name, version string) bool {
	return set.Confirmed(cluster)[name].Version == version
}

// forget drops the record of a cluster that exists no more, once its
// connections have ended.
func (t *Tracker) forget(set *intent.Set, cluster intent.Path) {
	r := t.clusters[cluster]
	if r == nil || len(r.connections) > 0 || set.Get(cluster) != nil {
		return
	}
	delete(t.clusters, cluster)
	maps.DeleteFunc(t.pending, func(key confirmed, _ intent.Confirmation) bool { return key.cluster == cluster })
}
