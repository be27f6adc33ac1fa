package proxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	templatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// anyOf and allOf read lists of conditions. All of them are looked at, so that
// one that is not understood is always an error.
func anyOf[T any](list []T, match func(T) (bool, error)) (bool, error) {
	found := false
	for _, item := range list {
		ok, err := match(item)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}

func allOf[T any](list []T, match func(T) (bool, error)) (bool, error) {
	missing, err := anyOf(list, func(item T) (bool, error) {
		ok, err := match(item)
		return !ok, err
	})
	return !missing, err
}

func not(ok bool, err error) (bool, error) { return !ok, err }

// permission is what a call does.
func (g *gate) permission(p *rbacv3.Permission) (bool, error) {
	switch rule := p.GetRule().(type) {
	case *rbacv3.Permission_Any:
		return rule.Any, nil
	case *rbacv3.Permission_AndRules:
		return allOf(rule.AndRules.GetRules(), g.permission)
	case *rbacv3.Permission_OrRules:
		return anyOf(rule.OrRules.GetRules(), g.permission)
	case *rbacv3.Permission_NotRule:
		return not(g.permission(rule.NotRule))
	case *rbacv3.Permission_DestinationPort:
		return int(rule.DestinationPort) == g.call.Port, nil
	case *rbacv3.Permission_RequestedServerName:
		return matches(rule.RequestedServerName, g.call.SNI)
	case *rbacv3.Permission_Header:
		return g.header(rule.Header)
	case *rbacv3.Permission_UrlPath:
		return matches(rule.UrlPath.GetPath(), g.call.Path)
	case *rbacv3.Permission_UriTemplate:
		template, err := decoded[templatev3.UriTemplateMatchConfig](rule.UriTemplate.GetTypedConfig())
		return fitsTemplate(template.GetPathTemplate(), g.call.Path), err
	}
	return false, fmt.Errorf("permission %s is not understood", p)
}

// principal is who calls.
func (g *gate) principal(p *rbacv3.Principal) (bool, error) {
	switch id := p.GetIdentifier().(type) {
	case *rbacv3.Principal_Any:
		return id.Any, nil
	case *rbacv3.Principal_AndIds:
		return allOf(id.AndIds.GetIds(), g.principal)
	case *rbacv3.Principal_OrIds:
		return anyOf(id.OrIds.GetIds(), g.principal)
	case *rbacv3.Principal_NotId:
		return not(g.principal(id.NotId))
	case *rbacv3.Principal_Authenticated_:
		ok, err := matches(id.Authenticated.GetPrincipalName(), "spiffe://"+g.call.From)
		return ok && g.call.From != "", err
	case *rbacv3.Principal_DirectRemoteIp:
		return within(id.DirectRemoteIp, g.ip())
	case *rbacv3.Principal_RemoteIp:
		return within(id.RemoteIp, cmp.Or(g.call.Forwarded, g.ip()))
	case *rbacv3.Principal_Header:
		return g.header(id.Header)
	case *rbacv3.Principal_Metadata:
		return g.metadata(id.Metadata)
	}
	return false, fmt.Errorf("principal %s is not understood", p)
}

func (g *gate) ip() string { return cmp.Or(g.call.IP, "192.0.2.1") }

func within(cidr *corev3.CidrRange, ip string) (bool, error) {
	address, err := netip.ParseAddr(cidr.GetAddressPrefix())
	if err != nil {
		return false, err
	}
	from, err := netip.ParseAddr(ip)
	if err != nil {
		return false, err
	}
	return netip.PrefixFrom(address, int(cidr.GetPrefixLen().GetValue())).Contains(from), nil
}

func (g *gate) header(h *routev3.HeaderMatcher) (bool, error) {
	if !g.call.http() {
		return false, fmt.Errorf("a rule on a TCP port asks for the header %s", h.GetName())
	}
	value, there := g.call.Headers[strings.ToLower(h.GetName())]
	if h.GetName() == ":method" {
		value, there = g.call.Method, true
	}
	switch spec := h.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_PresentMatch:
		return there == spec.PresentMatch, nil
	case *routev3.HeaderMatcher_StringMatch:
		ok, err := matches(spec.StringMatch, value)
		return there && ok, err
	}
	return false, fmt.Errorf("header %s is not understood", h)
}

// metadata is what a filter found out about the call; here, a token's claims.
func (g *gate) metadata(m *matcherv3.MetadataMatcher) (bool, error) {
	if m.GetFilter() != jwtFilter {
		return false, fmt.Errorf("metadata of %s is not understood", m.GetFilter())
	}
	if !g.call.http() {
		return false, fmt.Errorf("a rule on a TCP port asks for a token")
	}
	var value any = g.claims
	for _, segment := range m.GetPath() {
		members, _ := value.(map[string]any)
		value = members[segment.GetKey()]
	}
	ok, err := matchesValue(m.GetValue(), value)
	return ok != m.GetInvert(), err
}

func matchesValue(m *matcherv3.ValueMatcher, value any) (bool, error) {
	switch pattern := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_OrMatch:
		return anyOf(pattern.OrMatch.GetValueMatchers(), func(one *matcherv3.ValueMatcher) (bool, error) { return matchesValue(one, value) })
	case *matcherv3.ValueMatcher_StringMatch:
		text, isText := value.(string)
		ok, err := matches(pattern.StringMatch, text)
		return isText && ok, err
	case *matcherv3.ValueMatcher_ListMatch:
		list, _ := value.([]string)
		return anyOf(list, func(one string) (bool, error) { return matchesValue(pattern.ListMatch.GetOneOf(), one) })
	}
	return false, fmt.Errorf("value %s is not understood", m)
}

func matches(m *matcherv3.StringMatcher, text string) (bool, error) {
	fold := func(s string) string { return s }
	if m.GetIgnoreCase() {
		fold = strings.ToLower
	}
	text = fold(text)
	switch pattern := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return text == fold(pattern.Exact), nil
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(text, fold(pattern.Prefix)), nil
	case *matcherv3.StringMatcher_Suffix:
		return strings.HasSuffix(text, fold(pattern.Suffix)), nil
	case *matcherv3.StringMatcher_SafeRegex: // of the whole text
		re, err := regexp.Compile(`^(?:` + pattern.SafeRegex.GetRegex() + `)$`)
		return err == nil && re.MatchString(text), err
	}
	return false, fmt.Errorf("text %s is not understood", m)
}

// fitsTemplate is Envoy's URI template: * is one segment, ** any number.
func fitsTemplate(template, path string) bool {
	var re strings.Builder
	for segment := range strings.SplitSeq(strings.TrimPrefix(template, "/"), "/") {
		switch segment {
		case "*":
			re.WriteString(`/[^/]+`)
		case "**":
			re.WriteString(`/.*`)
		default:
			re.WriteString("/" + regexp.QuoteMeta(segment))
		}
	}
	return regexp.MustCompile("^" + re.String() + "$").MatchString(path)
}
