package intent

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// settle judges the Set that a command's operations made against the rules
// that span objects, and allots addresses. Operations of one transaction are
// judged together, so two intents may swap a name in one.
func (d *draft) settle(ops []Op) error {
	inbounds, resources := drawn{}, drawn{}
	for _, c := range d.changes() {
		if err := d.settleChange(c, inbounds, resources); err != nil {
			return inOp(err, opOf(ops, c.Path), c.Path)
		}
	}
	for _, p := range sortedKeys(inbounds) {
		if err := d.checkInbound(d.next.Get(Path(p))); err != nil {
			return inbounds.blame(err, ops, Path(p))
		}
	}
	for _, p := range sortedKeys(resources) {
		if err := d.checkUnique(d.next.Get(Path(p))); err != nil {
			return resources.blame(err, ops, Path(p))
		}
	}
	if host, err := d.allotVIPs(inbounds); err != nil {
		return inbounds.blame(err, ops, host)
	}
	return nil
}

// drawn are objects to be judged, each with the changed object that drew it
// in: itself, its group, or a cluster.
type drawn map[Path]Path

// add notes that the change of cause may have broken p. An object's own change
// is the better cause: its fields are the request's.
func (m drawn) add(p, cause Path) {
	if _, ok := m[p]; !ok || p == cause {
		m[p] = cause
	}
}

// blame points a refusal at the operation that caused it. Where that named
// another object, the fields at fault are not in the request, so they go into
// the detail.
func (m drawn) blame(err error, ops []Op, p Path) error {
	cause := m[p]
	if e, ok := err.(*Error); ok && cause != p {
		e.Path = p
		err = Errorf(e.Kind, "with this change, %s", e.Error())
	}
	return inOp(err, opOf(ops, cause), cause)
}

// opOf finds the last operation that named a path: the one that made it what
// it is, or took it or what it stood under away.
func opOf(ops []Op, p Path) int {
	for i, op := range slices.Backward(ops) {
		if op.Path == p || op.Cascade && strings.HasPrefix(string(p), string(op.Path)+"/") {
			return i
		}
	}
	return 0
}

// settleChange checks what one changed object refers to and what refers to it,
// and collects the inbounds and resources (outbounds among them) whose uniqueness it may have broken.
func (d *draft) settleChange(c Change, inbounds, resources drawn) error {
	if c.New == nil {
		return d.checkUnreferenced(c)
	}
	switch spec := c.New.Spec.(type) {
	case *ClusterSpec:
		if err := d.checkAuthorities(c.New, spec); err != nil {
			return err
		}
		d.drawInEntered(c, inbounds, resources)
		if c.Old != nil && maps.Equal(c.Old.Metadata.Labels, c.New.Metadata.Labels) {
			return nil
		}
		for o := range d.next.SelectedBy(c.New.Metadata.Labels) {
			d.drawIn(o, c.Path, inbounds, resources)
		}
	case *GroupSpec:
		var v violations
		for i, p := range spec.Placements {
			d.checkClusters(v.in("spec").in("placements").at(i).in("clusters"), p.Clusters)
		}
		if err := conflict(&v, "a placement names a cluster that does not exist: register it first"); err != nil {
			return err
		}
		if c.Old == nil || !sameReach(c.Old.Spec.(*GroupSpec), spec) {
			d.drawIn(c.New, c.Path, inbounds, resources)
		}
	case *InboundSpec:
		inbounds.add(c.Path, c.Path)
		return d.checkIssuers(c.New, spec)
	case *RoutingRuleSpec:
		inbounds.add(c.Path.Inbound(), c.Path)
		return d.checkRule(c.New)
	case *AccessPointSpec:
		return d.checkUsers(c.New, spec)
	case *ClientSpec:
		if spec.Group != nil && d.next.Get(spec.Group.Path()) == nil {
			var v violations
			v.in("spec").in("group").add("%s does not exist", spec.Group.Path())
			return conflict(&v, "the client's group does not exist: create it first")
		}
		inbounds.add(c.Path.Inbound(), c.Path)
	case *IstioResourceSpec:
		var v violations
		d.checkClusters(v.in("spec").in("clusters").in("clusters"), spec.Clusters.Clusters)
		if err := conflict(&v, "it names a cluster that does not exist: register it first"); err != nil {
			return err
		}
		resources.add(c.Path, c.Path)
		for _, in := range d.routedInbounds(c.New) {
			inbounds.add(in, c.Path)
		}
	case *OutboundSpec:
		resources.add(c.Path, c.Path)
	}
	return nil
}

