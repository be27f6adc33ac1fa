package intent

import (
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"strings"
)

// RoutingRules yields the routing rules of an inbound, in path order.
func (s *Set) RoutingRules(inbound Path) iter.Seq[*Object] {
	return s.List(KindRoutingRule, inbound+"/routing-rules")
}

// Mirrored is the path of the inbound that a rule of another one mirrors calls
// to, in the same traffic group, or "".
func (r *RoutingRuleSpec) Mirrored(rule Path) Path {
	if r.Mirror == nil || r.Mirror.Inbound == "" {
		return ""
	}
	return Path(rule.Inbound().Collection() + "/" + r.Mirror.Inbound)
}

// MirroredBy yields the routing rules that mirror calls to an inbound, in path
// order.
func (s *Set) MirroredBy(inbound Path) iter.Seq[Path] { return s.lookup(byMirror, string(inbound)) }

// clusterPath is the path of a cluster that a split names; its form has been
// checked.
func (s *RouteSplit) clusterPath() Path {
	provider, cluster, _ := strings.Cut(s.Cluster, "/")
	return ClusterPath(provider, cluster)
}

// checkRule holds a routing rule to what it names, to what its service speaks,
// and to the other rules of its service.
func (d *draft) checkRule(o *Object) error {
	if err := d.checkRuleProtocol(o); err != nil {
		return err
	}
	spec := o.Spec.(*RoutingRuleSpec)
	var v violations
	at := v.in("spec")
	for i, m := range spec.Match {
		for j, name := range m.Clients {
			if d.next.Get(Path(string(o.Path.Inbound())+"/clients/"+name)) == nil {
				at.in("match").at(i).in("clients").at(j).add("client %s does not exist below %s: create it first", name, o.Path.Inbound())
			}
		}
	}
	for i, s := range spec.Split {
		if s.Cluster != "" && d.next.Get(s.clusterPath()) == nil {
			at.in("split").at(i).in("cluster").add("cluster %s does not exist: register it first", s.Cluster)
		}
	}
	if other := spec.Mirrored(o.Path); other != "" {
		d.checkMirror(at.in("mirror").in("inbound"), other)
	}
	if err := conflict(&v, "it names what is not there, or can't be used so"); err != nil {
		return err
	}
	return d.checkOverlap(o)
}

func (d *draft) checkMirror(v *violations, other Path) {
	switch in := d.next.Get(other); {
	case in == nil:
		v.add("the inbound intent %s does not exist: create it first", other)
	case !in.Spec.(*InboundSpec).IsHTTP():
		v.add("%s has no HTTP port, and HTTP calls alone are mirrored", other)
	case !in.Spec.(*InboundSpec).InMesh():
		v.add("%s has no mesh (serviceMesh none), so no proxy leads calls to it", other)
	}
}

// checkRuleProtocol refuses what means nothing to the service: proxies that
// can't read a protocol can only divide its connections.
func (d *draft) checkRuleProtocol(o *Object) error {
	inbound := d.next.Get(o.Path.Inbound()).Spec.(*InboundSpec)
	var v violations
	at := v.in("spec")
	if o.Spec.(*RoutingRuleSpec).Mirrored(o.Path) == o.Path.Inbound() {
		at.in("mirror").in("inbound").add("%s is the service itself: name a version of it with mirror.version", o.Path.Inbound().Name())
	}
	if inbound.ServiceMesh == "none" {
		at.add("the service has no mesh (serviceMesh none), and it takes a proxy to route its calls")
	} else if !inbound.IsHTTP() {
		spec := reflect.ValueOf(o.Spec).Elem()
		for i := range spec.NumField() {
			field, _, _ := strings.Cut(spec.Type().Field(i).Tag.Get("json"), ",")
			if field != "priority" && field != "split" && !spec.Field(i).IsZero() {
				at.in(field).add("means nothing to a service without an HTTP port, such as this one: it takes split only")
			}
		}
	}
	return v.err("the routing rule does not suit its service")
}

// checkOverlap refuses two rules of one service that match the same calls with
// the same priority: neither could be said to come first.
func (d *draft) checkOverlap(o *Object) error {
	spec := o.Spec.(*RoutingRuleSpec)
	for other := range d.next.RoutingRules(o.Path.Inbound()) {
		theirs := other.Spec.(*RoutingRuleSpec)
		if other.Path == o.Path || theirs.Priority != spec.Priority || !slices.Equal(matchKeys(spec), matchKeys(theirs)) {
			continue
		}
		var v violations
		at := v.in("spec").in("match")
		if len(spec.Match) == 0 {
			at = v.in("spec").in("priority")
		}
		at.add("%s matches the same calls with the same priority, %d: give them different priorities, or make one rule of both", other.Path, spec.Priority)
		return conflict(&v, "another routing rule is in the way")
	}
	return nil
}

