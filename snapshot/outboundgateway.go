package snapshot

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	apitype "istio.io/api/type/v1beta1"

	"github.com/meshwright/meshwright/intent"
)

// How calls leave through the egress gateway.
//
// Each outbound has an alias, a host name that nobody else has. It is the
// server name with which sidecars open mutual TLS to the gateway, the host of
// the outbound's Gateway and VirtualService there, and the host of the
// ServiceEntry and DestinationRule by which the gateway goes on to the service.
// istiod keeps one cluster per host and port and one filter chain per server
// name for a gateway: by their own hosts, two namespaces that call the same
// service would share one, and one would use the other's client certificate.
//
// What the app sends travels inside that mutual TLS whatever it speaks: HTTP is
// read at the gateway, under the alias and put back to its host there; TCP, and
// TLS that the app opens itself, are passed on as bytes.

// findGateway finds the cluster's egress gateway, or says why there is none.
func (e *outside) findGateway(o *outbound, out *output) bool {
	g := e.record.Gateway(intent.Egress)
	switch {
	case g == nil:
		out.problem(o.Path, "cluster %s has no egress gateway, so calls can't leave through one and nothing is generated: add one to its gateways", e.cluster.Path.ClusterName())
	case dnsSafe(g.Name) != g.Name:
		out.problem(o.Path, "cluster %s has an egress gateway %q, which can't be the name of its Kubernetes service: nothing is generated until its name is", e.cluster.Path.ClusterName(), g.Name)
	default:
		e.gateway = g
	}
	return e.gateway != nil
}

func (e *outside) gatewayHost() string {
	return e.gateway.Name + "." + e.gateway.Namespace + ".svc." + e.record.ClusterDomain
}

// gatewayPort is the port of the gateway's service on which it takes TLS.
func (e *outside) gatewayPort() uint32 {
	if e.gateway.Ports == nil || e.gateway.Ports.HTTPS == 0 {
		return 443
	}
	return uint32(e.gateway.Ports.HTTPS)
}

func (o *outbound) alias() string { return objectName(o.Path, roleEgress) + ".egress.meshwright" }

// leadToGateway has the apps' sidecars open mutual TLS to the gateway (to which
// alone the ServiceEntry leads), and call HTTP services by their alias there.
func (e *outside) leadToGateway(out *output) {
	rule := &networking.DestinationRule{Host: e.host, TrafficPolicy: &networking.TrafficPolicy{}, ExportTo: []string{"."}}
	routes := &networking.VirtualService{Hosts: []string{e.host}, ExportTo: []string{"."}}
	for _, o := range e.outbounds {
		rule.TrafficPolicy.PortLevelSettings = append(rule.TrafficPolicy.PortLevelSettings, portTLS(o.spec.Port, &networking.ClientTLSSettings{
			Mode: networking.ClientTLSSettings_ISTIO_MUTUAL, Sni: o.alias(),
		}))
		if o.spec.Protocol.IsHTTP() {
			route := o.httpRoute(e.host, o.alias())
			route.Match = []*networking.HTTPMatchRequest{{Port: uint32(o.spec.Port)}}
			routes.Http = append(routes.Http, route)
		}
	}
	out.resources = append(out.resources, e.shared(DestinationRule, rule))
	if len(routes.Http) > 0 {
		out.resources = append(out.resources, e.shared(VirtualService, routes))
	}
}

// httpRoute leads to a host under another name.
func (o *outbound) httpRoute(host, authority string) *networking.HTTPRoute {
	return &networking.HTTPRoute{
		Route:   []*networking.HTTPRouteDestination{{Destination: o.destination(host)}},
		Rewrite: &networking.HTTPRewrite{Authority: authority},
	}
}

func (o *outbound) destination(host string) *networking.Destination {
	return &networking.Destination{Host: host, Port: &networking.PortSelector{Number: uint32(o.spec.Port)}}
}

// leaveByGateway lets the calls of one outbound in at the gateway, and on to
// the service.
func (e *outside) leaveByGateway(o *outbound, out *output) {
	add := func(id TypeID, spec proto.Message) {
		out.resources = append(out.resources, e.resource(id, e.gateway.Namespace, o, roleEgress, spec))
	}
	private := []string{"."}
	alias := o.alias()

	server := &networking.Server{
		Port:  &networking.Port{Number: e.gatewayPort(), Name: "tls", Protocol: "TLS"},
		Hosts: []string{alias},
		Tls:   &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_ISTIO_MUTUAL},
	}
	routes := &networking.VirtualService{Hosts: []string{alias}, Gateways: []string{objectName(o.Path, roleEgress)}, ExportTo: private}
	if o.spec.Protocol.IsHTTP() {
		server.Port.Name, server.Port.Protocol = "https", "HTTPS"
		routes.Http = []*networking.HTTPRoute{o.httpRoute(alias, o.authority())}
	} else {
		routes.Tcp = []*networking.TCPRoute{{Route: []*networking.RouteDestination{{Destination: o.destination(alias)}}}}
	}
	entry := &networking.ServiceEntry{
		Hosts: []string{alias}, Ports: []*networking.ServicePort{o.port()}, Location: networking.ServiceEntry_MESH_EXTERNAL,
		Resolution: resolution(o.spec), Endpoints: endpointsOf(o.spec), ExportTo: private,
	}
	if len(entry.Endpoints) == 0 {
		entry.Endpoints = []*networking.WorkloadEntry{{Address: e.host}}
	}
	add(ServiceEntry, entry)
	add(Gateway, &networking.Gateway{Selector: e.gateway.Selector, Servers: []*networking.Server{server}})
	add(VirtualService, routes)
	add(AuthorizationPolicy, e.ownersOnly(alias))
	if tls := o.clientTLS(); tls != nil {
		rule := &networking.DestinationRule{Host: alias, ExportTo: private, TrafficPolicy: &networking.TrafficPolicy{
			PortLevelSettings: []*networking.TrafficPolicy_PortTrafficPolicy{portTLS(o.spec.Port, tls)},
		}}
		add(DestinationRule, rule)
	}
}

// authority is the Host header that the service expects of an HTTP call.
func (o *outbound) authority() string {
	usual := 80
	if o.spec.Originates() {
		usual = 443
	}
	if o.spec.TargetPort() == usual {
		return o.spec.ExternalServiceName
	}
	return fmt.Sprintf("%s:%d", o.spec.ExternalServiceName, o.spec.TargetPort())
}

// ownersOnly keeps other namespaces from an alias: whoever can open mutual TLS
// to the gateway could send its server name, and call with the credentials of
// this outbound.
func (e *outside) ownersOnly(alias string) *security.AuthorizationPolicy {
	return &security.AuthorizationPolicy{
		Selector: &apitype.WorkloadSelector{MatchLabels: e.gateway.Selector},
		Action:   security.AuthorizationPolicy_DENY,
		Rules: []*security.Rule{{
			From: []*security.Rule_From{{Source: &security.Source{NotNamespaces: []string{e.namespace}}}},
			When: []*security.Condition{{Key: "connection.sni", Values: []string{alias}}},
		}},
	}
}
