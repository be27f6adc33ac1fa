package snapshot

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

const (
	// namePrefix marks what is generated. A raw Istio resource may not begin
	// with it, so that none can be named over a generated object.
	namePrefix = intent.KeptPrefix

	maxObjectName = 63
	hashLength    = 16 // base32: 80 bits, out of reach of a name crafted to collide
)

// A role tells the objects of one kind apart that one intent makes in one
// namespace. It is part of their names.
type role string

// The roles.
const (
	roleMain    role = ""        // the one object of its kind
	roleService role = "service" // for the Kubernetes name of the service, where it runs
	roleOldName role = "oldname" // for the Kubernetes name, where it does not run
	roleGateway role = "gateway" // for the east-west gateway
	roleAllow   role = "allow"
	roleDeny    role = "deny"
	roleIPv4    role = "ipv4"
	roleIPv6    role = "ipv6"
	roleEgress  role = "egress"   // for the egress gateway
	roleChosen  role = "selected" // for the pods that a label selects

	roleExternal role = "external" // for clients outside the mesh
	roleMirror   role = "mirror"   // for copies of their calls
)

// externalRole is for what stands at one of several ingress gateways.
func externalRole(g *intent.Gateway) role { return roleExternal + role("-"+g.Name) }

// objectName is the name of an object that an intent makes: readable words of
// project, group and intents, then the role, then a hash of role and path,
// which alone makes it unique. It is a DNS-1123 label of at most 63 characters.
func objectName(p intent.Path, r role) string {
	words := []string{p.Segment(2), p.Segment(7)} // project, group
	if in := p.Inbound(); in != "" {
		words = append(words, in.Name())
	}
	if p.Inbound() != p && p.Group() != p {
		words = append(words, p.Name())
	}
	if r != roleMain {
		words = append(words, string(r))
	}
	room := maxObjectName - len(namePrefix) - len("-") - hashLength
	return namePrefix + readable(words, room) + "-" + nameHash(p, r)
}

// readable joins words to at most room characters. If they are too long, each
// is cut to an equal share.
func readable(words []string, room int) string {
	for i, w := range words {
		words[i] = dnsSafe(w)
	}
	joined := strings.Join(words, "-")
	if len(joined) <= room {
		return joined
	}
	share := (room - len(words) + 1) / len(words)
	for i, w := range words {
		words[i] = strings.TrimRight(w[:min(len(w), share)], "-")
	}
	return strings.Join(words, "-")
}

// dnsSafe is a word in the letters of a DNS-1123 label.
func dnsSafe(word string) string {
	safe := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, word)
	return strings.Trim(safe, "-")
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func nameHash(p intent.Path, r role) string {
	sum := sha256.Sum256([]byte(string(r) + "\x00" + string(p)))
	return lowerBase32.EncodeToString(sum[:])[:hashLength]
}