// conflict is err with the kind for what the world refuses.
func conflict(v *violations, detail string) error {
	err := v.err(detail)
	if err != nil {
		err.(*Error).Kind = Conflict
	}
	return err
}

// sameReach reports whether two versions of a group give its services the same
// names on the same clusters, and its namespace the same scope.
func sameReach(a, b *GroupSpec) bool {
	return a.Namespace == b.Namespace && a.SidecarScope == b.SidecarScope && reflect.DeepEqual(a.Placements, b.Placements)
}

// drawIn adds what stands below o, or o itself, to what must be judged again.
func (d *draft) drawIn(o *Object, cause Path, inbounds, resources drawn) {
	if o.Kind() == KindIstioResource {
		resources.add(o.Path, cause)
		for _, in := range d.routedInbounds(o) {
			inbounds.add(in, cause)
		}
		return
	}
	d.drawInRouted(o.Path, cause, inbounds)
	for in := range d.next.List(KindInbound, o.Path) {
		inbounds.add(in.Path, cause)
	}
	for out := range d.next.List(KindOutbound, o.Path) {
		resources.add(out.Path, cause)
	}
	for r := range d.next.List(KindIstioResource, o.Path) {
		resources.add(r.Path, cause)
		for _, in := range d.routedInbounds(r) {
			inbounds.add(in, cause)
		}
	}
	for r := range d.rivalScopes(o) {
		resources.add(r.Path, cause)
	}
}

func (d *draft) checkClusters(v *violations, refs []ClusterRef) {
	for i, r := range refs {
		if d.next.Get(r.Path()) == nil {
			v.at(i).add("cluster %s/%s does not exist", r.ClusterProvider, r.Cluster)
		}
	}
}

func (d *draft) checkAuthorities(o *Object, spec *ClusterSpec) error {
	var v violations
	for i, a := range spec.Authorities {
		for other := range d.next.lookup(byAuthority, a) {
			if other != o.Path {
				v.in("spec").in("authorities").at(i).add("%q is an authority of cluster %s already", a, other.ClusterName())
			}
		}
	}
	return conflict(&v, "another cluster's istiod dials under the same name: a connection could not be told apart")
}

// checkUnreferenced refuses to delete what others still name.
func (d *draft) checkUnreferenced(c Change) error {
	if err := d.checkRouteReferences(c.Path); err != nil {
		return err
	}
	class, what := byCluster, "names this cluster: take it out there first"
	if c.Path.Kind() == KindGroup {
		class, what = byGuest, "has an app of this group as its client: delete that first"
	} else if c.Path.Kind() != KindCluster {
		return nil
	}
	for p := range d.next.lookup(class, string(c.Path)) {
		return Errorf(Conflict, "the %s %s %s", p.Kind().Noun(), p, what)
	}
	return nil
}

// checkInbound holds the rule that a global host belongs to one inbound, and a
// Kubernetes service, on any one cluster, too.
func (d *draft) checkInbound(in *Object) error {
	spec := in.Spec.(*InboundSpec)
	host := d.next.Host(in)
	var v violations
	field := "globalName"
	if spec.GlobalName == "" {
		field = "serviceName"
	}
	at := v.in("spec").in(field)
	if msg := checkHost(host); msg != "" {
		at.add("the global name would be %s", msg)
	}
	for other := range d.next.lookup(byHost, host) {
		if other != in.Path {
			at.add("host %q is claimed by %s: choose another globalName, or add the port to that intent's ports", host, other)
		}
	}
	for other := range d.next.lookup(byEntryHost, host) {
		at.add("host %q is claimed by the ServiceEntry in %s", host, other)
	}
	for other := range d.next.lookup(byOutHost, host) {
		at.add("host %q is a service outside the mesh by %s", host, other)
	}
	for other := range d.next.lookup(byService, spelledService(host)) {
		if other != in.Path {
			at.add("host %q is the Kubernetes name of the service of %s: choose another globalName", host, other)
		}
	}
	service := d.next.Namespace(in.Path) + "/" + spec.ServiceName
	for other := range d.next.lookup(bySpelled, service) {
		if other != in.Path {
			v.in("spec").in("serviceName").add("the Kubernetes name of service %s is the global name of %s: choose another there", service, other)
		}
	}
	for other := range d.next.lookup(byOutName, service) {
		v.in("spec").in("serviceName").add("service %s is one outside the mesh by %s", service, other)
	}
	for other := range d.next.lookup(byService, service) {
		if other == in.Path {
			continue
		}
		if shared := common(d.next.ServerClusters(in), d.next.ServerClusters(d.next.Get(other))); shared != "" {
			v.in("spec").in("serviceName").add("service %s on cluster %s is claimed by %s: one inbound intent describes a service, with all its ports", service, shared.ClusterName(), other)
		}
	}
	d.checkExternal(in, v.in("spec"))
	if err := conflict(&v, "another intent is in the way"); err != nil {
		return err
	}
	return d.checkRouted(in)
}

