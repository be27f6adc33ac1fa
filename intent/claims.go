package intent

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// This file holds what one intent may not take from another by a way around
// the names that are compared elsewhere.

// checkKubernetesName refuses a global name that is a Kubernetes name of
// another service. In each namespace that a client calls from, it would lead
// calls of that service here: an entry of a namespace goes before what
// Kubernetes tells.
func (d *draft) checkKubernetesName(in *Object, v *violations) {
	spec, namespace := in.Spec.(*InboundSpec), d.next.Namespace(in.Path)
	words := strings.SplitN(d.next.Host(in), ".", 4)
	full := len(words) > 2 && words[2] == "svc"
	if len(words) == 2 || full {
		named := words[1] + "/" + words[0]
		if own := named == namespace+"/"+spec.ServiceName; full && !own {
			v.in("globalName").add("%q is the Kubernetes name of service %s: choose another globalName", spec.GlobalName, named)
		} else if !own {
			for other := range d.next.lookup(byService, named) {
				v.in("globalName").add("%q is a Kubernetes name of the service of %s: choose another globalName", spec.GlobalName, other)
			}
		}
	}
	for other := range d.next.lookup(byHost, spec.ServiceName+"."+namespace) {
		if other != in.Path {
			v.in("serviceName").add("%s.%s, a Kubernetes name of the service, is the global name of %s", spec.ServiceName, namespace, other)
		}
	}
}

// checkIssuerKeys holds that inbounds with the same pods on a cluster agree on
// an issuer's tokens. Istio takes the tokens that any of them takes, so one
// could bring keys of its own for the issuer that another relies on.
func (d *draft) checkIssuerKeys(in *Object, v *violations) {
	spec := in.Spec.(*InboundSpec)
	if len(spec.JWT) == 0 {
		return
	}
	clusters := d.next.ServerClusters(in)
	for mate := range d.next.PodMates(in) {
		shared := common(clusters, d.next.ServerClusters(mate))
		for i, j := range spec.JWT {
			differs := func(t JWTRule) bool { return t.Issuer == j.Issuer && !t.sameTokens(&j) }
			if shared != "" && slices.ContainsFunc(mate.Spec.(*InboundSpec).JWT, differs) {
				v.in("jwt").at(i).add("%s has the same pods on cluster %s and takes other tokens of issuer %q: give the same keys and audiences", mate.Path, shared.ClusterName(), clip(j.Issuer))
			}
		}
	}
}

// sameTokens reports whether two rules for one issuer take the same tokens.
func (j *JWTRule) sameTokens(other *JWTRule) bool {
	sorted := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return j.JWKSURI == other.JWKSURI && j.JWKS == other.JWKS && slices.Equal(sorted(j.Audiences), sorted(other.Audiences))
}

// checkPublished holds that the records of an external name in a DNS zone are
// one inbound's: with two, the zone would have those of the one that came first,
// or callers of one service would reach the other.
func (d *draft) checkPublished(host string, clusters []Path, other *Object, v *violations) {
	for _, theirs := range d.next.ServerClusters(other) {
		zone := d.next.publishes(theirs, host)
		for _, ours := range clusters {
			if ours != theirs && zone != nil && zone.sameZone(d.next.publishes(ours, host)) {
				v.in("externalName").add("%q is published by %s, on cluster %s, in the DNS zone of cluster %s: choose another externalName", host, other.Path, theirs.ClusterName(), ours.ClusterName())
				return
			}
		}
	}
}

// publishes is the zone in which a cluster publishes an external name, or nil.
func (s *Set) publishes(cluster Path, host string) *DNSZone {
	record := s.Get(cluster).Spec.(*ClusterSpec)
	if record.DNS == nil || record.Delivery == DeliverXDS || len(record.GatewaysOf(Ingress)) == 0 || !record.DNS.Holds(host) {
		return nil
	}
	return record.DNS
}

// sameZone reports whether two clusters' records of one name may be in one zone.
func (z *DNSZone) sameZone(other *DNSZone) bool {
	return other != nil && z.Provider == other.Provider
}

// checkAddresses keeps Istio resources off the addresses that global names have:
// proxies of all namespaces would listen there for the resource's host.
func (d *draft) checkAddresses(o *Object, v *violations) {
	at := v.in("spec").in("resource").in("spec").in("addresses")
	for i, text := range o.Spec.(*IstioResourceSpec).Resource.entryAddresses() {
		for _, kept := range []netip.Prefix{d.next.settings.VIPv4, d.next.settings.VIPv6} {
			if prefix, ok := prefixOf(text); ok && prefix.Overlaps(kept) {
				at.at(i).add("%s is in %s, which is kept for the addresses of global names", text, kept)
			}
		}
	}
}

// entryAddresses are the addresses of a ServiceEntry, none for other kinds.
func (r *RawResource) entryAddresses() []string {
	var spec struct {
		Addresses []string `json:"addresses"`
	}
	if r.Kind != "ServiceEntry" || json.Unmarshal(r.Spec, &spec) != nil {
		return nil
	}
	return spec.Addresses
}

// checkEndpoints keeps outbounds off these addresses, too: it is by them that
// calls of some protocols are told apart.
func (d *draft) checkEndpoints(o *Object, v *violations) {
	for i, text := range o.Spec.(*OutboundSpec).Endpoints {
		for _, kept := range []netip.Prefix{d.next.settings.VIPv4, d.next.settings.VIPv6} {
			if prefix, ok := prefixOf(text); ok && prefix.Overlaps(kept) {
				v.at(i).add("%s is in %s, which is kept for the addresses of global names", text, kept)
			}
		}
	}
}

// prefixOf reads an address or a range of them. One that is written as IPv6 and
// is IPv4 is IPv4.
func prefixOf(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, false
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		return netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96), true
	}
	return prefix, true
}
