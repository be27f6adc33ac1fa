package intent

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// retryConditions are those of Envoy's x-envoy-retry-on and
// x-envoy-retry-grpc-on that Istio takes; status codes may stand beside them.
var retryConditions = map[string]bool{
	"5xx": true, "gateway-error": true, "reset": true, "connect-failure": true, "retriable-4xx": true,
	"refused-stream": true, "retriable-status-codes": true, "retriable-headers": true, "envoy-ratelimited": true,
	"cancelled": true, "deadline-exceeded": true, "internal": true, "resource-exhausted": true, "unavailable": true,
}

func (r *RoutingRuleSpec) normalize() {
	for i := range r.Match {
		upperMethods(r.Match[i].Methods)
	}
	if r.CORS != nil {
		upperMethods(r.CORS.AllowMethods)
	}
	if r.Redirect != nil {
		r.Redirect.Scheme = strings.ToLower(r.Redirect.Scheme)
	}
}

func (r *RoutingRuleSpec) validate(v *violations) {
	v.in("priority").check(checkRange(r.Priority, 0, 10000))
	for i := range r.Match {
		r.Match[i].validate(v.in("match").at(i))
	}
	validateSplit(v.in("split"), r.Split)
	v.in("timeout").check(checkDuration(r.Timeout))
	if r.Retries != nil {
		r.Retries.validate(v.in("retries"))
	}
	if r.Fault != nil {
		r.Fault.validate(v.in("fault"))
	}
	if r.Mirror != nil {
		r.Mirror.validate(v.in("mirror"))
	}
	if r.Rewrite != nil {
		r.Rewrite.validate(v.in("rewrite"))
	}
	if r.Redirect != nil {
		r.Redirect.validate(v.in("redirect"))
		r.excludeByRedirect(v)
	}
	if r.Headers != nil {
		r.Headers.Request.validate(v.in("headers").in("request"))
		r.Headers.Response.validate(v.in("headers").in("response"))
	}
	if r.CORS != nil {
		r.CORS.validate(v.in("cors"))
	}
}

// excludeByRedirect refuses what only means something for a call that is
// passed on.
func (r *RoutingRuleSpec) excludeByRedirect(v *violations) {
	for _, f := range []struct {
		field string
		used  bool
	}{
		{"split", len(r.Split) > 0},
		{"timeout", r.Timeout != ""},
		{"retries", r.Retries != nil},
		{"fault", r.Fault != nil},
		{"mirror", r.Mirror != nil},
		{"rewrite", r.Rewrite != nil},
	} {
		if f.used {
			v.in(f.field).add("can't stand beside redirect: a redirected call is not passed on")
		}
	}
}

func (m *RouteMatch) validate(v *violations) {
	if m.Path == nil && len(m.Headers)+len(m.QueryParams)+len(m.Methods)+len(m.Clients) == 0 {
		v.add("holds no condition: leave match out to match every call")
	}
	if p := m.Path; p != nil {
		at := v.in("path")
		p.validate(at)
		for _, f := range []struct{ field, value string }{{"exact", p.Exact}, {"prefix", p.Prefix}} {
			if f.value != "" {
				at.in(f.field).check(checkPath(f.value))
			}
		}
	}
	for _, name := range sortedKeys(m.Headers) {
		at := v.in("headers").in(name)
		at.check(checkToken(name))
		m.Headers[name].validate(at)
	}
	for _, name := range sortedKeys(m.QueryParams) {
		at := v.in("queryParams").in(name)
		if name == "" {
			at.add("a query parameter needs a name")
		}
		m.QueryParams[name].validate(at)
	}
	for i, method := range m.Methods {
		v.in("methods").at(i).check(checkMethod(method))
	}
	for i, name := range m.Clients {
		v.in("clients").at(i).check(CheckName(name))
	}
}

func (m StringMatch) validate(v *violations) {
	set := 0
	for _, s := range []string{m.Exact, m.Prefix, m.Regex} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		v.add("give exactly one of exact, prefix, regex")
	}
	for _, f := range []struct{ field, value string }{{"exact", m.Exact}, {"prefix", m.Prefix}} {
		v.in(f.field).check(checkText(f.value))
	}
	if size, err := programSize(m.Regex); err != nil {
		v.in("regex").add("is no regular expression (RE2): %s", clip(err.Error()))
	} else if size > maxProgram {
		v.in("regex").add("is too large for proxies: repeat less, or name fewer characters")
	}
}

func validateSplit(v *violations, split []RouteSplit) {
	sum := 0
	for i, s := range split {
		at := v.at(i)
		at.in("weight").check(checkRange(s.Weight, 1, 100))
		sum += s.Weight
		if s.Version == nil && s.Cluster == "" {
			at.add("names no destination: give version, cluster or both")
		}
		s.Version.validate(at.in("version"))
		provider, cluster, ok := strings.Cut(s.Cluster, "/")
		if s.Cluster != "" && (!ok || CheckName(provider) != "" || CheckName(cluster) != "") {
			at.in("cluster").add("%q must be written provider/cluster", clip(s.Cluster))
		}
	}
	if len(split) > 0 && sum != 100 {
		v.add("weights must sum to 100, sum to %d", sum)
	}
}

func (r *RouteVersion) validate(v *violations) {
	if r == nil {
		return
	}
	if len(r.Labels) == 0 {
		v.in("labels").add("must hold at least one label")
	}
	validateLabels(v.in("labels"), r.Labels)
}

