package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	networking "istio.io/api/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/meshwright/meshwright/intent"
)

// translation says the routes of an ingress gateway in the Gateway API's words:
// those of its standard channel, as Istio reads them. What has no such words,
// or ones that mean another thing in some case, makes it lossy, which is to say
// of no use: calls would be led otherwise than inside the mesh.
type translation struct {
	install *intent.IstioInstall    // that reads it
	service *networking.Destination // to which the routes lead

	namespace string // of the service
	domain    string // what names of services there end in: ".shop.svc.cluster.local"

	at    int  // the gateway's port
	ended bool // where it ends TLS

	lossy    bool
	mirrored []string // the services that calls are mirrored to
}

// only marks what is set of a message beyond the fields that are translated.
func (t *translation) only(m proto.Message, fields ...protoreflect.Name) {
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		t.needs(slices.Contains(fields, f.Name()))
		return true
	})
}

// needs makes the translation lossy where a condition does not hold.
func (t *translation) needs(ok bool) { t.lossy = t.lossy || !ok }

// since is for what Istio, or the Gateway API's definitions that came with it,
// know from the release 1.minor on.
func (t *translation) since(minor int) { t.needs(isAtLeast(t.install, minor)) }

// What the definitions of all releases of the API take; later ones take more.
const (
	maxRouteRules  = 16
	maxRuleMatches = 8
	maxConditions  = 16
)

// httpRules are routes as the rules of an HTTPRoute.
func (t *translation) httpRules(routes []*networking.HTTPRoute) []gatewayv1.HTTPRouteRule {
	var rules []gatewayv1.HTTPRouteRule
	var matches [][]gatewayv1.HTTPRouteMatch
	for _, r := range routes {
		t.only(r, "name", "match", "route", "redirect", "rewrite", "timeout", "headers", "mirror", "mirror_percentage")
		rule := gatewayv1.HTTPRouteRule{Matches: t.matches(r.Match), Filters: t.httpFilters(r)}
		if r.Redirect == nil {
			rule.BackendRefs = []gatewayv1.HTTPBackendRef{{BackendRef: t.backend(r.Route)}}
		}
		if r.Timeout != nil {
			t.since(24)
			rule.Timeouts = &gatewayv1.HTTPRouteTimeouts{Request: new(kubernetesDuration(r.Timeout.AsDuration()))}
		}
		rules, matches = append(rules, rule), append(matches, rule.Matches)
	}
	t.needs(len(rules) <= maxRouteRules && inOrder(matches))
	return rules
}

// grpcRules are routes as the rules of a GRPCRoute. Istio drops the whole of
// one that mirrors to a service which is not there, so none does.
func (t *translation) grpcRules(routes []*networking.HTTPRoute) []gatewayv1.GRPCRouteRule {
	var rules []gatewayv1.GRPCRouteRule
	var matches [][]gatewayv1.HTTPRouteMatch
	for _, r := range routes {
		t.only(r, "name", "match", "route", "headers")
		rule := gatewayv1.GRPCRouteRule{BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: t.backend(r.Route)}}}
		matches = append(matches, t.matches(r.Match))
		for _, m := range matches[len(matches)-1] {
			rule.Matches = append(rule.Matches, t.grpcMatch(m))
		}
		request, response := t.headerFilters(r.Headers)
		if request != nil {
			rule.Filters = append(rule.Filters, gatewayv1.GRPCRouteFilter{Type: gatewayv1.GRPCRouteFilterRequestHeaderModifier, RequestHeaderModifier: request})
		}
		if response != nil {
			rule.Filters = append(rule.Filters, gatewayv1.GRPCRouteFilter{Type: gatewayv1.GRPCRouteFilterResponseHeaderModifier, ResponseHeaderModifier: response})
		}
		rules = append(rules, rule)
	}
	t.needs(len(rules) <= maxRouteRules && inOrder(matches))
	return rules
}

var grpcPathRE = regexp.MustCompile(`^/([A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*)/([A-Za-z_][A-Za-z_0-9]*)$`)

