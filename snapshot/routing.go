package snapshot

import (
	"cmp"
	"math"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// rule is a routing rule of the inbound.
type rule struct {
	path intent.Path
	spec *intent.RoutingRuleSpec
}

// name is the rule's, "" for the default.
func (r rule) name() string {
	if r.path == "" {
		return ""
	}
	return r.path.Name()
}

// rulesOf lists an inbound's routing rules in the order in which proxies try
// them: by priority, the highest first; then the more specific first; then by
// name.
func rulesOf(set *intent.Set, inbound intent.Path) []rule {
	var out []rule
	for o := range set.RoutingRules(inbound) {
		out = append(out, rule{o.Path, o.Spec.(*intent.RoutingRuleSpec)})
	}
	slices.SortStableFunc(out, func(a, b rule) int {
		return cmp.Or(cmp.Compare(b.spec.Priority, a.spec.Priority), slices.Compare(specificity(b.spec), specificity(a.spec)))
	})
	return out
}

// specificity ranks what a rule matches: an exact path before a prefix, a long
// prefix before a short one, then a regular expression, then any path; of
// those alike, the one with more conditions. Of several blocks the broadest
// counts. A rule without match is the least specific.
func specificity(r *intent.RoutingRuleSpec) []int {
	broadest := []int{math.MaxInt}
	for _, m := range r.Match {
		var path []int
		switch p := m.Path; {
		case p == nil:
			path = []int{1, 0}
		case p.Exact != "":
			path = []int{4, 0}
		case p.Prefix != "":
			path = []int{3, len(p.Prefix)}
		default:
			path = []int{2, 0}
		}
		conditions := len(m.Headers) + len(m.QueryParams) + min(1, len(m.Methods)) + min(1, len(m.Clients))
		if rank := append(path, conditions); slices.Compare(rank, broadest) < 0 {
			broadest = rank
		}
	}
	if len(r.Match) == 0 {
		return []int{0}
	}
	return broadest
}

// A vantage is where calls come from, which decides where they can be led.
type vantage struct {
	host      string // that is called, and that a call goes to by default
	namespace string // of the callers; "" is any
	remote    bool   // H leads to other clusters there
	shared    bool   // the VirtualService is seen by other callers too
	outside   bool   // calls come from outside the mesh, through an ingress gateway
}

// vantage is that of a caller namespace that calls by H.
func (e *hostEntry) vantage(p *plan) vantage {
	return vantage{host: p.host, namespace: e.seen, remote: e.reachesOut()}
}

// reachesOut reports whether the entry leads to other clusters.
func (e *hostEntry) reachesOut() bool {
	return slices.ContainsFunc(e.sites, func(s site) bool { return !s.local })
}

// serviceVantages are those of callers on this cluster, where the service
// runs, that call it by its Kubernetes name: each namespace that clients call
// from, then any other, which can reach the instances of this cluster alone.
func (p *plan) serviceVantages() []vantage {
	host := p.serviceHost()
	reach := map[string]bool{}
	for _, e := range p.entries() {
		reach[e.seen] = len(e.clients) > 0 && e.reachesOut()
	}
	var out []vantage
	for _, c := range p.callers {
		out = append(out, vantage{host: host, namespace: c.namespace, remote: reach[c.namespace], shared: true})
	}
	return append(out, vantage{host: host, shared: true})
}

// ingressVantage is that of an ingress gateway of a cluster that serves: its
// calls come from no client, and go to the instances of this cluster.
func (p *plan) ingressVantage() vantage {
	return vantage{host: p.serviceHost(), outside: true}
}

// A destination is where a share of calls is led.
type destination struct {
	host   string
	subset string
	weight int // of 100
}

// destinations divides the calls that a rule matches. What its split says of
// clusters that can't be reached from here goes to the rest of it, in
// proportion, or to the whole service.
func (p *plan) destinations(v vantage, r rule, out *output) []destination {
	var places [][]destination
	var weights []int
	for i, s := range r.spec.Split {
		to := p.places(v, s.Version, s.Cluster)
		if len(to) == 0 {
			out.problem(r.path, "split/%d: cluster %s does not serve, or can't be reached from here: its share goes to the rest of the split", i, s.Cluster)
			continue
		}
		places, weights = append(places, to), append(weights, s.Weight)
	}
	var all []destination
	for i, weight := range apportion(100, weights) {
		shares := make([]int, len(places[i]))
		for j, to := range places[i] {
			shares[j] = to.weight
		}
		for j, share := range apportion(weight, shares) {
			to := places[i][j]
			same := func(d destination) bool { return d.host == to.host && d.subset == to.subset }
			if at := slices.IndexFunc(all, same); at >= 0 {
				all[at].weight += share
			} else if share > 0 {
				all = append(all, destination{to.host, to.subset, share})
			}
		}
	}
	if len(all) == 0 {
		return []destination{{host: v.host, weight: 100}}
	}
	return all
}

// places are where instances of a version, of a cluster, or of both are reached
// from, local first, each with its share. A version is looked for on this
// cluster where it serves, unless the service's locality says that calls are
// spread over clusters.
//
// Local instances are reached by the Kubernetes name, whose subsets pick pods.
// Others are reached by H, whose endpoints are gateways: there a subset picks
// gateways, and its name, in the SNI, tells the gateway which pods.
func (p *plan) places(v vantage, version *intent.RouteVersion, cluster string) []destination {
	own := p.cluster.Path.ClusterName()
	var local, remote int
	for _, s := range p.sites {
		switch {
		case cluster != "" && cluster != s.path.ClusterName():
		case s.local:
			local = s.share
		case v.remote:
			remote += s.share
		}
	}
	if p.serves && (cluster == own || cluster == "" && !v.remote) {
		local = max(local, 1)
	}
	if local > 0 && cluster == "" && p.locality().Mode == "local-first" {
		remote = 0
	}
	var out []destination
	if local > 0 {
		out = append(out, destination{p.serviceHost(), subsetName(version, ""), local})
	}
	if remote > 0 {
		out = append(out, destination{p.host, subsetName(version, cluster), remote})
	}
	return out
}

// apportion divides a total in proportion to shares, in whole numbers that sum
// to it: by the largest remainder, the first of equal ones.
func apportion(total int, shares []int) []int {
	sum := 0
	for _, s := range shares {
		sum += s
	}
	if sum == 0 {
		return nil
	}
	out, order, left := make([]int, len(shares)), make([]int, len(shares)), total
	for i, s := range shares {
		out[i] = total * s / sum
		order[i] = i
		left -= out[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(total*shares[b]%sum, total*shares[a]%sum)
	})
	for _, i := range order[:left] {
		out[i]++
	}
	return out
}

// pickers are the origins of a DestinationRule's subsets.
func (p *plan) pickers(spec *networking.DestinationRule) []intent.Path {
	if len(spec.Subsets) == 0 {
		return nil
	}
	return p.rulePaths()
}

// rulePaths are the origins of what routing rules make.
func (p *plan) rulePaths() []intent.Path {
	var out []intent.Path
	for _, r := range p.rules {
		out = append(out, r.path)
	}
	return out
}
