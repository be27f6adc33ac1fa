package intent

import (
	"encoding/json"
	"iter"
	"strings"
)

// The index is one tree of keys "class NUL value NUL path" that answers every
// question that is not asked by path. Its keys follow from the objects alone
// (keysOf), so it is rebuilt, not stored.
type indexClass string

const (
	byHost      indexClass = "host"      // global host → inbound
	byService   indexClass = "service"   // namespace/service → inbound
	bySpelled   indexClass = "spelled"   // namespace/service that a global host spells as Kubernetes does → inbound
	byPods      indexClass = "pods"      // namespace/appLabel → inbound
	byVIP       indexClass = "vip"       // address → global host
	byRaw       indexClass = "raw"       // group/Kind/namespace/name → Istio resource
	byOutbound  indexClass = "outbound"  // namespace/host → outbound
	byOutHost   indexClass = "outhost"   // outside host → outbound
	byOutName   indexClass = "outname"   // namespace/service that an outside host spells as Kubernetes does → outbound
	byOutPort   indexClass = "outport"   // namespace/port/(opaque or named) → outbound
	byEntryHost indexClass = "entryhost" // host of a raw ServiceEntry → Istio resource
	byAuthority indexClass = "authority" // name that an istiod dials → cluster
	byLabel     indexClass = "label"     // key=value → cluster
	byCluster   indexClass = "cluster"   // cluster → group or Istio resource that names it
	bySelecting indexClass = "selecting" // "" → group or Istio resource with a selector
	byGuest     indexClass = "guest"     // group → client of another group's service

	byRoutedCluster indexClass = "routedcluster" // cluster → routing rule that names it
	byMirror        indexClass = "mirror"        // inbound → routing rule that mirrors calls to it
	byRouteHost     indexClass = "routehost"     // host that a raw VirtualService routes → Istio resource
	byExternal      indexClass = "external"      // external name → inbound
	byExternalPort  indexClass = "externalport"  // port that comes in without a name → inbound
	byNamespace     indexClass = "namespace"     // namespace and cluster, or "" for a selector → group with that namespace
	byScope         indexClass = "scope"         // namespace → group that asks for its sidecarScope
	byCaller        indexClass = "caller"        // namespace and group → client of an app of the group that names the namespace
)

func indexKey(c indexClass, value string, p Path) string {
	return string(c) + "\x00" + value + "\x00" + string(p)
}

// lookup yields the paths under a class and value, in path order.
func (s *Set) lookup(c indexClass, value string) iter.Seq[Path] {
	prefix := indexKey(c, value, "")
	return func(yield func(Path) bool) {
		s.index.Ascend(prefix, func(key string, p Path) bool {
			return strings.HasPrefix(key, prefix) && yield(p)
		})
	}
}

// has reports whether there is anything under a class and value.
func (s *Set) has(c indexClass, value string) bool {
	for range s.lookup(c, value) {
		return true
	}
	return false
}

// keysOf lists an object's index keys. Those of inbounds and Istio resources
// depend on their group's namespace too.
func (s *Set) keysOf(o *Object) []string {
	var keys []string
	add := func(c indexClass, value string) { keys = append(keys, indexKey(c, value, o.Path)) }
	switch spec := o.Spec.(type) {
	case *ClusterSpec:
		for _, a := range spec.Authorities {
			add(byAuthority, a)
		}
		for k, v := range o.Metadata.Labels {
			add(byLabel, k+"="+v)
		}
	case *GroupSpec:
		if spec.SidecarScope {
			add(byScope, spec.Namespace)
		}
	case *InboundSpec:
		add(byHost, s.Host(o))
		add(byService, s.Namespace(o.Path)+"/"+spec.ServiceName)
		if service := spelledService(s.Host(o)); service != "" {
			add(bySpelled, service)
		}
		add(byPods, s.Namespace(o.Path)+"/"+spec.AppLabel)
		if host := s.ExternalHost(o); host != "" {
			add(byExternal, host)
		}
		exposures, _ := spec.Exposures()
		for _, e := range exposures {
			if e.Entry == EntryPort {
				add(byExternalPort, itoa(e.Port.Port))
			}
		}
	case *ClientSpec:
		if spec.Group != nil {
			add(byGuest, string(spec.Group.Path()))
		}
		for _, ns := range spec.Namespaces {
			add(byCaller, ns+string(ClientGroup(o)))
		}
	case *OutboundSpec:
		for _, k := range outboundKeys(s.Namespace(o.Path), spec) {
			add(k.class, k.value)
		}
	case *IstioResourceSpec:
		add(byRaw, s.rawKey(o))
		for _, h := range spec.Resource.entryHosts() {
			if checkHost(strings.TrimPrefix(h, "*.")) == "" {
				add(byEntryHost, h)
			}
		}
		for _, h := range spec.Resource.routedHosts(s.RawNamespace(o)) {
			if !strings.ContainsRune(h, 0) { // which parts keys
				add(byRouteHost, h)
			}
		}
	case *RoutingRuleSpec:
		for _, split := range spec.Split {
			if split.Cluster != "" {
				add(byRoutedCluster, string(split.clusterPath()))
			}
		}
		if other := spec.Mirrored(o.Path); other != "" {
			add(byMirror, string(other))
		}
	}
	for _, c := range o.choices() {
		for _, r := range c.Clusters {
			add(byCluster, string(r.Path()))
		}
		if c.Selector != nil {
			add(bySelecting, "")
		}
		if spec, ok := o.Spec.(*GroupSpec); ok {
			for _, r := range c.Clusters {
				add(byNamespace, spec.Namespace+string(r.Path()))
			}
			if c.Selector != nil {
				add(byNamespace, spec.Namespace)
			}
		}
	}
	return keys
}

// keys are the index keys of a host's addresses.
func (v VIP) keys(host string) []string {
	return []string{indexKey(byVIP, v.V4.String(), Path(host)), indexKey(byVIP, v.V6.String(), Path(host))}
}

// rawKey is what a cluster's API server would tell an Istio resource by.
func (s *Set) rawKey(o *Object) string {
	r := &o.Spec.(*IstioResourceSpec).Resource
	return strings.Join([]string{r.Group(), r.Kind, s.RawNamespace(o), r.Metadata.Name}, "/")
}

// entryHosts are the hosts of a ServiceEntry, none for other kinds. A spec
// that can't be read has none: Istio's validation refuses it.
func (r *RawResource) entryHosts() []string {
	if r.Kind != "ServiceEntry" {
		return nil
	}
	return r.hosts()
}

// hosts are those that the resource's spec lists, in lower case.
func (r *RawResource) hosts() []string {
	var spec struct {
		Hosts []string `json:"hosts"`
	}
	if json.Unmarshal(r.Spec, &spec) != nil {
		return nil
	}
	for i, h := range spec.Hosts {
		spec.Hosts[i] = strings.ToLower(h)
	}
	return spec.Hosts
}