// checkResource holds the rule that no two Istio resources are the same object
// on any one cluster, and none takes an inbound's global host or stands beside
// the Sidecar that a group asks for.
func (d *draft) checkResource(o *Object) error {
	spec := o.Spec.(*IstioResourceSpec)
	var v violations
	for other := range d.next.lookup(byRaw, d.next.rawKey(o)) {
		if other == o.Path {
			continue
		}
		theirs := d.next.Get(other).Spec.(*IstioResourceSpec)
		if shared := common(d.next.Chosen(spec.Clusters), d.next.Chosen(theirs.Clusters)); shared != "" {
			v.in("spec").in("resource").in("metadata").in("name").add("%s %s/%s on cluster %s is given by %s",
				spec.Resource.Kind, d.next.RawNamespace(o), spec.Resource.Metadata.Name, shared.ClusterName(), other)
		}
	}
	d.checkScope(o, &v)
	for i, h := range spec.Resource.entryHosts() {
		for other := range d.next.lookup(byHost, h) {
			v.in("spec").in("resource").in("spec").in("hosts").at(i).add("host %q is claimed by %s", h, other)
		}
		for other := range d.next.lookup(byOutHost, h) {
			if common(d.next.Chosen(spec.Clusters), d.next.OutboundClusters(d.next.Get(other))) != "" {
				v.in("spec").in("resource").in("spec").in("hosts").at(i).add("host %q is claimed by %s", h, other)
			}
		}
	}
	return conflict(&v, "another intent is in the way")
}

// common returns a member of two sorted lists, or "".
func common(a, b []Path) Path {
	for _, p := range a {
		if _, ok := slices.BinarySearch(b, p); ok {
			return p
		}
	}
	return ""
}

// configure changes the store's shared decisions. The suffix of default global
// names is fixed once an inbound uses it: changing it would rename services.
func (d *draft) configure(s *Settings) error {
	if s == nil {
		return Errorf(Malformed, "settings are missing")
	}
	if err := s.Validate(); err != nil {
		return err
	}
	if s.HostSuffix != d.base.settings.HostSuffix {
		for in := range d.base.List(KindInbound, "") {
			if in.Spec.(*InboundSpec).GlobalName == "" {
				return Errorf(Conflict, "the suffix of global names can't change from %q to %q while %s relies on it", d.base.settings.HostSuffix, s.HostSuffix, in.Path)
			}
		}
	}
	d.next.settings = *s
	return nil
}

// Validate reports settings that no store could work with.
func (s Settings) Validate() error {
	var v violations
	v.in("hostSuffix").check(checkHost(s.HostSuffix))
	if !s.VIPv4.IsValid() || !s.VIPv4.Addr().Is4() || s.VIPv4.Bits() > 30 {
		v.in("vipv4").add("must be an IPv4 range of at least four addresses, such as 240.240.0.0/16")
	} else {
		v.in("vipv4").check(checkRangeStart(s.VIPv4))
	}
	if !s.VIPv6.IsValid() || !s.VIPv6.Addr().Is6() || s.VIPv6.Addr().Is4In6() || s.VIPv6.Bits() > 104 {
		v.in("vipv6").add("must be an IPv6 range of /104 or wider")
	} else {
		v.in("vipv6").check(checkRangeStart(s.VIPv6))
	}
	return v.err("the settings are not legal")
}

// checkRangeStart refuses ranges whose addresses no proxy can listen for.
func checkRangeStart(p netip.Prefix) string {
	start := p.Masked().Addr()
	switch {
	case p.Addr() != start:
		return fmt.Sprintf("%s has host bits set: write %s", p, p.Masked())
	case start.IsUnspecified(), start.IsLoopback(), start.IsMulticast():
		return fmt.Sprintf("%s is no range that services can have addresses in", p)
	}
	return ""
}
