package intentapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// deliveryState is how far an intent has come on one cluster.
type deliveryState string

// The states, the least first.
const (
	failed            deliveryState = "Failed"       // it can't be generated in full, or the edge refused it
	pending           deliveryState = "Pending"      // not sent yet
	sent              deliveryState = "Sent"         // to the edge, which has not answered
	acknowledgedState deliveryState = "Acknowledged" // by the edge
)

// intentReport is the status of one intent with all that stands below it.
type intentReport struct {
	Path     intent.Path     `json:"path"`
	Revision intent.Revision `json:"revision"` // of the store, that the report holds for
	Clusters []intentOn      `json:"clusters"` // in name order; those alone that it concerns
	Message  string          `json:"message,omitempty"`

	Warnings []snapshot.Problem `json:"warnings"` // of what is legal but unwise
}

// intentOn is an intent on one cluster.
type intentOn struct {
	Cluster  string               `json:"cluster"`
	State    deliveryState        `json:"state"`
	Message  string               `json:"message,omitempty"` // why there are no objects, or what is amiss
	Objects  []snapshot.ObjectRef `json:"objects"`
	Problems []snapshot.Problem   `json:"problems"`
}

// intentStatus answers with what became of an intent, cluster by cluster.
func intentStatus(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	object := r.set.Get(p)
	if object == nil {
		return nil, noSuchObject(p)
	}
	if err := r.waitForViews(r.set.Revision()); err != nil {
		return nil, err
	}
	out := intentReport{Path: p, Revision: r.set.Revision(), Clusters: []intentOn{}, Warnings: snapshot.Warnings(r.set, p)}
	if out.Warnings == nil {
		out.Warnings = []snapshot.Problem{}
	}
	for o := range r.set.List(intent.KindCluster, "") {
		if view := r.Views.View(o.Path); view != nil && view.Concerns(p) {
			out.Clusters = append(out.Clusters, r.intentOn(p, view))
		}
	}
	if client, ok := object.Spec.(*intent.ClientSpec); ok && len(r.set.ClientClusters(object)) == 0 {
		out.Message = "its app " + client.App + " is placed on no registered cluster: nothing is generated where it would call from"
	} else if len(out.Clusters) == 0 {
		out.Message = "it concerns no cluster: no app that it names is placed on a registered cluster, or nothing stands below it yet"
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

func (r *request) intentOn(p intent.Path, view *snapshot.View) intentOn {
	out := intentOn{
		Cluster: view.Cluster.ClusterName(), State: acknowledgedState,
		Objects: []snapshot.ObjectRef{}, Problems: view.Problems(p),
	}
	if out.Problems == nil {
		out.Problems = []snapshot.Problem{}
	}
	status := r.Tracker.Status(view.Cluster)
	seen := map[string]deliveryState{}
	var byBundle []string // kinds that istiod does not take
	for _, o := range view.By(p) {
		out.Objects = append(out.Objects, snapshot.ObjectRef{Kind: o.Type.Kind, Namespace: o.Namespace, Name: o.Name})
		name := typeName(o.Type)
		if _, ok := seen[name]; ok {
			continue
		}
		if !o.Type.OverXDS() {
			seen[name] = pending
			byBundle = append(byBundle, o.Type.Kind)
			continue
		}
		state, message := typeState(status.Types, name, view.OverXDS(o.Type.ID).Version())
		seen[name] = state
		if before(state, out.State) {
			out.State, out.Message = state, message
		}
	}
	if len(seen) > 1 {
		// A namespace is there already where anything runs in it: how far the rest
		// has come tells more.
		byBundle = slices.DeleteFunc(byBundle, func(kind string) bool { return kind == snapshot.Types[snapshot.Namespace].Kind })
	}
	switch {
	case len(out.Problems) > 0:
		out.State, out.Message = failed, "it could not be generated in full: see problems"
	case len(out.Objects) == 0:
		out.Message = "nothing is needed on this cluster"
	case view.Delivery == intent.DeliverBundle:
		out.State, out.Message = pending, "the cluster takes bundles alone: what its installer applied is not known"
	case len(byBundle) > 0 && out.State == acknowledgedState:
		out.State = pending
		out.Message = fmt.Sprintf("istiod does not take %s: they go by the cluster's bundle, and what its installer applied is not known", strings.Join(byBundle, ", "))
	}
	return out
}

// typeState is how far the wanted version of a type has come, and the edge's
// words when it refused it.
func typeState(types []clusters.TypeStatus, name, wanted string) (deliveryState, string) {
	i := slices.IndexFunc(types, func(t clusters.TypeStatus) bool { return t.Type == name })
	if i < 0 {
		return pending, ""
	}
	t := types[i]
	switch {
	case t.Acknowledged != nil && t.Acknowledged.Version == wanted:
		return acknowledgedState, ""
	case t.Rejected != nil && t.Rejected.Version == wanted:
		return failed, "the edge refused " + name + ": " + t.Rejected.Message
	case t.Sent != nil && t.Sent.Version == wanted:
		return sent, ""
	}
	return pending, ""
}

// before reports whether state a is less than b.
func before(a, b deliveryState) bool {
	order := []deliveryState{failed, pending, sent, acknowledgedState}
	return slices.Index(order, a) < slices.Index(order, b)
}
