package intent

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"
)

type (
	objectTree = btree.Map[Path, *Object]
	indexTree  = btree.Map[string, Path]
	vipTree    = btree.Map[string, VIP]
)

// Set is everything that is stored: one immutable value. [Set.Apply] makes the
// next one and shares with it what did not change.
type Set struct {
	revision Revision
	at       time.Time // of the last command, so that time never runs backwards
	settings Settings
	nextVIP  uint32 // offset to try first, so that a freed address rests

	// copying guards the copying of trees. One Set shares its trees with those
	// before and after it, and the log and previews may extend any of them at
	// once, so they share the lock, too.
	copying *sync.Mutex

	objects   map[Kind]*objectTree
	index     *indexTree     // see index.go
	vips      *vipTree       // by global host
	confirmed *confirmedTree // by cluster and type
	byID      *idTree        // identified commands
	bySeq     *seqTree       // their IDs, oldest first
}

// Settings are the decisions that all replicas must share. They live in the
// log, not in flags.
type Settings struct {
	HostSuffix string       `json:"hostSuffix"` // of default global names
	VIPv4      netip.Prefix `json:"vipv4"`
	VIPv6      netip.Prefix `json:"vipv6"`
}

// DefaultSettings are those of a new store.
func DefaultSettings() Settings {
	return Settings{
		HostSuffix: "global",
		VIPv4:      netip.MustParsePrefix("240.240.0.0/16"),
		VIPv6:      netip.MustParsePrefix("2001:2:0:f0f0::/64"),
	}
}

// VIP is the pair of addresses that a global host answers to.
type VIP struct {
	V4 netip.Addr `json:"v4"`
	V6 netip.Addr `json:"v6"`
}

// NewSet returns the empty Set of a new store, at revision 0.
func NewSet() *Set {
	s := &Set{
		settings: DefaultSettings(), copying: &sync.Mutex{},
		objects: map[Kind]*objectTree{}, index: &indexTree{}, vips: &vipTree{},
		confirmed: &confirmedTree{}, byID: &idTree{}, bySeq: &seqTree{},
	}
	for _, k := range Kinds {
		s.objects[k] = &objectTree{}
	}
	return s
}

// Revision is that of the last mutating command.
func (s *Set) Revision() Revision { return s.revision }

// Settings are the store's shared decisions.
func (s *Set) Settings() Settings { return s.settings }

// Len counts the objects of one kind.
func (s *Set) Len(k Kind) int { return s.objects[k].Len() }

// Get returns the object at a canonical path, or nil.
func (s *Set) Get(p Path) *Object {
	tree := s.objects[p.Kind()]
	if tree == nil {
		return nil
	}
	o, _ := tree.Get(p)
	return o
}

// List yields the objects of a kind that stand below a path prefix, such as a
// collection, in path order; prefix "" means all.
func (s *Set) List(k Kind, prefix Path) iter.Seq[*Object] { return s.ListAfter(k, prefix, "") }

// ListAfter is List from the first object behind the path after.
func (s *Set) ListAfter(k Kind, prefix, after Path) iter.Seq[*Object] {
	start := strings.TrimSuffix(string(prefix), "/") + "/"
	pivot := Path(start)
	if after > pivot {
		pivot = after
	}
	return func(yield func(*Object) bool) {
		s.objects[k].Ascend(pivot, func(p Path, o *Object) bool {
			if !strings.HasPrefix(string(p), start) {
				return false
			}
			return p == after || yield(o)
		})
	}
}

// Children yields what stands below an object, whole subtree, parents first.
func (s *Set) Children(p Path) iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for _, k := range Kinds {
			if k.depth() <= p.Kind().depth() || p.Kind() == KindCluster || k == KindCluster {
				continue
			}
			for o := range s.List(k, p) {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// depth counts a kind's ancestors.
func (k Kind) depth() int {
	n := 0
	for k = k.Parent(); k != ""; k = k.Parent() {
		n++
	}
	return n
}

// Host is the global name of an inbound: its own, or the default of its
// service and its group's namespace.
func (s *Set) Host(inbound *Object) string {
	spec := inbound.Spec.(*InboundSpec)
	if spec.GlobalName != "" {
		return spec.GlobalName
	}
	return spec.ServiceName + "." + s.Namespace(inbound.Path) + "." + s.settings.HostSuffix
}

// Namespace is that of the group that p is or stands under, or "".
func (s *Set) Namespace(p Path) string {
	if g := s.Get(p.Group()); g != nil {
		return g.Spec.(*GroupSpec).Namespace
	}
	return ""
}

// Namesakes yields the other inbounds whose service has the same Kubernetes
// name, namespace included, in path order.
func (s *Set) Namesakes(inbound *Object) iter.Seq[*Object] {
	return s.others(inbound, byService, inbound.Spec.(*InboundSpec).ServiceName)
}

// PodMates yields the other inbounds whose service has the same pods, by
// namespace and label, in path order.
func (s *Set) PodMates(inbound *Object) iter.Seq[*Object] {
	return s.others(inbound, byPods, inbound.Spec.(*InboundSpec).AppLabel)
}

// others yields the other inbounds that share a value in an inbound's
// namespace.
func (s *Set) others(inbound *Object, class indexClass, value string) iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for p := range s.lookup(class, s.Namespace(inbound.Path)+"/"+value) {
			if p != inbound.Path && !yield(s.Get(p)) {
				return
			}
		}
	}
}

