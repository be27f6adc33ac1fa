package intent

// What the language has words for but no generator yet. A write that uses one
// is refused, so that nobody believes it took effect; a generator's arrival
// deletes its line here.

const notYetText = "is not supported by this release: nothing would be generated for it"

func (s *InboundSpec) notYet(v *violations) {
	for _, f := range []struct {
		field string
		used  bool
	}{
		{"headless", s.Headless},
		{"jwt", len(s.JWT) > 0},
	} {
		if f.used {
			v.in(f.field).add(notYetText)
		}
	}
	if s.ServiceMesh == "none" {
		v.in("serviceMesh").add("%q %s", "none", notYetText)
	}
	if s.Management != nil && s.Management.SidecarProxy == "no" {
		v.in("management").in("sidecarProxy").add("%q %s", "no", notYetText)
	}
	if s.Protocol == "UDP" {
		v.in("protocol").add("%q %s", "UDP", notYetText)
	}
}

func (a *AccessPointSpec) notYet(v *violations) {
	if len(a.Users) > 0 {
		v.in("users").add(notYetText)
	}
	if len(a.When) > 0 {
		v.in("when").add(notYetText)
	}
}

func (o *OutboundSpec) notYet(v *violations)    { v.add("an outbound intent " + notYetText) }
func (r *RoutingRuleSpec) notYet(v *violations) { v.add("a routing rule " + notYetText) }
