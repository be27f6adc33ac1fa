package clusters

import (
	"cmp"
	"slices"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// Connectivity says whether a cluster's edges are on the line.
type Connectivity string

// The connectivities, as this replica sees them.
const (
	Connected    Connectivity = "Connected"
	Disconnected Connectivity = "Disconnected"
	NeverSeen    Connectivity = "NeverSeen"
)

// Status is what is known of a cluster's edges.
type Status struct {
	Connectivity Connectivity       `json:"connectivity"`
	Since        time.Time          `json:"since,omitzero"` // zero when never seen
	Connections  []ConnectionStatus `json:"connections"`    // the oldest first
	Types        []TypeStatus       `json:"types"`          // in the order of their names
}

// ConnectionStatus is one live connection.
type ConnectionStatus struct {
	Peer
	Replica string       `json:"replica,omitempty"` // that it leads to
	Since   time.Time    `json:"since"`
	Types   []TypeStatus `json:"types"`
}

// TypeStatus is how far one type has come. The types of a cluster take its
// connections together: what was sent last to any of them, and what all of
// them have acknowledged.
type TypeStatus struct {
	Type         string     `json:"type"`             // group/Kind
	Wanted       string     `json:"wanted,omitempty"` // version it should have; for the reader of the views to fill in
	Sent         *Mark      `json:"sent,omitempty"`
	Acknowledged *Mark      `json:"acknowledged,omitempty"`
	Rejected     *Rejection `json:"rejected,omitempty"` // until a later acknowledgement
}

// Mark is a version of a type at a time.
type Mark struct {
	Version  string          `json:"version"`
	Revision intent.Revision `json:"revision"` // of the store, when it was sent
	At       time.Time       `json:"at"`
}

// Rejection is an edge's refusal of a version.
type Rejection struct {
	Version string    `json:"version"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// Status returns what is known of a cluster: of the connections that this
// replica holds, and of what was confirmed to any replica as far as it is in
// the store.
func (t *Tracker) Status(cluster intent.Path) Status {
	durable := t.sets.Set().Confirmed(cluster)
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Status{Connectivity: NeverSeen, Connections: []ConnectionStatus{}, Types: []TypeStatus{}}
	types := map[string]*TypeStatus{}
	at := func(name string) *TypeStatus {
		if types[name] == nil {
			types[name] = &TypeStatus{Type: name}
		}
		return types[name]
	}
	for _, c := range durable {
		at(c.Type).Acknowledged = &Mark{c.Version, c.Revision, c.At}
		out.Connectivity = Disconnected
		if c.At.After(out.Since) { // its last sign of life
			out.Since = c.At
		}
	}
	if r := t.clusters[cluster]; r != nil {
		r.status(&out, at)
		for i := range out.Connections {
			out.Connections[i].Replica = t.replica
		}
	}
	for _, s := range types {
		out.Types = append(out.Types, *s)
	}
	slices.SortFunc(out.Types, byType)
	return out
}

// status adds what the live connections tell.
func (r *record) status(out *Status, at func(name string) *TypeStatus) {
	out.Connectivity, out.Since = Disconnected, r.since
	if len(r.connections) > 0 {
		out.Connectivity = Connected
	}
	for name, mark := range r.acknowledged {
		s := at(name)
		if s.Acknowledged == nil || s.Acknowledged.Revision <= mark.Revision {
			s.Acknowledged = &mark
		}
	}
	for c := range r.connections {
		status := ConnectionStatus{Peer: c.peer, Since: c.since, Types: []TypeStatus{}}
		for _, p := range c.types {
			s := at(p.name)
			if sent := p.sent; s.Sent == nil || s.Sent.At.Before(sent.At) {
				s.Sent = &sent
			}
			if p.rejected != nil && (s.Rejected == nil || s.Rejected.At.Before(p.rejected.At)) {
				s.Rejected = p.rejected
			}
			status.Types = append(status.Types, p.status())
		}
		slices.SortFunc(status.Types, byType)
		out.Connections = append(out.Connections, status)
	}
	slices.SortFunc(out.Connections, func(a, b ConnectionStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Address, b.Address))
	})
}

func (p *progress) status() TypeStatus {
	sent := p.sent
	s := TypeStatus{Type: p.name, Sent: &sent, Rejected: p.rejected}
	if p.acknowledged.Version != "" {
		mark := p.acknowledged
		s.Acknowledged = &mark
	}
	return s
}

func byType(a, b TypeStatus) int { return cmp.Compare(a.Type, b.Type) }