// grpcMatch is a match of calls whose path is /service/method.
func (t *translation) grpcMatch(m gatewayv1.HTTPRouteMatch) gatewayv1.GRPCRouteMatch {
	t.needs(m.Method == nil && len(m.QueryParams) == 0)
	var out gatewayv1.GRPCRouteMatch
	if *m.Path.Type == gatewayv1.PathMatchExact {
		parts := grpcPathRE.FindStringSubmatch(*m.Path.Value)
		if parts == nil {
			t.lossy = true
			return out
		}
		out.Method = &gatewayv1.GRPCMethodMatch{Type: new(gatewayv1.GRPCMethodMatchExact), Service: &parts[1], Method: &parts[2]}
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, gatewayv1.GRPCHeaderMatch{Type: new(gatewayv1.GRPCHeaderMatchType(*h.Type)), Name: gatewayv1.GRPCHeaderName(h.Name), Value: h.Value})
	}
	return out
}

// backend is where all of a route's calls go: to the service, whole. A subset
// has no words: it is told apart by labels of the service's pods.
func (t *translation) backend(to []*networking.HTTPRouteDestination) gatewayv1.BackendRef {
	if len(to) != 1 || !proto.Equal(to[0].Destination, t.service) {
		t.lossy = true
		return gatewayv1.BackendRef{}
	}
	t.only(to[0], "destination")
	return gatewayv1.BackendRef{BackendObjectReference: t.reference(to[0].Destination)}
}

// backends are where all connections of a port go.
func (t *translation) backends(to []*networking.RouteDestination) []gatewayv1.BackendRef {
	if len(to) != 1 || !proto.Equal(to[0].Destination, t.service) {
		t.lossy = true
		return nil
	}
	t.only(to[0], "destination")
	return []gatewayv1.BackendRef{{BackendObjectReference: t.reference(to[0].Destination)}}
}

// reference is a Kubernetes service: the inbound's own, or another one of its
// group.
func (t *translation) reference(to *networking.Destination) gatewayv1.BackendObjectReference {
	t.only(to, "host", "port")
	name, ok := strings.CutSuffix(to.Host, t.domain)
	t.needs(ok)
	return gatewayv1.BackendObjectReference{
		Name: gatewayv1.ObjectName(name), Namespace: new(gatewayv1.Namespace(t.namespace)),
		Port: new(gatewayv1.PortNumber(to.Port.GetNumber())),
	}
}

// httpFilters are what a route does to its calls.
func (t *translation) httpFilters(r *networking.HTTPRoute) []gatewayv1.HTTPRouteFilter {
	var out []gatewayv1.HTTPRouteFilter
	request, response := t.headerFilters(r.Headers)
	if request != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: request})
	}
	if response != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterResponseHeaderModifier, ResponseHeaderModifier: response})
	}
	if r.Redirect != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: t.redirect(r.Redirect)})
	}
	if r.Rewrite != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: t.rewrite(r.Rewrite, r.Match)})
	}
	if r.Mirror != nil {
		out = append(out, gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: t.mirror(r.Mirror, r.MirrorPercentage)})
	}
	return out
}

// redirect is a redirection. Without a scheme the API puts the gateway's port
// into it, and Istio the one that the call asked for: they are sure to be the
// same, and then unsaid, only where it is the scheme's own.
func (t *translation) redirect(d *networking.HTTPRedirect) *gatewayv1.HTTPRequestRedirectFilter {
	t.only(d, "uri", "authority", "scheme", "redirect_code")
	out := &gatewayv1.HTTPRequestRedirectFilter{StatusCode: new(cmp.Or(int(d.RedirectCode), 301)), Hostname: t.hostname(d.Authority), Path: t.fullPath(d.Uri)}
	if *out.StatusCode > 302 {
		t.since(30)
	}
	if d.Scheme != "" {
		out.Scheme = new(d.Scheme)
	} else {
		t.needs(t.at == 80 && !t.ended || t.at == 443 && t.ended)
	}
	return out
}

