package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// routeWarnings names the routing rules of an inbound that no call can reach,
// because a rule before them matches all that they match, and those rules.
func routeWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	rules := rulesOf(set, inbound.Path)
	// A rule for every call that divides nothing leaves connections, on ports
	// where proxies read no HTTP, to the next one that does.
	connections := slices.ContainsFunc(inbound.Spec.(*intent.InboundSpec).AllPorts(), func(p intent.ServicePort) bool { return !p.Protocol.IsHTTP() })
	var out []Problem
	for i, r := range rules {
		for _, before := range rules[:i] {
			divides := len(r.spec.Match) == 0 && len(r.spec.Split) > 0 && len(before.spec.Split) == 0
			if covers(before.spec, r.spec) && !(connections && divides) {
				out = append(out,
					Problem{r.path, fmt.Sprintf("it is shadowed, so no call reaches it: %s comes before it and matches all that it does; give it a higher priority, or narrow the other", before.path)},
					Problem{before.path, fmt.Sprintf("it shadows %s, which no call reaches: it comes before that rule and matches all that it does", r.path)})
				break
			}
		}
	}
	return out
}

// covers reports whether a rule surely matches all that another does: each of
// the other's blocks lies within one of its own.
func covers(wide, narrow *intent.RoutingRuleSpec) bool {
	if len(wide.Match) == 0 {
		return true
	}
	if len(narrow.Match) == 0 {
		return false
	}
	for _, n := range narrow.Match {
		if !slices.ContainsFunc(wide.Match, func(w intent.RouteMatch) bool { return coversBlock(w, n) }) {
			return false
		}
	}
	return true
}

func coversBlock(wide, narrow intent.RouteMatch) bool {
	if wide.Path != nil && (narrow.Path == nil || !coversString(*wide.Path, *narrow.Path)) {
		return false
	}
	return coversStrings(lowerKeys(wide.Headers), lowerKeys(narrow.Headers)) && coversStrings(wide.QueryParams, narrow.QueryParams) &&
		coversList(wide.Methods, narrow.Methods) && coversList(wide.Clients, narrow.Clients)
}

func coversString(wide, narrow intent.StringMatch) bool {
	if wide.Prefix != "" && narrow.Regex == "" {
		return strings.HasPrefix(narrow.Exact+narrow.Prefix, wide.Prefix) // one of them is ""
	}
	return wide == narrow
}

func coversStrings(wide, narrow map[string]intent.StringMatch) bool {
	for name, w := range wide {
		if n, ok := narrow[name]; !ok || !coversString(w, n) {
			return false
		}
	}
	return true
}

// coversList is for conditions that any of a list meets; an empty one is met
// by all.
func coversList(wide, narrow []string) bool {
	if len(wide) == 0 {
		return true
	}
	return len(narrow) > 0 && !slices.ContainsFunc(narrow, func(s string) bool { return !slices.Contains(wide, s) })
}

// lowerKeys writes the names of headers in one way.
func lowerKeys(headers map[string]intent.StringMatch) map[string]intent.StringMatch {
	out := map[string]intent.StringMatch{}
	for name, value := range headers {
		out[strings.ToLower(name)] = value
	}
	return out
}
