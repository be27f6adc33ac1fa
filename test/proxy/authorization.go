package proxy

import (
	"errors"
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	rbachttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbactcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Call is a call to a workload over mutual TLS, as far as its sidecar's
// authorization looks at it.
type Call struct {
	// From is the caller's SPIFFE identity without its scheme, such as
	// cluster.local/ns/default/sa/web; none for a caller without one.
	From string
	// SNI is the server name that the caller asks for, if any.
	SNI string
	// IP is the address that the connection comes from, Forwarded the one that
	// X-Forwarded-For tells; 192.0.2.1 and IP when empty.
	IP, Forwarded string
	// Port is the workload's.
	Port int
	// Method and Path are those of a request; a call without a Method is a TCP
	// connection.
	Method, Path string
	// Headers are a request's, by lower-case name.
	Headers map[string]string
	// Claims are those of a token, rightly signed; nil for none. A claim is a
	// string, a []string, or a map[string]any of claims.
	Claims map[string]any
}

// http reports whether the call is a request.
func (c *Call) http() bool { return c.Method != "" }

const jwtFilter = "envoy.filters.http.jwt_authn"

// Authorizes reports whether the proxy lets a call in, by what its RBAC and
// JWT filters say. The error is about a filter that it can't read: what it does
// not understand is never taken for a yes or a no.
func (c *Config) Authorizes(call Call) (bool, error) {
	chain, err := c.inbound(&call)
	if err != nil {
		return false, err
	}
	g := &gate{call: call}
	for _, f := range chain.GetFilters() {
		hcm, err := decoded[hcmv3.HttpConnectionManager](f.GetTypedConfig())
		if err == nil {
			for _, hf := range hcm.GetHttpFilters() {
				if pass, err := g.filter(hf.GetTypedConfig()); !pass || err != nil {
					return false, err
				}
			}
			if !call.http() {
				return false, nil // not HTTP: the proxy closes the connection
			}
			continue
		}
		if pass, err := g.filter(f.GetTypedConfig()); !pass || err != nil {
			return false, err
		}
	}
	return true, nil
}

// RBACFilters counts the filters in the proxy's inbound listener that judge
// calls by rules.
func (c *Config) RBACFilters() int {
	n := 0
	count := func(a *anypb.Any) {
		if a.MessageIs(&rbachttpv3.RBAC{}) || a.MessageIs(&rbactcpv3.RBAC{}) || a.MessageIs(&jwtv3.JwtAuthentication{}) {
			n++
		}
	}
	for _, chain := range c.Listeners["virtualInbound"].GetFilterChains() {
		for _, f := range chain.GetFilters() {
			count(f.GetTypedConfig())
			if hcm, err := decoded[hcmv3.HttpConnectionManager](f.GetTypedConfig()); err == nil {
				for _, hf := range hcm.GetHttpFilters() {
					count(hf.GetTypedConfig())
				}
			}
		}
	}
	return n
}

// TakesPlainText reports whether a connection without TLS gets through to a
// port of the workload.
func (c *Config) TakesPlainText(port int) bool {
	return slices.ContainsFunc(c.Listeners["virtualInbound"].GetFilterChains(), func(chain *listenerv3.FilterChain) bool {
		m := chain.GetFilterChainMatch()
		return int(m.GetDestinationPort().GetValue()) == port && m.GetTransportProtocol() != "tls"
	})
}

// inbound finds the filter chain that takes a call: that of its port, or of
// the ports that no service has, where HTTP is told by its looks.
func (c *Config) inbound(call *Call) (*listenerv3.FilterChain, error) {
	listener := c.Listeners["virtualInbound"]
	if listener == nil {
		return nil, errors.New("the proxy has no inbound listener")
	}
	var fallback *listenerv3.FilterChain
	for _, chain := range listener.GetFilterChains() {
		m := chain.GetFilterChainMatch()
		if m.GetTransportProtocol() != "tls" {
			continue
		}
		// Of two chains for a port, one for each protocol, the one with
		// application protocols takes HTTP.
		fits := len(m.GetApplicationProtocols()) == 0 || call.http() && slices.Contains(m.GetApplicationProtocols(), "istio-http/1.1")
		switch {
		case !fits:
		case m.GetDestinationPort() == nil:
			if fallback == nil || len(m.GetApplicationProtocols()) > 0 {
				fallback = chain
			}
		case int(m.GetDestinationPort().GetValue()) == call.Port:
			return chain, nil
		}
	}
	if fallback == nil {
		return nil, fmt.Errorf("no filter chain takes port %d", call.Port)
	}
	return fallback, nil
}

// gate judges one call, filter by filter.
type gate struct {
	call   Call
	claims map[string]any // of a token that a filter has accepted
}

// filter reports whether a filter lets the call pass. Filters that have
// nothing to do with authorization do.
func (g *gate) filter(config *anypb.Any) (bool, error) {
	switch {
	case config.MessageIs(&jwtv3.JwtAuthentication{}):
		auth, err := decoded[jwtv3.JwtAuthentication](config)
		if err != nil {
			return false, err
		}
		return g.token(auth), nil
	case config.MessageIs(&rbachttpv3.RBAC{}):
		filter, err := decoded[rbachttpv3.RBAC](config)
		if err != nil {
			return false, err
		}
		return g.judge(filter.GetRules())
	case config.MessageIs(&rbactcpv3.RBAC{}):
		filter, err := decoded[rbactcpv3.RBAC](config)
		if err != nil {
			return false, err
		}
		return g.judge(filter.GetRules())
	}
	return true, nil
}

// token is istiod's use of the JWT filter: a token of a known issuer, for one
// of its audiences, or none.
func (g *gate) token(auth *jwtv3.JwtAuthentication) bool {
	if g.call.Claims == nil {
		return true
	}
	for _, p := range auth.GetProviders() {
		if p.GetIssuer() != g.call.Claims["iss"] {
			continue
		}
		fits := func(audience string) bool { return audience == g.call.Claims["aud"] }
		if len(p.GetAudiences()) == 0 || slices.ContainsFunc(p.GetAudiences(), fits) {
			g.claims = map[string]any{p.GetPayloadInMetadata(): g.call.Claims}
			return true
		}
	}
	return false
}

// judge is what Envoy does with rules: ALLOW lets pass what a policy matches,
// DENY what none does.
func (g *gate) judge(rules *rbacv3.RBAC) (bool, error) {
	if rules == nil {
		return true, nil // none are enforced
	}
	matched := false
	for name, policy := range rules.GetPolicies() {
		permitted, err := anyOf(policy.GetPermissions(), g.permission)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		is, err := anyOf(policy.GetPrincipals(), g.principal)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		matched = matched || permitted && is
	}
	switch rules.GetAction() {
	case rbacv3.RBAC_ALLOW:
		return matched, nil
	case rbacv3.RBAC_DENY:
		return !matched, nil
	}
	return false, fmt.Errorf("action %s is not understood", rules.GetAction())
}

// decoded is the message in a, of type M.
func decoded[M any, P interface {
	*M
	proto.Message
}](a *anypb.Any) (P, error) {
	p := P(new(M))
	return p, a.UnmarshalTo(p)
}
