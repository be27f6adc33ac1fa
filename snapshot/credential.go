package snapshot

import (
	security "istio.io/api/security/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// A credential is one thing by which a client's calls are known: where they
// come from, and what else must hold.
type credential struct {
	from []*security.Rule_From
	when []*security.Condition
}

// credentials say by what a client is known: its service account, in each
// namespace it calls from and each trust domain it runs in; without one, any
// account of these namespaces; and its CIDRs. Any of them will do. None means
// that the client can't be told from others, so it is allowed nothing.
//
// A client without an account that runs on no cluster known here is taken for
// one of this cluster's trust domain: a namesake of its namespace in another
// mesh must not come in.
func (p *plan) credentials(c *client, out *output) []credential {
	domains := trustDomains(p.set, c.clusters)
	switch {
	case len(domains) > 0:
	case c.account != "":
		out.problem(c.path, "it runs on no cluster, so its identity has no trust domain and it is allowed nothing by it: place app %s", c.spec.App)
	default:
		domains = []string{p.record.TrustDomain}
	}
	account := c.account
	if account == "" {
		account = "*" // Istio takes it for a pattern at the end of a principal
	}
	var principals []string
	var from []credential
	for _, td := range domains {
		if td == localTrustDomain && p.record.TrustDomain != localTrustDomain {
			from = append(from, c.byLocalTrustDomain())
			continue
		}
		for _, ns := range c.namespaces {
			principals = append(principals, td+"/ns/"+ns+"/sa/"+account)
		}
	}
	if len(principals) > 0 {
		from = append([]credential{{from: []*security.Rule_From{{Source: &security.Source{Principals: principals}}}}}, from...)
	}
	if len(c.spec.CIDRs) > 0 {
		if p.spec.TLSMode() != intent.TLSMutual && p.set.ExternalHost(p.inbound) != "" {
			out.problem(c.path, "calls from outside the mesh bear the address of the ingress gateway and, with management.tlsType %s, no identity: cidrs that hold that address let in all of them", p.spec.TLSMode())
		}
		from = append(from, p.byAddress(c))
	}
	return from
}

// localTrustDomain is the trust domain that Istio has unless told. As the first
// part of a principal it stands for the trust domain of the istiod that reads
// it, whatever that is.
const localTrustDomain = "cluster.local"

// byLocalTrustDomain is the credential of a client in trust domain
// cluster.local for a server in another. The principal in full would mean the
// server's own trust domain: it would keep the client out, and let in a
// namesake beside the server. Istio leaves the name alone in a pattern that is
// no whole identity, so the two ends of it are matched apart, and both must be.
func (c *client) byLocalTrustDomain() credential {
	source := &security.Source{}
	for _, ns := range c.namespaces {
		if c.account == "" {
			source.Namespaces = append(source.Namespaces, ns)
		} else {
			source.Principals = append(source.Principals, "*/ns/"+ns+"/sa/"+c.account)
		}
	}
	return credential{
		from: []*security.Rule_From{{Source: source}},
		when: []*security.Condition{{Key: "source.principal", Values: []string{localTrustDomain + "/*"}}},
	}
}

// byAddress is the credential of a client's CIDRs. They are compared with the
// address that the connection comes from (ipBlocks), not with X-Forwarded-For
// (remoteIpBlocks), which a caller could make up, and which TCP lacks.
//
// Behind a gateway that address is the gateway's, whoever calls through it. A
// CIDR that holds it must not let in all of them. What an east-west gateway
// passes on still has the server name by which it was passed on; an ingress
// gateway calls by its own identity, which is known by its namespace (calls
// without an identity have no namespace, and are let in).
func (p *plan) byAddress(c *client) credential {
	source := &security.Source{IpBlocks: sortedUnique(c.spec.CIDRs)}
	for _, g := range p.record.GatewaysOf(intent.Ingress) {
		source.NotNamespaces = append(source.NotNamespaces, g.Namespace)
	}
	source.NotNamespaces = sortedUnique(source.NotNamespaces)
	known := credential{from: []*security.Rule_From{{Source: source}}}
	if p.record.Gateway(intent.EastWest) == nil && gatewayIn(p.cluster.LastGateways, intent.EastWest) == nil {
		return known
	}
	names := []string{"*_." + p.host}
	for _, mate := range p.mates {
		names = append(names, "*_."+p.set.Host(mate))
	}
	known.when = []*security.Condition{{Key: "connection.sni", NotValues: sortedUnique(names)}}
	return known
}
