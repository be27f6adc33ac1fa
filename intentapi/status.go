package intentapi

import (
	"net/http"
	"slices"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// clusterReport is the status of one cluster: what its edges were sent and
// confirmed, beside what they should have.
type clusterReport struct {
	Cluster  string          `json:"cluster"`  // provider/cluster
	Revision intent.Revision `json:"revision"` // at which its configuration last changed
	Delivery intent.Delivery `json:"delivery"`
	clusters.Status
	Lag      lag                `json:"lag"`
	Problems []snapshot.Problem `json:"problems"`
	Warnings []snapshot.Problem `json:"warnings"` // about the intents that concern it
}

// lag is how far a cluster's edges are behind.
type lag struct {
	Types          int             `json:"types"`                    // that are not acknowledged as wanted
	OldestRevision intent.Revision `json:"oldestRevision,omitempty"` // of what is not acknowledged
}

// clusterStatus answers with the status of one cluster.
func clusterStatus(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	if r.set.Get(p) == nil {
		return nil, noSuchObject(p)
	}
	if err := r.waitForViews(r.set.Revision()); err != nil {
		return nil, err
	}
	view := r.Views.View(p)
	if view == nil {
		return nil, noSuchObject(p)
	}
	out := r.clusterReport(view)
	if out.Warnings = view.Warnings(r.set); out.Warnings == nil {
		out.Warnings = []snapshot.Problem{}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

// clusterReport is a cluster's status but for the warnings, which the page of
// the whole fleet does not need.
func (r *request) clusterReport(view *snapshot.View) clusterReport {
	out := clusterReport{
		Cluster: view.Cluster.ClusterName(), Revision: view.Revision, Delivery: view.Delivery,
		Status: r.Tracker.Status(view.Cluster), Problems: view.Problems(""),
	}
	if out.Problems == nil {
		out.Problems = []snapshot.Problem{}
	}
	known := map[string]int{}
	for i, t := range out.Types {
		known[t.Type] = i
	}
	for _, t := range snapshot.XDSTypes {
		wanted, name := view.OverXDS(t.ID), typeName(t)
		i, ok := known[name]
		if !ok {
			if wanted.Len() == 0 {
				continue // nothing to send, and nobody asked for it
			}
			i = len(out.Types)
			out.Types = append(out.Types, clusters.TypeStatus{Type: name})
		}
		out.Types[i].Wanted = wanted.Version()
		if acknowledged(out.Types[i]) || view.Delivery == intent.DeliverBundle {
			continue
		}
		out.Lag.Types++
		since := view.Revision
		if sent := out.Types[i].Sent; sent != nil && sent.Version == wanted.Version() {
			since = sent.Revision
		}
		if out.Lag.OldestRevision == 0 || since < out.Lag.OldestRevision {
			out.Lag.OldestRevision = since
		}
	}
	slices.SortFunc(out.Types, func(a, b clusters.TypeStatus) int {
		if a.Type < b.Type {
			return -1
		}
		return 1
	})
	return out
}

// typeName is what the tracker calls a type.
func typeName(t *snapshot.Type) string { return t.Group + "/" + t.Kind }

func acknowledged(t clusters.TypeStatus) bool {
	return t.Acknowledged != nil && t.Acknowledged.Version == t.Wanted
}

// fleetReport is the status of all clusters in one page.
type fleetReport struct {
	Revision      intent.Revision     `json:"revision"`      // of the store
	BuiltRevision intent.Revision     `json:"builtRevision"` // up to which configuration is built
	Objects       map[intent.Kind]int `json:"objects"`
	Clusters      fleetTotals         `json:"clusters"`
	Behind        []behindCluster     `json:"behind"` // at most a page of them, in name order

	OldestUnacknowledgedRevision intent.Revision `json:"oldestUnacknowledgedRevision,omitempty"`
}

type fleetTotals struct {
	Total        int `json:"total"`
	Connected    int `json:"connected"`
	Disconnected int `json:"disconnected"`
	NeverSeen    int `json:"neverSeen"`
	Behind       int `json:"behind"`
	WithProblems int `json:"withProblems"`
}

type behindCluster struct {
	Cluster      string                `json:"cluster"`
	Connectivity clusters.Connectivity `json:"connectivity"`
	Lag          lag                   `json:"lag"`
}

// fleetStatus answers with totals, and the clusters that are behind.
func fleetStatus(r *request) (*answer, error) {
	if err := r.waitForViews(r.set.Revision()); err != nil {
		return nil, err
	}
	out := fleetReport{
		Revision: r.set.Revision(), BuiltRevision: r.Views.Revision(),
		Objects: map[intent.Kind]int{}, Behind: []behindCluster{},
	}
	for _, k := range intent.Kinds {
		out.Objects[k] = r.set.Len(k)
	}
	for o := range r.set.List(intent.KindCluster, "") {
		if view := r.Views.View(o.Path); view != nil {
			out.add(r.clusterReport(view), r.MaxPage)
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

func (f *fleetReport) add(c clusterReport, most int) {
	f.Clusters.Total++
	switch c.Connectivity {
	case clusters.Connected:
		f.Clusters.Connected++
	case clusters.Disconnected:
		f.Clusters.Disconnected++
	default:
		f.Clusters.NeverSeen++
	}
	if len(c.Problems) > 0 {
		f.Clusters.WithProblems++
	}
	if c.Lag.Types == 0 {
		return
	}
	f.Clusters.Behind++
	if len(f.Behind) < most {
		f.Behind = append(f.Behind, behindCluster{c.Cluster, c.Connectivity, c.Lag})
	}
	if oldest := f.OldestUnacknowledgedRevision; oldest == 0 || c.Lag.OldestRevision < oldest {
		f.OldestUnacknowledgedRevision = c.Lag.OldestRevision
	}
}
