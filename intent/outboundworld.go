package intent

import (
	"slices"
	"strconv"
	"strings"
)

// classValue is an index key without the path.
type classValue struct {
	class indexClass
	value string
}

// outboundKeys are an outbound's index keys in its namespace.
func outboundKeys(namespace string, o *OutboundSpec) []classValue {
	host := o.ExternalServiceName
	keys := []classValue{{byOutbound, namespace + "/" + host}, {byOutHost, host}, {byOutPort, o.portKey(namespace, o.IsOpaque())}}
	if service := spelledService(host); service != "" {
		keys = append(keys, classValue{byOutName, service})
	}
	return keys
}

// spelledService is the namespace/service that a host spells as Kubernetes
// does, in any cluster domain, or "".
func spelledService(host string) string {
	words := strings.SplitN(host, ".", 4)
	if len(words) == 2 || len(words) > 2 && words[2] == "svc" {
		return words[1] + "/" + words[0]
	}
	return ""
}

func (o *OutboundSpec) portKey(namespace string, opaque bool) string {
	key := namespace + "/" + strconv.Itoa(o.Port)
	if opaque {
		return key + "/opaque"
	}
	return key + "/named"
}

// checkUnique judges an object that is no inbound.
func (d *draft) checkUnique(o *Object) error {
	if o.Kind() == KindOutbound {
		return d.checkOutbound(o)
	}
	return d.checkResource(o)
}

// checkOutbound holds the rules that an outside host has one meaning in a
// namespace of a cluster, and is no name of the mesh's own.
//
// Outbounds of one host share its ServiceEntry, for istiod merges several only
// if they are alike, and of several DestinationRules takes the policy of one.
// So they have the port apart and all else that stands in it in common.
func (d *draft) checkOutbound(o *Object) error {
	spec := o.Spec.(*OutboundSpec)
	var v violations
	at := v.in("spec").in("externalServiceName")
	host := spec.ExternalServiceName
	for other := range d.next.lookup(byHost, host) {
		at.add("host %q is the global name of %s: call that as its client", host, other)
	}
	for _, k := range outboundKeys("", spec) {
		if k.class != byOutName {
			continue
		}
		for other := range d.next.lookup(byService, k.value) {
			at.add("host %q is the Kubernetes name of the service of %s: call that as its client", host, other)
		}
	}
	d.checkEndpoints(o, v.in("spec").in("endpoints"))
	clusters := d.next.OutboundClusters(o)
	for other := range d.next.lookup(byEntryHost, host) {
		theirs := d.next.Chosen(d.next.Get(other).Spec.(*IstioResourceSpec).Clusters)
		if shared := common(clusters, theirs); shared != "" {
			at.add("host %q on cluster %s is claimed by the ServiceEntry in %s", host, shared.ClusterName(), other)
		}
	}
	for other := range d.next.SameHost(o) {
		if other.Path == o.Path {
			continue
		}
		if shared := common(clusters, d.next.OutboundClusters(other)); shared != "" {
			spec.compare(v.in("spec"), other, shared)
		}
	}
	d.checkOutboundPort(v.in("spec").in("port"), o, clusters)
	return conflict(&v, "another intent is in the way")
}

// compare judges another outbound of the same host in the same namespace of a
// cluster.
func (o *OutboundSpec) compare(v *violations, other *Object, cluster Path) {
	theirs := other.Spec.(*OutboundSpec)
	const together = "outbound intents of one host in one namespace share its ServiceEntry"
	if o.Port == theirs.Port {
		v.in("port").add("port %d of %s on cluster %s is claimed by %s", o.Port, o.ExternalServiceName, cluster.ClusterName(), other.Path)
	}
	if o.Resolution != theirs.Resolution {
		v.in("resolution").add("%s has %s on cluster %s: %s", other.Path, theirs.Resolution, cluster.ClusterName(), together)
	}
	if !slices.Equal(o.Endpoints, theirs.Endpoints) {
		v.in("endpoints").add("%s has others on cluster %s: %s", other.Path, cluster.ClusterName(), together)
	}
	if o.EgressGateway != theirs.EgressGateway {
		v.in("egressGateway").add("%s has %t on cluster %s: %s", other.Path, theirs.EgressGateway, cluster.ClusterName(), together)
	}
}

// checkOutboundPort refuses services on one port of a namespace whose calls
// proxies could not tell apart.
func (d *draft) checkOutboundPort(v *violations, o *Object, clusters []Path) {
	spec := o.Spec.(*OutboundSpec)
	namespace := d.next.Namespace(o.Path)
	kinds := []bool{true}
	if spec.IsOpaque() {
		kinds = []bool{true, false}
	}
	for _, opaque := range kinds {
		for p := range d.next.lookup(byOutPort, spec.portKey(namespace, opaque)) {
			other := d.next.Get(p)
			theirs := other.Spec.(*OutboundSpec)
			if p == o.Path || theirs.ExternalServiceName == spec.ExternalServiceName || !spec.collides(theirs) {
				continue
			}
			if shared := common(clusters, d.next.OutboundClusters(other)); shared != "" {
				v.add("calls to port %d in namespace %s on cluster %s can't be told from those of %s, as %s names no host: use another port, or resolution STATIC with endpoints of their own for both",
					spec.Port, namespace, shared.ClusterName(), p, opaqueOf(spec, theirs))
			}
		}
	}
}

// opaqueOf is the protocol of the two that names no host.
func opaqueOf(a, b *OutboundSpec) Protocol {
	if a.IsOpaque() {
		return a.Protocol
	}
	return b.Protocol
}
