package snapshot

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

// httpRoutes are the routes of an HTTP port's calls from a vantage: one for
// each rule that can match there, in the rules' order, then the default, which
// leads to the whole service. The first that matches every call is the last.
func (p *plan) httpRoutes(v vantage, port intent.ServicePort, out *output) []*networking.HTTPRoute {
	return p.httpRoutesFrom([]vantage{v}, port, out)
}

// httpRoutesFrom is httpRoutes from several vantages, the last of which is that
// of all callers: what holds for those holds for the others unsaid. Rules keep
// their order, so that none comes before another for some callers alone.
func (p *plan) httpRoutesFrom(from []vantage, port intent.ServicePort, out *output) []*networking.HTTPRoute {
	var routes []*networking.HTTPRoute
	all := from[len(from)-1]
	for _, r := range append(slices.Clone(p.rules), rule{spec: &intent.RoutingRuleSpec{}}) { // the default, at last
		general := p.ruleRoute(all, r, port, all.heard(out))
		for _, v := range from[:len(from)-1] {
			if own := p.ruleRoute(v, r, port, out); own != nil && !sameBut(own, general, v) {
				routes = append(routes, own)
			}
		}
		if general != nil {
			routes = append(routes, general)
		}
		if len(r.spec.Match) == 0 {
			break
		}
	}
	return routes
}

// sameBut reports whether a vantage's route is that of all callers, but for the
// namespace that it is limited to.
func sameBut(r, general *networking.HTTPRoute, v vantage) bool {
	if general == nil {
		return false
	}
	a, b := proto.Clone(r).(*networking.HTTPRoute), proto.Clone(general).(*networking.HTTPRoute)
	b.Match = slices.DeleteFunc(b.Match, func(m *networking.HTTPMatchRequest) bool {
		return m.SourceNamespace != "" && m.SourceNamespace != v.namespace
	})
	for _, m := range append(a.Match, b.Match...) {
		m.SourceNamespace = ""
	}
	return proto.Equal(a, b)
}

// ruleRoute is a rule's route, or nil when it can match no call from there.
func (p *plan) ruleRoute(v vantage, r rule, port intent.ServicePort, out *output) *networking.HTTPRoute {
	s := r.spec
	route := &networking.HTTPRoute{
		Name: r.name(), Match: p.matches(v, s, port), Timeout: duration(s.Timeout),
		Retries: httpRetries(s.Retries), Fault: httpFault(s.Fault), Headers: httpHeaders(s.Headers), CorsPolicy: corsPolicy(s.CORS),
	}
	if len(s.Match) > 0 && len(route.Match) == 0 {
		return nil
	}
	if s.Rewrite != nil {
		route.Rewrite = &networking.HTTPRewrite{Uri: s.Rewrite.URI, Authority: s.Rewrite.Authority}
	}
	if d := s.Redirect; d != nil {
		route.Redirect = &networking.HTTPRedirect{Uri: d.URI, Authority: d.Authority, Scheme: d.Scheme, RedirectCode: uint32(d.Status)}
		return route
	}
	route.Route = httpDestinations(p.destinations(v, r, out), port)
	if s.Mirror != nil {
		route.Mirror = p.mirror(v, r, port, out)
		if s.Mirror.Percent > 0 && route.Mirror != nil {
			route.MirrorPercentage = &networking.Percent{Value: s.Mirror.Percent}
		}
	}
	return route
}

func httpDestinations(to []destination, port intent.ServicePort) []*networking.HTTPRouteDestination {
	var out []*networking.HTTPRouteDestination
	for _, d := range to {
		out = append(out, &networking.HTTPRouteDestination{Destination: d.at(port.Port), Weight: d.share(len(to))})
	}
	return out
}

