package intent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// conditionKeys are the condition keys of Istio that every release knows.
// Newer ones (source.serviceAccount, source.trustDomain) are left out: an
// istiod that does not know a key skips the rule, and so would let in what a
// DENY rule is to keep out.
var conditionKeys = []string{
	"request.headers[NAME]", "request.auth.principal", "request.auth.audiences", "request.auth.presenter", "request.auth.claims[NAME]",
	"source.ip", "remote.ip", "source.namespace", "source.principal", "destination.ip", "destination.port",
	"connection.sni", "experimental.envoy.filters.FILTER[KEY]",
}

// NeedsHTTP reports whether the condition is about a request, so that it can't
// be judged on a TCP port.
func (c *Condition) NeedsHTTP() bool { return strings.HasPrefix(c.Key, "request.") }

// NeedsHTTP reports whether the access point is limited to end users or by
// conditions on requests, which can't be judged on a TCP port.
func (a *AccessPointSpec) NeedsHTTP() bool {
	return len(a.Users) > 0 || slices.ContainsFunc(a.When, func(c Condition) bool { return c.NeedsHTTP() })
}

// checkConditionKey is stricter than Istio's validation, which lets pass what
// istiod then can't make a rule of, such as request.headersX[a].
func checkConditionKey(key string) string {
	if key == "" {
		return "must not be empty"
	}
	if !strings.HasSuffix(key, "]") && slices.Contains(conditionKeys, key) {
		return ""
	}
	if name, ok := strings.CutPrefix(key, "request.headers"); ok {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
		if key == "request.headers["+name+"]" && checkToken(strings.TrimPrefix(name, ":")) == "" {
			return ""
		}
	}
	if name, ok := strings.CutPrefix(key, "request.auth.claims"); ok && isBracketed(name) {
		return ""
	}
	if name, ok := strings.CutPrefix(key, "experimental.envoy.filters."); ok {
		filter, member, ok := strings.Cut(name, "[")
		if ok && filter != "" && isBracketed("["+member) && strings.Count(member, "[") == 0 {
			return ""
		}
	}
	return fmt.Sprintf("%q is none of %s", clip(key), strings.Join(conditionKeys, ", "))
}

// isBracketed reports whether s is one or more names in brackets: [a] or
// [a][b], which names a claim within a claim.
func isBracketed(s string) bool {
	inner, ok := strings.CutPrefix(s, "[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return false
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(inner, "]"), "][") {
		if name == "" || strings.ContainsAny(name, "[]") {
			return false
		}
	}
	return true
}

// checkClaimName is the name of a claim, or the names that lead to one within
// others, each in brackets: [realm_access][roles].
func checkClaimName(name string) string {
	switch {
	case name == "":
		return "a claim needs a name"
	case strings.ContainsAny(name, "[]") && !isBracketed(name):
		return fmt.Sprintf("%q must be a name without brackets, or each name in brackets as in [realm_access][roles]", clip(name))
	}
	return ""
}

// ClaimKey is the condition key for a claim, as [User] names it.
func ClaimKey(name string) string {
	if strings.HasPrefix(name, "[") {
		return "request.auth.claims" + name
	}
	return "request.auth.claims[" + name + "]"
}

// checkIdentity is an issuer or a subject. Istio reads a * at either end of one
// as a pattern, which would let in others than the one that is named.
func checkIdentity(s string) string {
	switch {
	case s == "":
		return "must not be empty"
	case strings.HasPrefix(s, "*") || strings.HasSuffix(s, "*"):
		return fmt.Sprintf("%q must not start or end with *: name it in full, and leave subjects out for every user of an issuer", clip(s))
	}
	return ""
}

// checkJWKS is a JSON Web Key Set of public keys. It is shown to whoever may
// read the intent, so it may hold no secret.
func checkJWKS(text string) string {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal([]byte(text), &set) != nil || len(set.Keys) == 0 {
		return "must be a JSON Web Key Set: an object whose keys hold at least one key"
	}
	for i, raw := range set.Keys {
		var key map[string]json.RawMessage
		if json.Unmarshal(raw, &key) != nil {
			return fmt.Sprintf("key %d is no JSON Web Key: an object is wanted", i)
		}
		// RFC 7518, section 6: the members of private and symmetric keys.
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := key[member]; ok {
				return fmt.Sprintf("key %d has member %q, which is secret: give public keys alone", i, member)
			}
		}
	}
	return ""
}

// accepts reports whether the service takes tokens of an issuer.
func (s *InboundSpec) accepts(issuer string) bool {
	return slices.ContainsFunc(s.JWT, func(j JWTRule) bool { return j.Issuer == issuer })
}

// checkUsers holds the rule that the end users of an access point come with
// tokens that the service accepts. Others could never be known, so an ALLOW
// would let nobody in and a DENY keep nobody out.
func (d *draft) checkUsers(o *Object, spec *AccessPointSpec) error {
	inbound := d.next.Get(o.Path.Inbound())
	var v violations
	for i, u := range spec.Users {
		if !inbound.Spec.(*InboundSpec).accepts(u.Issuer) {
			v.in("spec").in("users").at(i).in("issuer").add("%q is no issuer in the jwt of %s: add it there first", clip(u.Issuer), inbound.Path)
		}
	}
	return conflict(&v, "the service does not accept these users' tokens")
}

// checkIssuers holds the same rule when an inbound's issuers change.
func (d *draft) checkIssuers(o *Object, spec *InboundSpec) error {
	var v violations
	for ap := range d.next.List(KindAccessPoint, o.Path) {
		for _, u := range ap.Spec.(*AccessPointSpec).Users {
			if !spec.accepts(u.Issuer) {
				v.in("spec").in("jwt").add("access point %s names users of issuer %q: keep the issuer, or take them out there first", ap.Path, clip(u.Issuer))
			}
		}
	}
	return conflict(&v, "an access point needs an issuer's tokens")
}
