package snapshot

import (
	"fmt"
	"net/netip"

	"github.com/meshwright/meshwright/intent"
)

// meshlessWarnings says what is legal but unwise about an inbound without a
// proxy beside it: what it asks for in vain, and whom it lets in.
func meshlessWarnings(set *intent.Set, inbound *intent.Object) []Problem {
	spec := inbound.Spec.(*intent.InboundSpec)
	if spec.Proxied() {
		return nil
	}
	var out []Problem
	warn := func(p intent.Path, format string, args ...any) {
		out = append(out, Problem{Intent: p, Message: fmt.Sprintf(format, args...)})
	}
	if !spec.InMesh() {
		if spec.TrafficPolicy != nil {
			warn(inbound.Path, "trafficPolicy means nothing without the mesh's proxies")
		}
		if spec.GlobalName != "" {
			warn(inbound.Path, "globalName means nothing without a mesh: clients call it as %s.%s", spec.ServiceName, set.Namespace(inbound.Path))
		}
		if spec.Management != nil && spec.Management.SidecarProxy == "yes" {
			warn(inbound.Path, "management.sidecarProxy means nothing without a mesh")
		}
	}
	for client := range set.List(intent.KindClient, inbound.Path) {
		for _, cidr := range client.Spec.(*intent.ClientSpec).CIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil && prefix.Bits() == 0 {
				warn(client.Path, "%s lets in every address: nothing beside the service knows who calls", cidr)
			}
		}
	}
	for o := range set.List(intent.KindAccessPoint, inbound.Path) {
		ap := o.Spec.(*intent.AccessPointSpec)
		methods, paths := httpLimits(ap)
		if len(methods)+len(paths)+len(ap.Users)+len(ap.When) > 0 {
			warn(o.Path, "methods, paths, users and when mean nothing without a proxy beside the service: only ports are held")
		}
	}
	return out
}