func (r *RouteRetries) validate(v *violations) {
	v.in("attempts").check(checkRange(r.Attempts, 0, 100))
	v.in("perTryTimeout").check(checkDuration(r.PerTryTimeout))
	if r.Attempts == 0 && r.PerTryTimeout != "" {
		v.in("perTryTimeout").add("means nothing with 0 attempts")
	}
	if r.On == "" {
		return
	}
	for on := range strings.SplitSeq(r.On, ",") {
		status, err := strconv.Atoi(on)
		if !retryConditions[on] && (err != nil || status < 100 || status > 599) {
			v.in("on").add("%q is neither a status code nor one of %s", clip(on), strings.Join(sortedKeys(retryConditions), ", "))
		}
	}
}

func (f *RouteFault) validate(v *violations) {
	if f.Delay == nil && f.Abort == nil {
		v.add("give delay, abort or both")
	}
	if d := f.Delay; d != nil {
		v.in("delay").in("percent").check(checkPercent(d.Percent))
		v.in("delay").in("duration").check(checkNotEmpty(d.Duration))
		v.in("delay").in("duration").check(checkDuration(d.Duration))
	}
	if a := f.Abort; a != nil {
		v.in("abort").in("percent").check(checkPercent(a.Percent))
		v.in("abort").in("status").check(checkRange(a.Status, 200, 599))
	}
}

func (m *RouteMirror) validate(v *violations) {
	if (m.Version == nil) == (m.Inbound == "") {
		v.add("give exactly one of version and inbound")
	}
	m.Version.validate(v.in("version"))
	if m.Inbound != "" {
		v.in("inbound").check(CheckName(m.Inbound))
	}
	v.in("percent").check(checkPercent(m.Percent))
}

func (r *RouteRewrite) validate(v *violations) {
	if r.URI == "" && r.Authority == "" {
		v.add("give uri, authority or both")
	}
	if r.URI != "" {
		v.in("uri").check(checkPath(r.URI))
		v.in("uri").check(checkText(r.URI))
	}
	if r.Authority != "" {
		v.in("authority").check(checkAuthority(r.Authority))
	}
}

func (r *RouteRedirect) validate(v *violations) {
	if r.URI == "" && r.Authority == "" && r.Scheme == "" {
		v.add("give uri, authority or scheme: a call can't be redirected to itself")
	}
	if r.URI != "" {
		v.in("uri").check(checkPath(r.URI))
		v.in("uri").check(checkText(r.URI))
	}
	if r.Authority != "" {
		v.in("authority").check(checkAuthority(r.Authority))
	}
	v.in("scheme").oneOf(r.Scheme, "", "http", "https")
	switch r.Status {
	case 0, 301, 302, 303, 307, 308:
	default:
		v.in("status").add("%d is none of 301, 302, 303, 307, 308", r.Status)
	}
}

func (h *HeaderChange) validate(v *violations) {
	if h == nil {
		return
	}
	for _, m := range []struct {
		field   string
		headers map[string]string
	}{{"set", h.Set}, {"add", h.Add}} {
		for _, name := range sortedKeys(m.headers) {
			at := v.in(m.field).in(name)
			at.check(checkToken(name))
			at.check(checkText(m.headers[name]))
		}
	}
	for i, name := range h.Remove {
		v.in("remove").at(i).check(checkToken(name))
	}
}

func (c *RouteCORS) validate(v *violations) {
	for i, o := range c.AllowOrigins {
		o.validate(v.in("allowOrigins").at(i))
	}
	for _, l := range []struct {
		field string
		names []string
	}{{"allowMethods", c.AllowMethods}, {"allowHeaders", c.AllowHeaders}, {"exposeHeaders", c.ExposeHeaders}} {
		for i, name := range l.names {
			v.in(l.field).at(i).check(checkToken(name))
		}
	}
	v.in("maxAge").check(checkDuration(c.MaxAge))
	if d, err := time.ParseDuration(c.MaxAge); err == nil && d%time.Second != 0 {
		v.in("maxAge").add("must be whole seconds, is %s", d)
	}
}

func checkPercent(p float64) string {
	if !(p >= 0 && p <= 100) { // not a number is out of range, too
		return fmt.Sprintf("must be from 0 to 100, is %v", p)
	}
	return ""
}

// checkMethod is one method; all of them is not a thing to list.
func checkMethod(s string) string {
	if s == "*" {
		return "leave methods out to match every method"
	}
	return checkToken(s)
}

// checkPath is the path of a URL that a proxy matches or writes.
func checkPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?# ") {
		return fmt.Sprintf("%q must be a path: start with /, and hold no space, query or fragment", clip(s))
	}
	return ""
}

// checkText is what may stand in a header: no control characters.
func checkText(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Sprintf("%q holds a control character", clip(s))
	}
	return ""
}

// checkAuthority is a host or address, with or without a port.
func checkAuthority(s string) string {
	host, port, found := strings.Cut(s, ":")
	if !found {
		return checkHostOrIP(s)
	}
	if n, err := strconv.Atoi(port); err != nil || checkPort(n) != "" {
		return fmt.Sprintf("%q must be a host, or a host and port such as shop.example:8443", clip(s))
	}
	return checkHostOrIP(host)
}
