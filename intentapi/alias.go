package intentapi

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// fieldAliases are the spellings that EMCO's clients use for members of a
// spec, each with ours.
var fieldAliases = map[intent.Kind]map[string]string{
	intent.KindInbound: {
		"application": "app", "appName": "app", "servicename": "serviceName",
		"externalname": "externalName", "external-support": "externalSupport",
	},
	intent.KindClient:   {"application": "app", "appName": "app", "servicename": "serviceName"},
	intent.KindOutbound: {"application": "app", "appName": "app"},
}

// spelling remembers what a client called the members that were renamed, so
// that an error speaks of them by the client's names.
type spelling map[string]string // JSON pointer: ours → the client's

// unalias rewrites the accepted aliases in the body of an object of a kind, in
// place. Both spellings of one member are a violation. A body of another shape
// is left as it is, for the schema to refuse.
func unalias(k intent.Kind, body any) (spelling, []intent.Violation) {
	object, _ := body.(map[string]any)
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		return nil, nil
	}
	names := spelling{}
	var bad []intent.Violation
	for alias, ours := range fieldAliases[k] {
		bad = append(bad, rename(spec, alias, ours, "/spec/", names)...)
	}
	if placements, ok := spec["placements"].([]any); ok && k == intent.KindGroup {
		for i, p := range placements {
			if p, ok := p.(map[string]any); ok {
				at := "/spec/placements/" + strconv.Itoa(i) + "/"
				bad = append(bad, rename(p, "application", "app", at, names)...)
				bad = append(bad, rename(p, "appName", "app", at, names)...)
			}
		}
	}
	if k == intent.KindInbound {
		unflag(spec["management"], "sidecarProxy", "yes", "no")
		unflag(spec["istio"], "sidecar-proxy", "yes", "no")
		unflag(spec["istio"], "mutualTLS", intent.TLSMutual, intent.TLSNone)
	}
	if k == intent.KindInbound || k == intent.KindOutbound {
		numericPort(spec)
		if ports, ok := spec["ports"].([]any); ok {
			for _, p := range ports {
				if p, ok := p.(map[string]any); ok {
					numericPort(p)
				}
			}
		}
	}
	return names, bad
}

func rename(object map[string]any, alias, ours, at string, names spelling) []intent.Violation {
	value, ok := object[alias]
	if !ok {
		return nil
	}
	delete(object, alias)
	if _, both := object[ours]; both {
		return []intent.Violation{{Field: at + alias, Message: "means the same as " + ours + ": give one of them"}}
	}
	object[ours] = value
	names[at+ours] = at + alias
	return nil
}

// numericPort turns a port that is a string of digits into a number.
func numericPort(object map[string]any) {
	text, ok := object["port"].(string)
	if !ok || text == "" || len(text) > 9 || strings.Trim(text, "0123456789") != "" {
		return
	}
	n, _ := strconv.Atoi(text) // nothing but digits
	object["port"] = json.Number(strconv.Itoa(n))
}

// unflag turns a member that is true or false into a text: a client that reads
// YAML by its older rules makes a boolean of yes and no.
func unflag(object any, name, yes, no string) {
	members, _ := object.(map[string]any)
	switch members[name] {
	case true:
		members[name] = yes
	case false:
		members[name] = no
	}
}

// restore puts the client's own names into violations.
func (s spelling) restore(list []intent.Violation) {
	for i, v := range list {
		for ours, theirs := range s {
			if rest, ok := strings.CutPrefix(v.Field, ours); ok && (rest == "" || rest[0] == '/') {
				list[i].Field = theirs + rest
			}
		}
	}
}
