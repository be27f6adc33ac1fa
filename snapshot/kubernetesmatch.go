package snapshot

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// matches are the matches of a route, one for each method that it takes.
func (t *translation) matches(blocks []*networking.HTTPMatchRequest) []gatewayv1.HTTPRouteMatch {
	var out []gatewayv1.HTTPRouteMatch
	for _, m := range blocks {
		t.only(m, "uri", "headers", "query_params", "method")
		match := gatewayv1.HTTPRouteMatch{Path: t.path(m.Uri)}
		for _, c := range t.conditions(m.Headers, 4096) {
			match.Headers = append(match.Headers, gatewayv1.HTTPHeaderMatch{Type: new(gatewayv1.HeaderMatchType(c.match)), Name: c.name, Value: c.value})
		}
		for _, c := range t.conditions(m.QueryParams, 1024) {
			match.QueryParams = append(match.QueryParams, gatewayv1.HTTPQueryParamMatch{Type: new(gatewayv1.QueryParamMatchType(c.match)), Name: c.name, Value: c.value})
		}
		for _, match.Method = range t.methods(m.Method) {
			out = append(out, match)
		}
	}
	t.needs(len(out) <= maxRuleMatches)
	return out
}

// path is an exact path, or the prefix that all paths have. Any other prefix is
// one of the text to Istio, and one of the path's elements to the Gateway API;
// and a regular expression comes after the prefix of all, so that no call would
// reach it.
func (t *translation) path(m *networking.StringMatch) *gatewayv1.HTTPPathMatch {
	if m == nil || m.GetPrefix() == "/" {
		return &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/")}
	}
	t.needs(isRoutePath(m.GetExact()))
	return &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchExact), Value: new(m.GetExact())}
}

var routePathRE = regexp.MustCompile(`^/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$`)

// isRoutePath reports whether the Gateway API takes a path to match, or to
// write in the place of another.
func isRoutePath(s string) bool {
	unfit := func(part string) bool { return strings.Contains(s+"/", part) }
	return len(s) <= 1024 && routePathRE.MatchString(s) && !strings.Contains(s, "//") &&
		!slices.ContainsFunc([]string{"/./", "/../", "%2f", "%2F"}, unfit)
}

// A condition is what a header or query parameter must be.
type condition struct {
	name  gatewayv1.HTTPHeaderName
	match string // Exact or RegularExpression
	value string
}

var (
	headerNameRE = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$")
	// headerValueRE is what the API promises to take: printable ASCII, with
	// single spaces between.
	headerValueRE = regexp.MustCompile(`^[!-~]+([\t ]?[!-~]+)*$`)
)

func (t *translation) conditions(of map[string]*networking.StringMatch, maxValue int) []condition {
	var out []condition
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		c := condition{gatewayv1.HTTPHeaderName(name), "Exact", of[name].GetExact()}
		if regex := of[name].GetRegex(); regex != "" {
			c.match, c.value = "RegularExpression", regex
		}
		same := strings.ToLower(name) // the API tells no letters' cases apart
		t.needs(headerNameRE.MatchString(name) && !seen[same] && len(c.value) <= maxValue && headerValueRE.MatchString(c.value))
		seen[same] = true
		out = append(out, c)
	}
	t.needs(len(out) <= maxConditions)
	return out
}

var routeMethods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// methods are those that a match takes; nil is any. Several come as a regular
// expression, see [methodMatch].
func (t *translation) methods(m *networking.StringMatch) []*gatewayv1.HTTPMethod {
	if m == nil {
		return []*gatewayv1.HTTPMethod{nil}
	}
	var out []*gatewayv1.HTTPMethod
	for _, method := range strings.Split(cmp.Or(m.GetExact(), m.GetRegex()), "|") {
		t.needs(slices.Contains(routeMethods, method))
		out = append(out, new(gatewayv1.HTTPMethod(method)))
	}
	return out
}

// inOrder reports whether the API's own order of matches, the most specific
// first, leaves every call to the rule that comes first for it in the list.
// Rules are given by their matches; without any, one matches every call.
func inOrder(rules [][]gatewayv1.HTTPRouteMatch) bool {
	for i, before := range rules {
		for _, after := range rules[i+1:] {
			for _, a := range orAny(before) {
				for _, b := range orAny(after) {
					if slices.Compare(precedence(a), precedence(b)) < 0 && !apart(a, b) {
						return false
					}
				}
			}
		}
	}
	return true
}

func orAny(matches []gatewayv1.HTTPRouteMatch) []gatewayv1.HTTPRouteMatch {
	if len(matches) == 0 {
		return []gatewayv1.HTTPRouteMatch{{}}
	}
	return matches
}

// precedence ranks matches by what the API compares of them, the most telling
// first. Their paths are exact or any: of two different exact ones, no call has
// both.
func precedence(m gatewayv1.HTTPRouteMatch) []int {
	rank := []int{0, 0, len(m.Headers), len(m.QueryParams)}
	if exactPath(m) != "" {
		rank[0] = 1
	}
	if m.Method != nil {
		rank[1] = 1
	}
	return rank
}

func exactPath(m gatewayv1.HTTPRouteMatch) string {
	if m.Path == nil || *m.Path.Type != gatewayv1.PathMatchExact {
		return ""
	}
	return *m.Path.Value
}

// apart reports whether surely no call meets two matches.
func apart(a, b gatewayv1.HTTPRouteMatch) bool {
	if p, q := exactPath(a), exactPath(b); p != "" && q != "" && p != q {
		return true
	}
	if a.Method != nil && b.Method != nil && *a.Method != *b.Method {
		return true
	}
	exact := map[string]string{}
	for _, h := range a.Headers {
		if *h.Type == gatewayv1.HeaderMatchExact {
			exact[strings.ToLower(string(h.Name))] = h.Value
		}
	}
	return slices.ContainsFunc(b.Headers, func(h gatewayv1.HTTPHeaderMatch) bool {
		value, ok := exact[strings.ToLower(string(h.Name))]
		return ok && *h.Type == gatewayv1.HeaderMatchExact && value != h.Value
	})
}
