package snapshot

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// What endpoints of H are told apart by, where a subset has to.
const (
	clusterLabel = "meshwright.io/cluster" // of which cluster an endpoint is the gateway
	remoteLabel  = "meshwright.io/remote"  // "true" on endpoints that are gateways
)

// A pick is what a routing rule picks instances by: a version, a cluster, or
// both.
type pick struct {
	version *intent.RouteVersion
	cluster string // provider/cluster
}

// name is the subset's, or "" for a pick of anything.
func (k pick) name() string { return subsetName(k.version, k.cluster) }

// picks lists what the routing rules pick, each once, in the order of names.
func (p *plan) picks() []pick {
	byName := map[string]pick{}
	add := func(k pick) {
		if name := k.name(); name != "" {
			byName[name] = k
		}
	}
	for _, r := range p.rules {
		for _, s := range r.spec.Split {
			add(pick{s.Version, s.Cluster})
		}
		if m := r.spec.Mirror; m != nil {
			add(pick{version: m.Version})
		}
	}
	var out []pick
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// picksVersions reports whether any routing rule picks instances by labels.
func (p *plan) picksVersions() bool {
	return slices.ContainsFunc(p.picks(), func(k pick) bool { return k.version != nil })
}

// subsetName is the name of the subset that picks a version, a cluster or both,
// readable and at most 63 characters of a DNS-1123 label; "" for neither. One
// label whose key has no dash is written as it is: version-v2. Whatever could
// be read in two ways, or is long, gets a hash after two dashes.
func subsetName(version *intent.RouteVersion, cluster string) string {
	var words, exact []string
	if version != nil {
		for _, key := range slices.Sorted(maps.Keys(version.Labels)) {
			value := version.Labels[key]
			words = append(words, key[strings.LastIndexByte(key, '/')+1:], value)
			exact = append(exact, key, value)
		}
	}
	if cluster != "" {
		words = append(words, "on", cluster)
		exact = append(exact, "", cluster)
	}
	if len(words) == 0 {
		return ""
	}
	plain := strings.Join(exact, "-")
	if cluster == "" && len(exact) == 2 && dnsSafe(plain) == plain && exact[1] != "" && len(plain) <= maxObjectName &&
		!strings.Contains(exact[0], "-") && !strings.Contains(plain, "--") {
		return plain
	}
	sum := sha256.Sum256([]byte(strings.Join(exact, "\x00")))
	hash := lowerBase32.EncodeToString(sum[:])[:8]
	room := maxObjectName - len("--") - len(hash)
	words = slices.DeleteFunc(words, func(w string) bool { return dnsSafe(w) == "" })
	return readable(words[:min(len(words), 8)], room) + "--" + hash
}

// serviceSubsets are those of the Kubernetes name: the versions' pods. Where H
// is that name, gateways make their filter chains from them, too.
func (p *plan) serviceSubsets() []*networking.Subset {
	picks := map[string]pick{}
	for _, k := range p.picks() {
		if k.version != nil {
			picks[subsetName(k.version, "")] = pick{version: k.version}
		}
		if p.ownName() {
			picks[k.name()] = k
		}
	}
	return instanceSubsets(picks)
}

// gatewaySubsets are those of H beside an east-west gateway, which leads
// inwards: whatever clients on any cluster may ask for.
func (p *plan) gatewaySubsets() []*networking.Subset {
	picks := map[string]pick{}
	for _, k := range p.picks() {
		picks[k.name()] = k
	}
	return instanceSubsets(picks)
}

// instanceSubsets are subsets where the instances run. The cluster in a name
// has been reached there, so that its labels are the version's alone.
func instanceSubsets(picks map[string]pick) []*networking.Subset {
	var out []*networking.Subset
	for _, name := range slices.Sorted(maps.Keys(picks)) {
		s := &networking.Subset{Name: name}
		if version := picks[name].version; version != nil {
			s.Labels = maps.Clone(version.Labels)
		}
		out = append(out, s)
	}
	return out
}

// callerSubsets are those of H that routes of a caller namespace lead to. They
// pick gateways. One that may take any endpoint has no labels.
func (p *plan) callerSubsets(e *hostEntry) []*networking.Subset {
	if e.gateway {
		return nil
	}
	v := e.vantage(p)
	var out []*networking.Subset
	for _, k := range p.picks() {
		for _, to := range p.places(v, k.version, k.cluster) {
			if to.host != p.host || to.subset == "" {
				continue
			}
			s := &networking.Subset{Name: to.subset}
			if k.cluster != "" {
				s.Labels = map[string]string{clusterLabel: clusterValue(k.cluster)}
			} else if slices.ContainsFunc(e.sites, func(s site) bool { return s.local }) {
				s.Labels = map[string]string{remoteLabel: "true"}
			}
			out = append(out, s)
		}
	}
	return out
}

// endpointLabels are those by which subsets of a caller's entry pick a site's
// endpoints, and only those that any subset does pick by.
func (p *plan) endpointLabels(e *hostEntry, s site) map[string]string {
	out := map[string]string{}
	if s.local {
		return out
	}
	for _, subset := range p.callerSubsets(e) {
		if subset.Labels[remoteLabel] != "" {
			out[remoteLabel] = "true"
		}
		if value := clusterValue(s.path.ClusterName()); subset.Labels[clusterLabel] == value {
			out[clusterLabel] = value
		}
	}
	return out
}

// clusterValue writes provider/cluster as a label's value: provider.cluster,
// with a hash where that could mean another cluster too, or is too long.
func clusterValue(cluster string) string {
	provider, name, _ := strings.Cut(cluster, "/")
	value := provider + "." + name
	if len(value) <= maxObjectName && !strings.Contains(provider+name, ".") {
		return value
	}
	sum := sha256.Sum256([]byte(cluster))
	hash := lowerBase32.EncodeToString(sum[:])[:hashLength]
	return value[:min(len(value), maxObjectName-len(hash)-1)] + "." + hash
}