// matches are the blocks of which a call must meet one. Each limits the port:
// the Kubernetes service may have ports that are no intent's. From outside the
// mesh the port is the gateway's own, and nobody is a client.
func (p *plan) matches(v vantage, s *intent.RoutingRuleSpec, port intent.ServicePort) []*networking.HTTPMatchRequest {
	blocks := s.Match
	if len(blocks) == 0 {
		if v.outside {
			return nil
		}
		blocks = []intent.RouteMatch{{}}
	}
	var out []*networking.HTTPMatchRequest
	for _, m := range blocks {
		for _, from := range p.callersAs(v, m.Clients) {
			match := &networking.HTTPMatchRequest{
				Headers: stringMatches(m.Headers), QueryParams: stringMatches(m.QueryParams), Method: methodMatch(m.Methods),
				SourceNamespace: from.namespace, SourceLabels: from.labels,
			}
			if m.Path != nil {
				match.Uri = stringMatch(*m.Path)
			}
			if !v.outside {
				match.Port = uint32(port.Port)
			}
			out = append(out, match)
		}
	}
	return out
}

// A callerMatch is what a proxy must be for a route to hold there: in a
// namespace, with labels; either may be any.
type callerMatch struct {
	namespace string
	labels    map[string]string
}

// callersAs are the callers that a match block names, as far as they call from
// a vantage; without names all of them.
func (p *plan) callersAs(v vantage, names []string) []callerMatch {
	if len(names) == 0 {
		return []callerMatch{{namespace: v.source()}}
	}
	var out []callerMatch
	for _, c := range p.clients {
		if v.outside || !slices.Contains(names, c.path.Name()) || !slices.Contains(c.clusters, p.cluster.Path) {
			continue
		}
		key, value := intent.SplitLabel(c.spec.AppLabel)
		for _, ns := range c.namespaces {
			if v.namespace != "" && v.namespace != ns {
				continue
			}
			m := callerMatch{labels: map[string]string{key: value}}
			if v.shared {
				m.namespace = ns
			}
			if !slices.ContainsFunc(out, func(o callerMatch) bool { return o.namespace == m.namespace && maps.Equal(o.labels, m.labels) }) {
				out = append(out, m)
			}
		}
	}
	return out
}

// mirror is where copies of calls go: to a version, the nearest instances of
// it, or to another inbound, which the callers must be clients of.
func (p *plan) mirror(v vantage, r rule, port intent.ServicePort, out *output) *networking.Destination {
	m := r.spec.Mirror
	if m.Version != nil {
		if to := p.places(v, m.Version, ""); len(to) > 0 {
			return to[0].at(port.Port)
		}
		out.problem(r.path, "mirror: no instance of the version can be reached from here: nothing is mirrored")
		return nil
	}
	other := p.set.Get(r.spec.Mirrored(r.path))
	if other == nil {
		return nil // refused on write
	}
	host, ports := p.hostOf(other, v)
	if host == "" {
		from := "namespace " + v.namespace
		if v.outside {
			from = "outside the mesh"
		}
		out.problem(r.path, "mirror: callers from %s can't reach %s from this cluster: declare them as its clients; nothing is mirrored", from, other.Path)
		return nil
	}
	to := destination{host: host}
	for _, candidate := range ports {
		if candidate.Port == port.Port && candidate.Protocol.IsHTTP() {
			return to.at(port.Port)
		}
	}
	for _, candidate := range ports {
		if candidate.Protocol.IsHTTP() {
			return to.at(candidate.Port)
		}
	}
	return nil // refused on write
}

// hostOf is the name by which callers of a vantage reach another inbound, ""
// when they don't: they must be among its clients, and it must be known there.
// From outside the mesh it is its Kubernetes name, if it runs here.
func (p *plan) hostOf(other *intent.Object, v vantage) (string, []intent.ServicePort) {
	q := newPlan(p.set, other, p.cluster, &output{})
	if v.outside && q.serves {
		return q.serviceHost(), q.ports
	}
	if !slices.ContainsFunc(q.callers, func(c caller) bool { return c.namespace == v.namespace }) {
		return "", nil
	}
	if q.serves && (q.ownName() || !q.spec.InMesh()) {
		return q.serviceHost(), q.ports
	}
	if !q.spec.InMesh() {
		return "", nil // it is not known by its global name
	}
	for _, e := range q.entries() {
		if e.seen == v.namespace {
			return q.host, q.ports
		}
	}
	return "", nil
}

