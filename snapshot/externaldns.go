package snapshot

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// dnsEndpoint publishes the external name in the cluster's zone, by its
// external-dns: A and AAAA records for the addresses of the ingress gateways,
// or a CNAME where they have a host name instead.
//
// Each serving cluster publishes for itself. Where several do so in one zone,
// the set identifier keeps their records apart, so that the name answers with
// all of them; the zone's provider has to know such record sets.
func (p *plan) dnsEndpoint(x *external, out *output) {
	zone := p.record.DNS
	if zone == nil {
		return
	}
	if !zone.Holds(x.host) {
		out.problem(p.inbound.Path, "%s is not published: it is not in zone %s of cluster %s: choose an externalName in it", x.host, zone.Zone, p.cluster.Path.ClusterName())
		return
	}
	if p.record.Delivery == intent.DeliverXDS {
		out.problem(p.inbound.Path, "%s is not published: a DNSEndpoint can't be delivered over xDS, which is all that cluster %s takes: set its delivery to both", x.host, p.cluster.Path.ClusterName())
		return
	}
	records := p.dnsRecords(x, out)
	if len(records) == 0 {
		return
	}
	if p.sharesZone() {
		for i := range records {
			records[i].SetIdentifier = p.cluster.Path.ClusterName()
			if strings.EqualFold(zone.Provider, "aws") { // Route 53 takes no record set without a policy
				records[i].ProviderSpecific = []dnsProperty{{Name: "aws/weight", Value: "100"}}
			}
		}
	}
	spec := kubernetesSpec(&dnsEndpoint{Spec: dnsEndpointSpec{Endpoints: records}})
	out.resources = append(out.resources, p.resource(DNSEndpoint, p.namespace, p.inbound.Path, roleExternal, spec))
}

// dnsRecords are what the external name answers with.
func (p *plan) dnsRecords(x *external, out *output) []dnsRecord {
	var v4, v6, hosts []string
	for _, g := range x.gateways {
		for _, a := range g.Addresses {
			switch addr, err := netip.ParseAddr(a); {
			case err != nil:
				hosts = append(hosts, a)
			case addr.Unmap().Is4():
				v4 = append(v4, addr.Unmap().String())
			default:
				v6 = append(v6, addr.String())
			}
		}
	}
	v4, v6, hosts = sortedUnique(v4), sortedUnique(v6), sortedUnique(hosts)
	var records []dnsRecord
	if len(v4) > 0 {
		records = append(records, dnsRecord{DNSName: x.host, RecordType: "A", Targets: v4})
	}
	if len(v6) > 0 {
		records = append(records, dnsRecord{DNSName: x.host, RecordType: "AAAA", Targets: v6})
	}
	if len(records) == 0 && len(hosts) > 0 {
		records, hosts = []dnsRecord{{DNSName: x.host, RecordType: "CNAME", Targets: hosts[:1]}}, hosts[1:]
	}
	switch {
	case len(records) == 0:
		out.problem(p.inbound.Path, "%s is not published: the ingress gateways of cluster %s have no address: add one", x.host, p.cluster.Path.ClusterName())
	case len(hosts) > 0:
		out.problem(p.inbound.Path, "%s is not published for gateways at %s: a name has either addresses or one other name", x.host, strings.Join(hosts, ", "))
	}
	return records
}

// sharesZone reports whether another cluster publishes the same name in this
// cluster's zone.
func (p *plan) sharesZone() bool {
	return slices.ContainsFunc(p.set.ServerClusters(p.inbound), func(path intent.Path) bool {
		other := p.set.Get(path).Spec.(*intent.ClusterSpec)
		return path != p.cluster.Path && other.DNS != nil && *other.DNS == *p.record.DNS &&
			len(other.GatewaysOf(intent.Ingress)) > 0
	})
}
