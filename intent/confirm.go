package intent

import (
	"strings"
	"time"

	"github.com/tidwall/btree"
)

// Confirmation is the last version of one type of configuration that a
// cluster's edge acknowledged, and the revision that version was built from.
type Confirmation struct {
	Cluster  Path      `json:"cluster"`
	Type     string    `json:"type"`
	Version  string    `json:"version"`
	Revision Revision  `json:"revision"`
	At       time.Time `json:"at"`
}

// maxConfirmText bounds a confirmation's type and version.
const maxConfirmText = 200

type confirmedTree = btree.Map[string, Confirmation]

func confirmKey(cluster Path, typ string) string { return string(cluster) + "\x00" + typ }

// Confirmed returns what a cluster's edge confirmed, by type; empty when it
// never did or the cluster is unknown.
func (s *Set) Confirmed(cluster Path) map[string]Confirmation {
	out := map[string]Confirmation{}
	prefix := confirmKey(cluster, "")
	s.confirmed.Ascend(prefix, func(key string, c Confirmation) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		out[c.Type] = c
		return true
	})
	return out
}

// confirm returns s with what edges confirmed, at the same revision, or s
// itself when it knows all that already. Clusters that are gone are passed
// over: the command may have been on its way while they were deleted.
func (s *Set) confirm(c Command) (*Set, Result, error) {
	d, changed := s.draft(c.At), false
	d.next.revision = s.revision
	for i, n := range c.Confirmations {
		if n.Type == "" || len(n.Type) > maxConfirmText || len(n.Version) > maxConfirmText {
			return s, Result{Revision: s.revision}, Errorf(Malformed,
				"confirmation %d: its type must be of 1 to %d bytes, its version of at most %d", i, maxConfirmText, maxConfirmText)
		}
		n.At = stored(n.At)
		key := confirmKey(n.Cluster, n.Type)
		known, ok := d.next.confirmed.Get(key)
		if n.Cluster.Kind() != KindCluster || s.Get(n.Cluster) == nil || ok && !n.supersedes(known) {
			continue
		}
		d.confirmed().Set(key, n)
		changed = true
	}
	if !changed {
		return s, Result{Revision: s.revision}, nil
	}
	return d.next, Result{Revision: s.revision}, nil
}

// supersedes reports whether n is news. An edge that moved from one replica to
// another may be reported by both, in either order; the revision tells which
// came last, the replicas' clocks only within one.
func (n Confirmation) supersedes(known Confirmation) bool {
	if n.Revision != known.Revision {
		return n.Revision > known.Revision
	}
	return n.At.After(known.At)
}

// forget drops what a deleted cluster's edge confirmed.
func (d *draft) forget(cluster Path) {
	for typ := range d.next.Confirmed(cluster) {
		d.confirmed().Delete(confirmKey(cluster, typ))
	}
}