func stringMatch(m intent.StringMatch) *networking.StringMatch {
	switch {
	case m.Exact != "":
		return &networking.StringMatch{MatchType: &networking.StringMatch_Exact{Exact: m.Exact}}
	case m.Prefix != "":
		return &networking.StringMatch{MatchType: &networking.StringMatch_Prefix{Prefix: m.Prefix}}
	}
	return &networking.StringMatch{MatchType: &networking.StringMatch_Regex{Regex: m.Regex}}
}

func stringMatches(m map[string]intent.StringMatch) map[string]*networking.StringMatch {
	if len(m) == 0 {
		return nil
	}
	out := map[string]*networking.StringMatch{}
	for name, value := range m {
		out[name] = stringMatch(value)
	}
	return out
}

// methodMatch is one method, or a regular expression that is any of several.
func methodMatch(methods []string) *networking.StringMatch {
	if len(methods) == 0 {
		return nil
	}
	methods = sortedUnique(methods)
	if len(methods) == 1 {
		return stringMatch(intent.StringMatch{Exact: methods[0]})
	}
	for i, m := range methods {
		methods[i] = regexp.QuoteMeta(m)
	}
	return stringMatch(intent.StringMatch{Regex: strings.Join(methods, "|")})
}

func httpRetries(r *intent.RouteRetries) *networking.HTTPRetry {
	if r == nil {
		return nil
	}
	out := &networking.HTTPRetry{Attempts: int32(r.Attempts)}
	if r.Attempts > 0 { // Istio refuses the rest beside none
		out.PerTryTimeout, out.RetryOn = duration(r.PerTryTimeout), r.On
	}
	return out
}

func httpFault(f *intent.RouteFault) *networking.HTTPFaultInjection {
	if f == nil {
		return nil
	}
	out := &networking.HTTPFaultInjection{}
	if d := f.Delay; d != nil {
		out.Delay = &networking.HTTPFaultInjection_Delay{
			Percentage:    &networking.Percent{Value: d.Percent},
			HttpDelayType: &networking.HTTPFaultInjection_Delay_FixedDelay{FixedDelay: duration(d.Duration)},
		}
	}
	if a := f.Abort; a != nil {
		out.Abort = &networking.HTTPFaultInjection_Abort{
			Percentage: &networking.Percent{Value: a.Percent},
			ErrorType:  &networking.HTTPFaultInjection_Abort_HttpStatus{HttpStatus: int32(a.Status)},
		}
	}
	return out
}

func httpHeaders(h *intent.RouteHeaders) *networking.Headers {
	if h == nil {
		return nil
	}
	change := func(c *intent.HeaderChange) *networking.Headers_HeaderOperations {
		if c == nil {
			return nil
		}
		return &networking.Headers_HeaderOperations{Set: maps.Clone(c.Set), Add: maps.Clone(c.Add), Remove: slices.Clone(c.Remove)}
	}
	return &networking.Headers{Request: change(h.Request), Response: change(h.Response)}
}

func corsPolicy(c *intent.RouteCORS) *networking.CorsPolicy {
	if c == nil {
		return nil
	}
	out := &networking.CorsPolicy{
		AllowMethods: slices.Clone(c.AllowMethods), AllowHeaders: slices.Clone(c.AllowHeaders),
		ExposeHeaders: slices.Clone(c.ExposeHeaders), MaxAge: duration(c.MaxAge),
	}
	for _, o := range c.AllowOrigins {
		out.AllowOrigins = append(out.AllowOrigins, stringMatch(o))
	}
	if c.AllowCredentials {
		out.AllowCredentials = wrapperspb.Bool(true)
	}
	return out
}
