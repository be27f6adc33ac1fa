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
		{"externalSupport", s.ExternalSupport},
		{"externalName", s.ExternalName != ""},
		{"external", s.External != nil},
	} {
		if f.used {
			v.in(f.field).add(notYetText)
		}
	}
}