// matchKeys writes a rule's match blocks so that those which mean the same are
// the same, in whatever order they were given.
func matchKeys(r *RoutingRuleSpec) []string {
	keys := make([]string, len(r.Match))
	for i, m := range r.Match {
		m.Methods = slices.Compact(slices.Sorted(slices.Values(m.Methods)))
		m.Clients = slices.Compact(slices.Sorted(slices.Values(m.Clients)))
		headers := map[string]StringMatch{}
		for name, value := range m.Headers {
			headers[strings.ToLower(name)] = value
		}
		m.Headers = headers
		text, _ := json.Marshal(m) // strings and maps of strings can always be written
		keys[i] = string(text)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// checkRouted judges an inbound's routing rules against a change of the
// inbound itself, and of what else its calls depend on.
func (d *draft) checkRouted(in *Object) error {
	routed := false
	for rule := range d.next.RoutingRules(in.Path) {
		routed = true
		if err := d.checkRuleProtocol(rule); err != nil {
			return Errorf(Invalid, "the routing rule %s would not be legal any more: %s", rule.Path, err.Error())
		}
	}
	for rule := range d.next.MirroredBy(in.Path) {
		if !in.Spec.(*InboundSpec).IsHTTP() {
			return Errorf(Conflict, "the routing rule %s mirrors calls to it, so it needs an HTTP port", rule)
		}
		if !in.Spec.(*InboundSpec).InMesh() {
			return Errorf(Conflict, "the routing rule %s mirrors calls to it, so it needs serviceMesh istio", rule)
		}
	}
	if !routed {
		return nil
	}
	if raw, host := d.rawRoutes(in); raw != "" {
		return Errorf(Conflict, "the VirtualService in %s routes calls of %s in a namespace and on a cluster where routing rules do: take one of them away", raw, host)
	}
	return nil
}

// rawRoutes finds an Istio resource that routes calls of an inbound where its
// routing rules do. Of two VirtualServices for one host in one namespace, proxies
// would follow the older.
func (d *draft) rawRoutes(in *Object) (raw Path, host string) {
	namespaces := map[string]bool{d.next.Namespace(in.Path): true}
	clusters := slices.Clone(d.next.ServerClusters(in))
	for client := range d.next.List(KindClient, in.Path) {
		for _, ns := range d.next.CallerNamespaces(client) {
			namespaces[ns] = true
		}
		clusters = append(clusters, d.next.ClientClusters(client)...)
	}
	slices.Sort(clusters)
	service := in.Spec.(*InboundSpec).ServiceName + "." + d.next.Namespace(in.Path) + ".svc"
	for _, host := range []string{routedHost(d.next.Host(in), ""), service} {
		for raw := range d.next.lookup(byRouteHost, host) {
			o := d.next.Get(raw)
			if namespaces[d.next.RawNamespace(o)] && common(d.next.Chosen(o.Spec.(*IstioResourceSpec).Clusters), clusters) != "" {
				return raw, host
			}
		}
	}
	return "", ""
}

// routedInbounds are the inbounds whose calls a raw VirtualService may route.
func (d *draft) routedInbounds(resource *Object) []Path {
	var out []Path
	r := &resource.Spec.(*IstioResourceSpec).Resource
	for _, host := range r.routedHosts(d.next.RawNamespace(resource)) {
		out = slices.AppendSeq(out, d.next.lookup(byHost, host))
		if name, rest, _ := strings.Cut(strings.TrimSuffix(host, ".svc"), "."); strings.HasSuffix(host, ".svc") {
			out = slices.AppendSeq(out, d.next.lookup(byService, rest+"/"+name))
			// A global name may be the Kubernetes name, in any cluster's domain.
			for _, h := range r.hosts() {
				out = slices.AppendSeq(out, d.next.lookup(byHost, h))
			}
		}
	}
	return out
}

// routedHosts are the hosts whose calls inside the mesh a VirtualService
// routes, none for other kinds and for one that stands at gateways alone.
func (r *RawResource) routedHosts(namespace string) []string {
	var spec struct {
		Gateways []string `json:"gateways"`
	}
	if r.Kind != "VirtualService" || json.Unmarshal(r.Spec, &spec) != nil || len(spec.Gateways) > 0 && !slices.Contains(spec.Gateways, "mesh") {
		return nil
	}
	hosts := r.hosts()
	for i, h := range hosts {
		hosts[i] = routedHost(h, namespace)
	}
	return hosts
}

// routedHost writes a host of a VirtualService in a way that does not depend on
// a cluster's domain: name.namespace.svc for a Kubernetes name, short ones
// included.
func routedHost(host, namespace string) string {
	parts := strings.Split(host, ".")
	switch {
	case len(parts) == 1 && namespace != "":
		return host + "." + namespace + ".svc"
	case len(parts) >= 3 && parts[2] == "svc":
		return strings.Join(parts[:3], ".")
	}
	return host
}

// checkRouteReferences refuses to delete what a routing rule still names.
func (d *draft) checkRouteReferences(gone Path) error {
	switch gone.Kind() {
	case KindCluster:
		for rule := range d.next.lookup(byRoutedCluster, string(gone)) {
			return Errorf(Conflict, "the routing rule %s names this cluster: take it out there first", rule)
		}
	case KindInbound:
		for rule := range d.next.MirroredBy(gone) {
			return Errorf(Conflict, "the routing rule %s mirrors calls to this inbound intent: take it out there first", rule)
		}
	case KindClient:
		for rule := range d.next.RoutingRules(gone.Inbound()) {
			for _, m := range rule.Spec.(*RoutingRuleSpec).Match {
				if slices.Contains(m.Clients, gone.Name()) {
					return Errorf(Conflict, "the routing rule %s matches calls of this client: take it out there first", rule.Path)
				}
			}
		}
	}
	return nil
}

// drawInRouted adds the inbounds of other groups that a group's apps call:
// where those calls are routed may have changed.
func (d *draft) drawInRouted(group, cause Path, inbounds drawn) {
	for client := range d.next.Guests(group) {
		inbounds.add(client.Inbound(), cause)
	}
}
