package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// warners find, each in its own matter, what is legal but unwise about a unit
// of a kind. They judge the intents alone, for all clusters together: what can't
// be made for a cluster is that cluster's Problem, which its generator reports.
// A warning is for something to be done about: a fleet that works as its
// author meant it has none.
var warners = map[intent.Kind][]func(set *intent.Set, unit *intent.Object) []Problem{
	intent.KindInbound: {
		servedNowhereWarnings,
		clientPlacementWarnings,
		clientGatewayWarnings,
		clientIdentityWarnings,
		accessPointWarnings,
		podMateWarnings,
		routeWarnings,
		meshlessWarnings,
		podMateWarnings,
	},
	intent.KindOutbound:      {outboundPlacementWarnings},
	intent.KindIstioResource: {rawWarnings},
}

// warnings lists what is legal but unwise about a unit, in the order of the
// intents that it is about. It is pure, as [generate] is.
func warnings(set *intent.Set, unit *intent.Object) []Problem {
	var out []Problem
	for _, warner := range warners[unit.Kind()] {
		out = append(out, warner(set, unit)...)
	}
	sortProblems(out)
	return slices.Compact(out)
}

func sortProblems(list []Problem) {
	slices.SortFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Intent, b.Intent), cmp.Compare(a.Message, b.Message))
	})
}

// Warnings lists what is legal but unwise about an intent, about anything below
// it, and about what it stands under.
func Warnings(set *intent.Set, p intent.Path) []Problem {
	var out []Problem
	for _, unit := range unitsAt(set, p) {
		for _, w := range warnings(set, unit) {
			if within(w.Intent, p) || within(p, w.Intent) {
				out = append(out, w)
			}
		}
	}
	sortProblems(out)
	return out
}

// unitsAt lists the units that p is, stands under, or holds.
func unitsAt(set *intent.Set, p intent.Path) []*intent.Object {
	var units []*intent.Object
	if o := set.Get(unitOf(p)); o != nil && slices.Contains(unitKinds, o.Kind()) {
		units = append(units, o)
	}
	if p.Inbound() != "" || p.Group() == "" {
		return units
	}
	for _, kind := range unitKinds {
		units = slices.AppendSeq(units, set.List(kind, p))
	}
	return units
}

// Warnings lists what is legal but unwise about the intents that concern the
// cluster, as a Set has them.
func (v *View) Warnings(set *intent.Set) []Problem {
	var out []Problem
	for unit := range v.below("") {
		if o := set.Get(unit); o != nil {
			out = append(out, warnings(set, o)...)
		}
	}
	sortProblems(out)
	return out
}

// maxRemarks bounds what the answer to one write says.
const maxRemarks = 100

// remarks are what the answer to a write says of it: the warnings of the units
// that it concerns, and what some clusters can't be given.
type remarks []string

func (r *remarks) warn(list []Problem) {
	for _, w := range list {
		*r = append(*r, fmt.Sprintf("%s: %s", w.Intent, w.Message))
	}
}

// missing leaves out what is warned of for all clusters together.
func (r *remarks) missing(cluster intent.Path, list, warned []Problem) {
	for _, p := range list {
		if !slices.Contains(warned, p) {
			*r = append(*r, fmt.Sprintf("cluster %s: %s: %s", cluster.ClusterName(), p.Intent, p.Message))
		}
	}
}

// told are the remarks in order, each once, cut to what an answer bears.
func (r remarks) told() []string {
	slices.Sort(r)
	out := slices.Compact(r)
	if more := len(out) - maxRemarks; more > 0 {
		out = append(out[:maxRemarks:maxRemarks], fmt.Sprintf("and %d more: the status of each intent tells all of its own", more))
	}
	return out
}

// Standing lists the warnings of intents and of all below them as the answer to
// a write tells them, for a write that changes nothing.
func Standing(set *intent.Set, paths ...intent.Path) []string {
	var r remarks
	for _, p := range paths {
		r.warn(Warnings(set, p))
	}
	return r.told()
}

// servedNowhereWarnings tells of a service that no cluster serves. Where clients
// are placed, each of their clusters has a Problem that says the same.
func servedNowhereWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	if len(set.ServerClusters(inbound)) > 0 {
		return nil
	}
	app := inbound.Spec.(*intent.InboundSpec).App
	return []Problem{{inbound.Path, fmt.Sprintf("no cluster serves it: place app %s of its deployment intent group", app)}}
}

func clientPlacementWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	var out []Problem
	for o := range set.List(intent.KindClient, inbound.Path) {
		if len(set.ClientClusters(o)) == 0 {
			app := o.Spec.(*intent.ClientSpec).App
			out = append(out, Problem{o.Path, fmt.Sprintf("its app %s is placed on no registered cluster, so nothing is generated where it would call from: place it in its deployment intent group", app)})
		}
	}
	return out
}

// clientGatewayWarnings tells of clients that call other clusters from one that
// none can call back.
func clientGatewayWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	servers := set.ServerClusters(inbound)
	var out []Problem
	for o := range set.List(intent.KindClient, inbound.Path) {
		var without []string
		for _, c := range set.ClientClusters(o) {
			cluster := set.Get(c)
			elsewhere := slices.ContainsFunc(servers, func(s intent.Path) bool { return s != c })
			if elsewhere && !slices.Contains(servers, c) && cluster.Spec.(*intent.ClusterSpec).Gateway(intent.EastWest) == nil && gatewayIn(cluster.LastGateways, intent.EastWest) == nil {
				without = append(without, c.ClusterName())
			}
		}
		if len(without) > 0 {
			out = append(out, Problem{o.Path, fmt.Sprintf("no east-west gateway is known of %s, where it runs: its calls go out from there all the same, but no other cluster can call anything there", few(without))})
		}
	}
	return out
}

// few lists the first of many names.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more clusters", strings.Join(names[:most], ", "), len(names)-most)
}

// clientIdentityWarnings tells of clients that are known by their group's
// namespace alone, which all else in it shares. A client that names namespaces
// or addresses has said so itself.
func clientIdentityWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	if !enforced(set, inbound) {
		return nil
	}
	var out []Problem
	for o := range set.List(intent.KindClient, inbound.Path) {
		c := newClient(set, o)
		if c.account == "" && len(c.spec.Namespaces) == 0 && len(c.spec.CIDRs) == 0 && len(c.namespaces) > 0 {
			out = append(out, Problem{c.path, fmt.Sprintf("it is known by namespace %s alone, so whatever runs there may call what it may: give it a serviceAccount", c.namespaces[0])})
		}
	}
	return out
}

func outboundPlacementWarnings(set *intent.Set, outbound *intent.Object) []Problem {
	if len(unitClusters(set, outbound)) > 0 {
		return nil
	}
	app := outbound.Spec.(*intent.OutboundSpec).App
	return []Problem{{outbound.Path, fmt.Sprintf("its app %s is placed on no registered cluster, so nothing is generated: place it in its deployment intent group", app)}}
}

// rawWarnings tells of an Istio resource that goes nowhere, and passes on what
// Istio's own validation warns of.
func rawWarnings(set *intent.Set, unit *intent.Object) []Problem {
	var out []Problem
	if len(unitClusters(set, unit)) == 0 {
		out = append(out, Problem{unit.Path, "its selector matches no registered cluster, so it is given to none"})
	}
	if r, violation := readRaw(set, unit); violation == nil {
		if warning, err := validate(r); err == nil && warning != "" {
			out = append(out, Problem{unit.Path, "Istio warns: " + warning})
		}
	}
	return out
}
