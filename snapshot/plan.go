package snapshot

import (
	"maps"
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// A plan is one inbound as one cluster sees it: all that the generators need
// to know. It is worked out once and then only read.
type plan struct {
	set     *intent.Set
	inbound *intent.Object
	spec    *intent.InboundSpec
	cluster *intent.Object
	record  *intent.ClusterSpec // the cluster's

	namespace string // of the service
	host      string // the global name, by which clients call it everywhere
	vip       intent.VIP
	families  families // that this cluster has
	ports     []intent.ServicePort
	clients   []client // in path order
	rules     []rule   // in the order in which they are tried
	serves    bool     // the service runs on this cluster
	exposed   bool     // and clients on other clusters reach it here
	gateway   *intent.Gateway
	callers   []caller         // on this cluster, in namespace order
	sites     []site           // that callers on this cluster reach, local first, then in path order
	accounts  []string         // SPIFFE identities of the service, if known
	namesake  intent.Path      // another inbound here whose service has the same Kubernetes name
	mates     []*intent.Object // other inbounds here whose services have the same pods, in path order
}

// client is a declared client of the inbound.
type client struct {
	path       intent.Path
	spec       *intent.ClientSpec
	clusters   []intent.Path // that its app runs on
	namespaces []string      // that it calls from
	account    string        // its service account, if known
	points     []accessPoint // in path order
}

type accessPoint struct {
	path intent.Path
	spec *intent.AccessPointSpec
}

// caller is a namespace of this cluster that clients call from.
type caller struct {
	namespace string
	clients   []intent.Path
}

// site is a cluster that serves, as this cluster reaches it: through the
// service itself on this one, through the east-west gateway on another.
type site struct {
	path      intent.Path
	local     bool
	addresses []string
	port      int // of the gateway; unused for the local site
	network   string
	locality  string
	share     int // of the calls, in proportion to the other sites' shares
}

// newPlan works out the plan of an inbound for a cluster. What can't be had,
// such as the address of another cluster's gateway, is left out and reported.
func newPlan(set *intent.Set, inbound, cluster *intent.Object, out *output) *plan {
	spec := inbound.Spec.(*intent.InboundSpec)
	p := &plan{
		set: set, inbound: inbound, spec: spec, cluster: cluster, record: cluster.Spec.(*intent.ClusterSpec),
		namespace: set.Namespace(inbound.Path), host: set.Host(inbound), ports: spec.AllPorts(),
	}
	p.vip = set.VIP(p.host)
	p.families = familiesOf(cluster)
	servers := set.ServerClusters(inbound)
	p.serves = slices.Contains(servers, cluster.Path)
	for o := range set.List(intent.KindClient, inbound.Path) {
		p.clients = append(p.clients, newClient(set, o))
	}
	p.rules = rulesOf(set, inbound.Path)
	p.callers = callersOn(cluster.Path, p.clients)
	p.accounts = identities(set, servers, p.namespace, accountOf(set, inbound.Path.Group(), spec.App))
	if len(servers) == 0 {
		out.problem(inbound.Path, "no cluster serves it: place app %s of its deployment intent group", spec.App)
		return p
	}
	if !spec.InMesh() {
		p.reachOutsideMesh(servers, out)
		return p
	}
	if p.serves {
		p.mates = matesOn(set, inbound, cluster.Path)
		p.expose(out)
	}
	if len(p.callers) > 0 {
		p.reach(servers, out)
		p.findNamesake(out)
	}
	if spec.Headless {
		p.checkHeadless(out)
	}
	return p
}

func newClient(set *intent.Set, o *intent.Object) client {
	c := client{path: o.Path, spec: o.Spec.(*intent.ClientSpec), clusters: set.ClientClusters(o)}
	c.namespaces = set.CallerNamespaces(o)
	c.account = c.spec.ServiceAccount
	if c.account == "" {
		c.account = accountOf(set, intent.ClientGroup(o), c.spec.App)
	}
	for ap := range set.List(intent.KindAccessPoint, o.Path) {
		c.points = append(c.points, accessPoint{ap.Path, ap.Spec.(*intent.AccessPointSpec)})
	}
	return c
}

// accountOf is the service account of a group's app, or "".
func accountOf(set *intent.Set, group intent.Path, app string) string {
	if g := set.Get(group); g != nil {
		return g.Spec.(*intent.GroupSpec).ServiceAccounts[app]
	}
	return ""
}

// callersOn lists the namespaces of a cluster that clients call from. Clients
// that share one share its objects.
func callersOn(cluster intent.Path, clients []client) []caller {
	byNamespace := map[string][]intent.Path{}
	for _, c := range clients {
		if !slices.Contains(c.clusters, cluster) {
			continue
		}
		for _, ns := range c.namespaces {
			byNamespace[ns] = append(byNamespace[ns], c.path)
		}
	}
	var out []caller
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		out = append(out, caller{ns, byNamespace[ns]})
	}
	return out
}

