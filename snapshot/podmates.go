package snapshot

import (
	"fmt"
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// podMateWarnings tells of a service that does not limit its callers, and whose
// pods are those of one that does: its AuthorizationPolicies hold whatever
// comes to the pods. The port is not opened for the sake of the first, as it
// may well be the second's.
func podMateWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	if !inbound.Spec.(*intent.InboundSpec).Proxied() || enforced(set, inbound) {
		return nil
	}
	clusters := set.ServerClusters(inbound)
	var out []Problem
	for mate := range set.PodMates(inbound) {
		here := func(on intent.Path) bool { return slices.Contains(clusters, on) }
		if mate.Spec.(*intent.InboundSpec).Proxied() && enforced(set, mate) && slices.ContainsFunc(set.ServerClusters(mate), here) {
			out = append(out, Problem{inbound.Path, fmt.Sprintf("its pods are those of %s, which limits who may call them: callers that it does not allow are refused here, too", mate.Path)})
		}
	}
	return out
}
