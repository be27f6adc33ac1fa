package intent

import "strings"

// GroupSpec is a deployment intent group: a namespace, and where its apps run.
type GroupSpec struct {
	Namespace       string            `json:"namespace"`
	LogicalCloud    string            `json:"logicalCloud,omitempty"`
	Placements      []Placement       `json:"placements,omitempty"`
	ServiceAccounts map[string]string `json:"serviceAccounts,omitempty"` // by app

	// SidecarScope asks for a Sidecar in the namespace, so that its proxies
	// receive what declared clients there may call, and no more.
	SidecarScope bool `json:"sidecarScope,omitempty"`
	// GatewayAPI asks for the Kubernetes Gateway API's objects in the place of
	// Istio's Gateway and VirtualService where they can say the same.
	GatewayAPI bool `json:"gatewayApi,omitempty"`
}

// Placement says on which clusters one app runs: the listed ones and those
// that the selector matches.
type Placement struct {
	App      string       `json:"app"`
	Clusters []ClusterRef `json:"clusters,omitempty"`
	Selector *Selector    `json:"selector,omitempty"`
}

// ClusterRef names a cluster.
type ClusterRef struct {
	ClusterProvider string `json:"clusterProvider"`
	Cluster         string `json:"cluster"`
}

// Path is the path of the cluster that r names.
func (r ClusterRef) Path() Path { return ClusterPath(r.ClusterProvider, r.Cluster) }

// Selector matches clusters whose metadata.labels hold all of MatchLabels.
type Selector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

// Matches reports whether labels hold all that the selector asks for.
func (s *Selector) Matches(labels map[string]string) bool {
	if s == nil || len(s.MatchLabels) == 0 {
		return false
	}
	for k, want := range s.MatchLabels {
		if got, ok := labels[k]; !ok || got != want {
			return false
		}
	}
	return true
}

// TrafficGroupSpec names a set of traffic intents. It has no fields.
type TrafficGroupSpec struct{}

func (*TrafficGroupSpec) normalize()           {}
func (*TrafficGroupSpec) validate(*violations) {}

func (g *GroupSpec) normalize() {}

func (g *GroupSpec) validate(v *violations) {
	v.in("namespace").check(checkDNSLabel(g.Namespace))
	apps := map[string]int{}
	for i := range g.Placements {
		p, at := &g.Placements[i], v.in("placements").at(i)
		at.in("app").check(CheckName(p.App))
		if first, ok := apps[p.App]; ok {
			at.in("app").add("%q is placed at index %d already: name its clusters there", p.App, first)
		} else {
			apps[p.App] = i
		}
		validateClusterRefs(at.in("clusters"), p.Clusters)
		p.Selector.validate(at.in("selector"))
		if len(p.Clusters) == 0 && p.Selector == nil {
			at.add("names no cluster: give clusters, a selector, or both")
		}
	}
	for _, app := range sortedKeys(g.ServiceAccounts) {
		at := v.in("serviceAccounts").in(app)
		at.check(CheckName(app))
		at.check(checkDNSName(g.ServiceAccounts[app]))
	}
}

func validateClusterRefs(v *violations, refs []ClusterRef) {
	seen := map[ClusterRef]int{}
	for i, r := range refs {
		v.at(i).in("clusterProvider").check(CheckName(r.ClusterProvider))
		v.at(i).in("cluster").check(CheckName(r.Cluster))
		if first, ok := seen[r]; ok {
			v.at(i).add("%s/%s stands at index %d already", r.ClusterProvider, r.Cluster, first)
		} else {
			seen[r] = i
		}
	}
}

func (s *Selector) validate(v *violations) {
	if s == nil {
		return
	}
	if len(s.MatchLabels) == 0 {
		v.in("matchLabels").add("must hold at least one label: an empty selector would mean every cluster")
	}
	validateLabels(v.in("matchLabels"), s.MatchLabels)
}

// SplitLabel splits an appLabel key=value into its parts.
func SplitLabel(s string) (key, value string) {
	key, value, _ = strings.Cut(s, "=")
	return key, value
}