// rewrite changes what a call asks for. Istio puts the path in the place of
// what was matched, which is the whole of an exact one.
func (t *translation) rewrite(r *networking.HTTPRewrite, blocks []*networking.HTTPMatchRequest) *gatewayv1.HTTPURLRewriteFilter {
	t.only(r, "uri", "authority")
	isPart := func(m *networking.HTTPMatchRequest) bool { return m.Uri.GetExact() == "" }
	t.needs(r.Uri == "" || len(blocks) > 0 && !slices.ContainsFunc(blocks, isPart))
	return &gatewayv1.HTTPURLRewriteFilter{Hostname: t.hostname(r.Authority), Path: t.fullPath(r.Uri)}
}

func (t *translation) fullPath(path string) *gatewayv1.HTTPPathModifier {
	if path == "" {
		return nil
	}
	t.needs(isRoutePath(path))
	return &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: &path}
}

var preciseHostRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// hostname is a host without a port, which the API has no room for, and no
// address.
func (t *translation) hostname(authority string) *gatewayv1.PreciseHostname {
	if authority == "" {
		return nil
	}
	_, err := netip.ParseAddr(authority)
	t.needs(err != nil && len(authority) <= 253 && preciseHostRE.MatchString(authority))
	return new(gatewayv1.PreciseHostname(authority))
}

// mirror is where copies of calls go. Istio drops the copies alone, and not the
// route, when the service is not there, from 1.26 on.
func (t *translation) mirror(to *networking.Destination, percentage *networking.Percent) *gatewayv1.HTTPRequestMirrorFilter {
	t.since(26)
	out := &gatewayv1.HTTPRequestMirrorFilter{BackendRef: t.reference(to)}
	if percentage != nil {
		whole := math.Trunc(percentage.Value)
		t.needs(whole == percentage.Value)
		out.Percent = new(int32(whole))
	}
	t.mirrored = append(t.mirrored, string(out.BackendRef.Name))
	return out
}

func (t *translation) headerFilters(h *networking.Headers) (request, response *gatewayv1.HTTPHeaderFilter) {
	if h == nil {
		return nil, nil
	}
	t.only(h, "request", "response")
	return t.headerFilter(h.Request), t.headerFilter(h.Response)
}

// headerFilter changes headers. The API lets each be changed in one way, and
// says nothing of what a % begins in Envoy.
func (t *translation) headerFilter(h *networking.Headers_HeaderOperations) *gatewayv1.HTTPHeaderFilter {
	if len(h.GetSet())+len(h.GetAdd())+len(h.GetRemove()) == 0 {
		return nil
	}
	t.only(h, "set", "add", "remove")
	seen := map[string]bool{"host": true} // what a call is led by is not a header to change
	name := func(name string) gatewayv1.HTTPHeaderName {
		t.needs(headerNameRE.MatchString(name) && !seen[strings.ToLower(name)])
		seen[strings.ToLower(name)] = true
		return gatewayv1.HTTPHeaderName(name)
	}
	headers := func(of map[string]string) []gatewayv1.HTTPHeader {
		var out []gatewayv1.HTTPHeader
		for _, n := range slices.Sorted(maps.Keys(of)) {
			t.needs(len(of[n]) <= 4096 && headerValueRE.MatchString(of[n]) && !strings.Contains(of[n], "%"))
			out = append(out, gatewayv1.HTTPHeader{Name: name(n), Value: of[n]})
		}
		t.needs(len(out) <= maxConditions)
		return out
	}
	out := &gatewayv1.HTTPHeaderFilter{Set: headers(h.Set), Add: headers(h.Add)}
	for _, n := range h.Remove {
		out.Remove = append(out.Remove, string(name(n)))
	}
	t.needs(len(out.Remove) <= maxConditions)
	return out
}

// kubernetesDuration writes a duration of whole milliseconds as the API takes
// it, without fractions.
func kubernetesDuration(d time.Duration) gatewayv1.Duration {
	var out strings.Builder
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, u.name)
			d %= u.unit
		}
	}
	return gatewayv1.Duration(out.String())
}
