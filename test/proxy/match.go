package proxy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// Taken is the route that a request for a domain takes in whichever route
// configuration knows the domain, the first that it meets; nil is none. The
// error is about a condition that is not understood.
func (c *Config) Taken(domain string, call Call) (*routev3.Route, error) {
	for _, configuration := range c.Routes {
		for _, host := range configuration.GetVirtualHosts() {
			if !slices.Contains(host.GetDomains(), domain) {
				continue
			}
			for _, r := range host.GetRoutes() {
				if ok, err := meets(r.GetMatch(), call); ok || err != nil {
					return r, err
				}
			}
		}
	}
	return nil, nil
}

func meets(m *routev3.RouteMatch, call Call) (bool, error) {
	path, query, _ := strings.Cut(call.Path, "?")
	if ok, err := meetsPath(m, path); !ok || err != nil {
		return false, err
	}
	g := &gate{call: call}
	for _, h := range m.GetHeaders() {
		if ok, err := g.header(h); !ok || err != nil {
			return false, err
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return false, err
	}
	for _, p := range m.GetQueryParameters() {
		if ok, err := matches(p.GetStringMatch(), values.Get(p.GetName())); !ok || !values.Has(p.GetName()) || err != nil {
			return false, err
		}
	}
	if len(m.GetDynamicMetadata()) > 0 || m.GetRuntimeFraction() != nil || m.GetGrpc() != nil || m.GetTlsContext() != nil {
		return false, fmt.Errorf("match %s is not understood", m)
	}
	return true, nil
}

func meetsPath(m *routev3.RouteMatch, path string) (bool, error) {
	switch spec := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		return path == spec.Path, nil
	case *routev3.RouteMatch_Prefix:
		return strings.HasPrefix(path, spec.Prefix), nil
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return path == spec.PathSeparatedPrefix || strings.HasPrefix(path, spec.PathSeparatedPrefix+"/"), nil
	case *routev3.RouteMatch_SafeRegex:
		return matches(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: spec.SafeRegex}}, path)
	}
	return false, fmt.Errorf("path %s is not understood", m)
}