// identities are the SPIFFE names that workloads with a service account bear
// on clusters, each in its cluster's trust domain; none for an unknown account.
func identities(set *intent.Set, clusters []intent.Path, namespace, account string) []string {
	if account == "" {
		return nil
	}
	var out []string
	for _, td := range trustDomains(set, clusters) {
		out = append(out, "spiffe://"+td+"/ns/"+namespace+"/sa/"+account)
	}
	return out
}

// trustDomains lists those of clusters, each once, in order.
func trustDomains(set *intent.Set, clusters []intent.Path) []string {
	var out []string
	for _, c := range clusters {
		out = append(out, set.Get(c).Spec.(*intent.ClusterSpec).TrustDomain)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// expose finds the gateway through which other clusters' clients come in, if
// there are any.
func (p *plan) expose(out *output) {
	for _, c := range p.clients {
		p.exposed = p.exposed || slices.ContainsFunc(c.clusters, func(on intent.Path) bool { return on != p.cluster.Path })
	}
	if !p.exposed {
		return
	}
	if !p.spec.Proxied() {
		p.exposed = false
		out.problem(p.inbound.Path, "clients on other clusters can't reach it: with management.sidecarProxy no, nothing here ends the mutual TLS that they call with")
		return
	}
	if p.gateway = p.record.Gateway(intent.EastWest); p.gateway != nil {
		return
	}
	if p.gateway = gatewayIn(p.cluster.LastGateways, intent.EastWest); p.gateway == nil {
		out.problem(p.inbound.Path, "cluster %s has no east-west gateway, so clients on other clusters can't reach it: add one to its gateways", p.cluster.Path.ClusterName())
	} else {
		out.problem(p.inbound.Path, "cluster %s has no east-west gateway any more: the last one known is kept", p.cluster.Path.ClusterName())
	}
}

// reach works out the sites that callers on this cluster call.
func (p *plan) reach(servers []intent.Path, out *output) {
	for _, path := range servers {
		if path == p.cluster.Path {
			p.sites = append([]site{p.localSite()}, p.sites...)
		} else if !p.spec.Proxied() {
			out.problem(p.inbound.Path, "instances on cluster %s can't be reached from here: with management.sidecarProxy no, nothing there ends the mutual TLS of calls between clusters", path.ClusterName())
		} else if s, ok := p.remoteSite(path, out); ok {
			p.sites = append(p.sites, s)
		}
	}
	locality := p.locality()
	switch locality.Mode {
	case "weighted":
		p.weigh(locality.Weights, out)
	case "local-first":
		p.checkOrder(out)
	}
	beside := func(c caller) bool { return p.exposed && p.gateway != nil && c.namespace == p.gateway.Namespace }
	if len(p.sites) > 1 && slices.ContainsFunc(p.callers, beside) {
		out.problem(p.inbound.Path, "clients in namespace %s stand beside the east-west gateway and reach local instances only: move them to a namespace of their own", p.gateway.Namespace)
	}
}

// findNamesake looks for another inbound that has to do with this cluster and
// whose service has the same Kubernetes name. That name is then not ours alone
// to lead anywhere.
func (p *plan) findNamesake(out *output) {
	if p.oldName() == "" {
		return
	}
	for other := range p.set.Namesakes(p.inbound) {
		if slices.Contains(unitClusters(p.set, other), p.cluster.Path) {
			p.namesake = other.Path
			if !p.spec.InMesh() {
				out.problem(p.inbound.Path, "clients on this cluster can't reach it: %s stands for a service %s/%s here too", other.Path, p.namespace, p.spec.ServiceName)
				return
			}
			out.problem(p.inbound.Path, "clients on this cluster reach it as %s only: %s stands for a service %s/%s here too", p.host, other.Path, p.namespace, p.spec.ServiceName)
			return
		}
	}
}

// locality is how callers choose between clusters, with its default.
func (p *plan) locality() intent.Locality {
	var l intent.Locality
	if t := p.spec.TrafficPolicy; t != nil && t.Locality != nil {
		l = *t.Locality
	}
	if l.Mode == "" {
		l.Mode = "local-first"
	}
	return l
}

func (p *plan) localSite() site {
	return site{
		path: p.cluster.Path, local: true, share: 1,
		addresses: []string{p.serviceHost()},
		locality:  locality(p.record, ""),
	}
}

// gatewayOf is another cluster's gateway, one with addresses, or nil. One that
// has lost its addresses is reached where it last was.
func (p *plan) gatewayOf(path intent.Path, r intent.GatewayRole, out *output) *intent.Gateway {
	cluster, noun := p.set.Get(path), roleNouns[r]
	g := cluster.Spec.(*intent.ClusterSpec).Gateway(r)
	if g != nil && len(g.Addresses) > 0 {
		return g
	}
	last := gatewayIn(cluster.LastGateways, r)
	if last == nil || len(last.Addresses) == 0 {
		out.problem(p.inbound.Path, "cluster %s has no %s gateway address, so its instances can't be reached from here: add one to its gateways", path.ClusterName(), noun)
		return nil
	}
	out.problem(p.inbound.Path, "cluster %s has no %s gateway address any more: the last one known is kept", path.ClusterName(), noun)
	if g == nil {
		return last
	}
	known := *g // it listens as its record says
	known.Addresses = last.Addresses
	return &known
}

// roleNouns are what messages call a gateway of a role.
var roleNouns = map[intent.GatewayRole]string{intent.EastWest: "east-west", intent.Ingress: "ingress", intent.Egress: "egress"}

// remoteSite is another cluster behind its east-west gateway.
func (p *plan) remoteSite(path intent.Path, out *output) (site, bool) {
	g := p.gatewayOf(path, intent.EastWest, out)
	if g == nil {
		return site{}, false
	}
	record := p.set.Get(path).Spec.(*intent.ClusterSpec)
	s := site{path: path, port: tlsPort(g), network: record.Network, share: 1}
	if s.addresses = p.reachable(path, g, out); len(s.addresses) == 0 {
		return site{}, false
	}
	// A neighbour in the very zone of this cluster is told from it by a
	// sub-zone of its own, so that local instances still come first.
	beside := ""
	if p.serves && record.Region == p.record.Region && record.Zone == p.record.Zone {
		beside = path.Segment(2) + "." + path.Segment(4)
	}
	s.locality = locality(record, beside)
	return s, true
}

// locality is a record's place as Istio writes it: region/zone/sub-zone.
func locality(record *intent.ClusterSpec, subzone string) string {
	switch {
	case record.Region == "":
		return ""
	case record.Zone == "":
		return record.Region
	case subzone == "":
		return record.Region + "/" + record.Zone
	}
	return record.Region + "/" + record.Zone + "/" + subzone
}

// weigh gives the sites the stated shares, and leaves out those without one.
func (p *plan) weigh(weights map[string]int, out *output) {
	var shared []site
	for _, s := range p.sites {
		if s.share = weights[s.path.ClusterName()]; s.share > 0 {
			shared = append(shared, s)
		}
	}
	if len(shared) == 0 && len(p.sites) > 0 {
		out.problem(p.inbound.Path, "trafficPolicy.locality.weights gives no share to any cluster that can be reached: all get the same")
		for i := range p.sites {
			p.sites[i].share = 1
		}
		return
	}
	p.sites = shared
}

// checkOrder reports what keeps local instances from coming first: Istio
// orders endpoints by region and zone alone.
func (p *plan) checkOrder(out *output) {
	if !p.serves {
		return
	}
	for _, s := range p.sites {
		other := p.set.Get(s.path).Spec.(*intent.ClusterSpec)
		switch {
		case s.local:
		case p.record.Region == "":
			out.problem(p.inbound.Path, "cluster %s has no region, so its instances can't come first here: add region and zone to its record", p.cluster.Path.ClusterName())
			return
		case p.record.Zone == "" && other.Region == p.record.Region:
			out.problem(p.inbound.Path, "clusters %s and %s are both in region %s, so local instances can't come first: add zones to their records", p.cluster.Path.ClusterName(), s.path.ClusterName(), other.Region)
		}
	}
}

// serviceHost is the service's Kubernetes name on this cluster.
func (p *plan) serviceHost() string {
	return p.spec.ServiceName + "." + p.namespace + ".svc." + p.record.ClusterDomain
}

// ownName reports whether the global name is the Kubernetes name: then the
// service itself answers to it wherever it runs.
func (p *plan) ownName() bool { return p.host == p.serviceHost() }

func gatewayIn(gateways []intent.Gateway, r intent.GatewayRole) *intent.Gateway {
	for i := range gateways {
		if gateways[i].Role == r {
			return &gateways[i]
		}
	}
	return nil
}

func tlsPort(g *intent.Gateway) int {
	if g.Ports == nil || g.Ports.TLS == 0 {
		return 15443
	}
	return g.Ports.TLS
}