// VIP is the address pair of a global host; the zero VIP when it has none.
func (s *Set) VIP(host string) VIP {
	vip, _ := s.vips.Get(host)
	return vip
}

// Placed lists the clusters on which a group's app runs, in path order.
func (s *Set) Placed(group Path, app string) []Path {
	g := s.Get(group)
	if g == nil {
		return nil
	}
	for _, p := range g.Spec.(*GroupSpec).Placements {
		if p.App == app {
			return s.Chosen(ClusterChoice{Clusters: p.Clusters, Selector: p.Selector})
		}
	}
	return nil
}

// ServerClusters lists the clusters that serve an inbound, in path order.
func (s *Set) ServerClusters(inbound *Object) []Path {
	return s.Placed(inbound.Path.Group(), inbound.Spec.(*InboundSpec).App)
}

// OutboundClusters lists the clusters whose apps call an outside service, in
// path order.
func (s *Set) OutboundClusters(outbound *Object) []Path {
	return s.Placed(outbound.Path.Group(), outbound.Spec.(*OutboundSpec).App)
}

// SameHost yields the outbounds of a group's namespace for the same outside
// host as one of them, itself included, in path order.
func (s *Set) SameHost(outbound *Object) iter.Seq[*Object] {
	host := s.Namespace(outbound.Path) + "/" + outbound.Spec.(*OutboundSpec).ExternalServiceName
	return func(yield func(*Object) bool) {
		for p := range s.lookup(byOutbound, host) {
			if !yield(s.Get(p)) {
				return
			}
		}
	}
}

// ClientClusters lists the clusters that a client's app runs on, in path order.
func (s *Set) ClientClusters(client *Object) []Path {
	return s.Placed(ClientGroup(client), client.Spec.(*ClientSpec).App)
}

// ClientGroup is the group that a client's app belongs to.
func ClientGroup(client *Object) Path {
	if g := client.Spec.(*ClientSpec).Group; g != nil {
		return g.Path()
	}
	return client.Path.Group()
}

// Chosen lists the existing clusters that a choice names or selects, in path
// order.
func (s *Set) Chosen(choice ClusterChoice) []Path {
	var out []Path
	for _, r := range choice.Clusters {
		if p := r.Path(); s.Get(p) != nil {
			out = append(out, p)
		}
	}
	out = append(out, s.selected(choice.Selector)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// selected lists the clusters that a selector matches: those that bear one of
// its labels, looked up, then filtered by the others.
func (s *Set) selected(sel *Selector) []Path {
	if sel == nil || len(sel.MatchLabels) == 0 {
		return nil
	}
	first := sortedKeys(sel.MatchLabels)[0]
	var out []Path
	for p := range s.lookup(byLabel, first+"="+sel.MatchLabels[first]) {
		if sel.Matches(s.Get(p).Metadata.Labels) {
			out = append(out, p)
		}
	}
	return out
}

// ClusterOf returns the cluster whose istiod dials us under a host name or
// address, or "". It takes any spelling that [NormalizeAuthority] does.
func (s *Set) ClusterOf(authority string) Path {
	for p := range s.lookup(byAuthority, NormalizeAuthority(authority)) {
		return p
	}
	return ""
}

// SelectedBy yields the groups and Istio resources that choose clusters by
// label and whose selectors match any of the given label sets.
func (s *Set) SelectedBy(labels ...map[string]string) iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for p := range s.lookup(bySelecting, "") {
			o := s.Get(p)
			if slices.ContainsFunc(labels, o.selects) && !yield(o) {
				return
			}
		}
	}
}

// ChoosersOf yields the groups and Istio resources that choose a cluster, by
// name or by label.
func (s *Set) ChoosersOf(cluster Path) iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for p := range s.lookup(byCluster, string(cluster)) {
			if !yield(s.Get(p)) {
				return
			}
		}
		c := s.Get(cluster)
		if c == nil {
			return
		}
		for o := range s.SelectedBy(c.Metadata.Labels) {
			if !yield(o) {
				return
			}
		}
	}
}

// selects reports whether any selector of the object matches the labels.
func (o *Object) selects(labels map[string]string) bool {
	for _, c := range o.choices() {
		if c.Selector.Matches(labels) {
			return true
		}
	}
	return false
}

// choices are the cluster choices that an object makes.
func (o *Object) choices() []ClusterChoice {
	switch spec := o.Spec.(type) {
	case *GroupSpec:
		out := make([]ClusterChoice, len(spec.Placements))
		for i, p := range spec.Placements {
			out[i] = ClusterChoice{Clusters: p.Clusters, Selector: p.Selector}
		}
		return out
	case *IstioResourceSpec:
		return []ClusterChoice{spec.Clusters}
	}
	return nil
}

// Guests yields the clients of other groups' services whose app belongs to a
// group.
func (s *Set) Guests(group Path) iter.Seq[Path] { return s.lookup(byGuest, string(group)) }

// RawNamespace is the namespace of an Istio resource: its own, or its group's.
func (s *Set) RawNamespace(o *Object) string {
	if ns := o.Spec.(*IstioResourceSpec).Resource.Metadata.Namespace; ns != "" {
		return ns
	}
	return s.Namespace(o.Path)
}
