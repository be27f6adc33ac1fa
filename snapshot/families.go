package snapshot

import (
	"net/netip"
	"slices"

	"github.com/meshwright/meshwright/intent"
)

// families are the IP families of a cluster. None is set when nothing shows
// them.
type families struct {
	v4, v6 bool
	stated bool // by the record itself, not shown by its gateways' addresses
}

// familiesOf finds a cluster's families: those that its record states, else
// those of its gateways' addresses, as they are or last were.
func familiesOf(cluster *intent.Object) families {
	spec := cluster.Spec.(*intent.ClusterSpec)
	if len(spec.IPFamilies) > 0 {
		return families{
			v4: slices.Contains(spec.IPFamilies, intent.IPv4), v6: slices.Contains(spec.IPFamilies, intent.IPv6), stated: true,
		}
	}
	f := shownBy(spec.Gateways)
	if !f.known() {
		f = shownBy(cluster.LastGateways)
	}
	return f
}

func shownBy(gateways []intent.Gateway) families {
	var f families
	for _, g := range gateways {
		for _, a := range g.Addresses {
			if addr, err := netip.ParseAddr(a); err == nil {
				f.v4, f.v6 = f.v4 || isIPv4(addr), f.v6 || !isIPv4(addr)
			}
		}
	}
	return f
}

func isIPv4(addr netip.Addr) bool { return addr.Unmap().Is4() }

func (f families) known() bool { return f.v4 || f.v6 }

// has reports whether an address can be dialled; IPv4's can where nothing is
// known.
func (f families) has(addr netip.Addr) bool {
	if isIPv4(addr) {
		return f.v4 || !f.known()
	}
	return f.v6
}

// virtualAddresses are those of the host on this cluster: of each family that
// its proxies capture.
//
// istiod makes a service of its own of each address of a ServiceEntry, so that
// proxies listen for each and their DNS answers with all. (The host then has
// each endpoint twice, all of them alike, so shares stay what they are.) But a proxy of a
// dual-stack pod captures IPv4 alone, unless dual stack is switched on in its
// Istio (ISTIO_DUAL_STACK, off by default): an IPv6 address would lead calls
// past it, nowhere. So both are given only where the record states both
// families; where the gateways' addresses merely show both, IPv4 it is.
func (p *plan) virtualAddresses() []string {
	var out []string
	v6 := p.families.v6 && (p.families.stated || !p.families.v4)
	if p.vip.V4.IsValid() && (p.families.v4 || !v6) {
		out = append(out, p.vip.V4.String())
	}
	if p.vip.V6.IsValid() && v6 {
		out = append(out, p.vip.V6.String())
	}
	return out
}

// reachable lists the addresses of another cluster's gateway that this cluster
// can dial, in order, each once. A host name is always one of them: DNS knows.
// Where none is left, the record has the last word, not its gateways: pods may
// have families that those don't show.
func (p *plan) reachable(path intent.Path, g *intent.Gateway, out *output) []string {
	addresses := slices.Compact(slices.Sorted(slices.Values(g.Addresses)))
	var kept []string
	for _, a := range addresses {
		if addr, err := netip.ParseAddr(a); err != nil || p.families.has(addr) {
			kept = append(kept, a)
		}
	}
	if len(kept) > 0 {
		return kept
	}
	theirs, ours := "IPv6", "IPv4"
	if p.families.v6 {
		theirs, ours = ours, theirs
	}
	if !p.families.stated {
		out.problem(p.inbound.Path, "cluster %s's gateway has %s addresses only, and nothing shows that cluster %s has %s: state its ipFamilies", path.ClusterName(), theirs, p.cluster.Path.ClusterName(), theirs)
		return addresses
	}
	out.problem(p.inbound.Path, "cluster %s's gateway has %s addresses only and cluster %s has %s only, so its instances can't be reached from here: give its gateway an %s address", path.ClusterName(), theirs, p.cluster.Path.ClusterName(), ours, ours)
	return nil
}
