package snapshot

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/meshwright/meshwright/intent"
)

// usesGatewayAPI reports whether the Kubernetes Gateway API's objects may open
// the ingress gateways, as the inbound's group may ask. Istio's stay for all of
// an inbound where one of its ports can't be opened so: where bundles, by which
// alone they go, are not taken; where clients have to show a certificate, for
// which no field is read by all releases; and where the cluster's release does
// not read the routes of other ports than HTTP's, or is not known.
//
// What is called inside the mesh keeps Istio's objects in any case: the Gateway
// API has no words for an east-west gateway or a locality.
func (p *plan) usesGatewayAPI(x *external) bool {
	group := p.set.Get(p.inbound.Path.Group()).Spec.(*intent.GroupSpec)
	if !group.GatewayAPI || p.record.Delivery == intent.DeliverXDS || x.mutual {
		return false
	}
	return !slices.ContainsFunc(x.exposures, func(e intent.Exposure) bool {
		id, _ := routeType(&e)
		return !readsRoutes(p.record.Istio, id)
	})
}

// readsRoutes reports whether an Istio, unless told otherwise, reads a kind of
// route in the version that is generated: TLSRoute's is read from 1.30 on,
// TCPRoute's from 1.31 on, and HTTP's by all that know the API.
func readsRoutes(install *intent.IstioInstall, id TypeID) bool {
	since := map[TypeID]int{TLSRoute: 30, TCPRoute: 31}[id]
	return since == 0 || isAtLeast(install, since)
}

// isAtLeast reports whether an Istio is known to be of release 1.minor or later.
func isAtLeast(install *intent.IstioInstall, minor int) bool {
	if install == nil {
		return false
	}
	var have [2]int
	_, _ = fmt.Sscanf(install.Version, "%d.%d", &have[0], &have[1]) // an unknown one stays 0
	return slices.Compare(have[:], []int{1, minor}) >= 0
}

// gatewayAPI opens the ingress gateways with the Kubernetes Gateway API: a
// Gateway and its routes beside each, and leave for the routes to lead into the
// service's namespace. It reports false, and makes nothing, where the API can't
// say the same as the routing rules.
//
// The address makes it a listener of the gateway that is there, by its
// Service, which has the name in the cluster's record: without one, Istio would
// deploy another.
func (p *plan) gatewayAPI(x *external, out *output) bool {
	var made output
	var mirrored []string
	for _, g := range x.gateways {
		spec := gatewayv1.GatewaySpec{
			GatewayClassName: "istio",
			Addresses: []gatewayv1.GatewaySpecAddress{{
				Type:  new(gatewayv1.HostnameAddressType),
				Value: g.Name + "." + g.Namespace + ".svc." + p.record.ClusterDomain,
			}},
		}
		for _, e := range x.exposures {
			spec.Listeners = append(spec.Listeners, x.listener(g, &e))
			t := p.translation(g, &e)
			id, route := p.kubernetesRoute(x, g, &e, t)
			if t.lossy {
				return false
			}
			mirrored = append(mirrored, t.mirrored...)
			role := externalRole(g) + role("-"+entryName(&e))
			made.resources = append(made.resources, p.resource(id, g.Namespace, p.inbound.Path, role, route, p.rulePaths()...))
		}
		gateway := kubernetesSpec(&gatewayv1.Gateway{Spec: spec})
		made.resources = append(made.resources, p.resource(KubernetesGateway, g.Namespace, p.inbound.Path, externalRole(g), gateway))
	}
	p.referenceGrant(x, &made)
	p.mirrorGrant(x, mirrored, &made)
	out.resources = append(out.resources, made.resources...)
	return true
}

// translation is that of the routes of an exposure at a gateway.
func (p *plan) translation(g *intent.Gateway, e *intent.Exposure) *translation {
	return &translation{
		install: p.record.Istio, service: destination{host: p.serviceHost()}.at(e.Port.Port),
		namespace: p.namespace, domain: "." + p.namespace + ".svc." + p.record.ClusterDomain,
		at: e.At(g), ended: e.Terminated(),
	}
}

// listener is how a gateway listens for an exposure; routes of its own
// namespace alone may take what it hears.
func (x *external) listener(g *intent.Gateway, e *intent.Exposure) gatewayv1.Listener {
	id, protocol := routeType(e)
	l := gatewayv1.Listener{
		Name:     gatewayv1.SectionName(entryName(e)),
		Port:     gatewayv1.PortNumber(e.At(g)),
		Protocol: protocol,
		AllowedRoutes: &gatewayv1.AllowedRoutes{
			Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromSame)},
			Kinds:      []gatewayv1.RouteGroupKind{{Group: new(gatewayv1.Group(gatewayAPI)), Kind: gatewayv1.Kind(Types[id].Kind)}},
		},
	}
	if e.Entry != intent.EntryPort { // the API refuses a host name there
		l.Hostname = new(gatewayv1.Hostname(x.host))
	}
	switch {
	case e.Passthrough():
		l.TLS = &gatewayv1.ListenerTLSConfig{Mode: new(gatewayv1.TLSModePassthrough)}
	case e.Terminated():
		l.TLS = &gatewayv1.ListenerTLSConfig{
			Mode:            new(gatewayv1.TLSModeTerminate),
			CertificateRefs: []gatewayv1.SecretObjectReference{{Name: gatewayv1.ObjectName(x.credential)}},
		}
	}
	return l
}

// routeType is the kind of the route that an exposure takes, and the protocol
// of its listener.
func routeType(e *intent.Exposure) (TypeID, gatewayv1.ProtocolType) {
	http := gatewayv1.HTTPProtocolType
	if e.Terminated() {
		http = gatewayv1.HTTPSProtocolType
	}
	switch {
	case e.Port.Protocol == "GRPC":
		return GRPCRoute, http
	case e.Port.Protocol.IsHTTP():
		return HTTPRoute, http
	case e.Entry == intent.EntryHTTPS: // passed on, or ended and sent on as TCP
		return TLSRoute, gatewayv1.TLSProtocolType
	}
	return TCPRoute, gatewayv1.TCPProtocolType
}

// kubernetesRoute leads what a listener hears to the service, HTTP as the
// routing rules say, which give no other port anything that is translated.
func (p *plan) kubernetesRoute(x *external, g *intent.Gateway, e *intent.Exposure, t *translation) (TypeID, proto.Message) {
	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
		Name:        gatewayv1.ObjectName(objectName(p.inbound.Path, externalRole(g))),
		SectionName: new(gatewayv1.SectionName(entryName(e))),
	}}}
	hosts := []gatewayv1.Hostname{gatewayv1.Hostname(x.host)}
	v := p.ingressVantage()
	switch id, _ := routeType(e); id {
	case GRPCRoute:
		rules := t.grpcRules(p.httpRoutes(v, e.Port, &output{}))
		return id, kubernetesSpec(&gatewayv1.GRPCRoute{Spec: gatewayv1.GRPCRouteSpec{CommonRouteSpec: parents, Hostnames: hosts, Rules: rules}})
	case HTTPRoute:
		rules := t.httpRules(p.httpRoutes(v, e.Port, &output{}))
		return id, kubernetesSpec(&gatewayv1.HTTPRoute{Spec: gatewayv1.HTTPRouteSpec{CommonRouteSpec: parents, Hostnames: hosts, Rules: rules}})
	case TLSRoute:
		rules := []gatewayv1.TLSRouteRule{{BackendRefs: t.backends(p.connectionDestinations(v, e.Port, &output{}))}}
		return id, kubernetesSpec(&gatewayv1.TLSRoute{Spec: gatewayv1.TLSRouteSpec{CommonRouteSpec: parents, Hostnames: hosts, Rules: rules}})
	}
	rules := []gatewayv1.TCPRouteRule{{BackendRefs: t.backends(p.connectionDestinations(v, e.Port, &output{}))}}
	return TCPRoute, kubernetesSpec(&gatewayv1.TCPRoute{Spec: gatewayv1.TCPRouteSpec{CommonRouteSpec: parents, Rules: rules}})
}

// referenceGrant lets the gateways' routes lead into the service's namespace,
// to this service alone.
func (p *plan) referenceGrant(x *external, out *output) {
	var from []gatewayv1.ReferenceGrantFrom
	seen := map[gatewayv1.ReferenceGrantFrom]bool{}
	for _, namespace := range x.namespaces() {
		for _, e := range x.exposures {
			id, _ := routeType(&e)
			f := gatewayv1.ReferenceGrantFrom{Group: gatewayAPI, Kind: gatewayv1.Kind(Types[id].Kind), Namespace: gatewayv1.Namespace(namespace)}
			if namespace != p.namespace && !seen[f] {
				seen[f] = true
				from = append(from, f)
			}
		}
	}
	if len(from) == 0 {
		return
	}
	to := []gatewayv1.ReferenceGrantTo{{Kind: "Service", Name: new(gatewayv1.ObjectName(p.spec.ServiceName))}}
	spec := kubernetesSpec(&gatewayv1.ReferenceGrant{Spec: gatewayv1.ReferenceGrantSpec{From: from, To: to}})
	out.resources = append(out.resources, p.resource(ReferenceGrant, p.namespace, p.inbound.Path, roleExternal, spec))
}

// mirrorGrant lets the gateways' routes mirror calls to other services of the
// namespace: those of HTTP alone, which no other can be mirrored by.
func (p *plan) mirrorGrant(x *external, mirrored []string, out *output) {
	var spec gatewayv1.ReferenceGrantSpec
	for _, namespace := range x.namespaces() {
		if namespace != p.namespace {
			spec.From = append(spec.From, gatewayv1.ReferenceGrantFrom{Group: gatewayAPI, Kind: "HTTPRoute", Namespace: gatewayv1.Namespace(namespace)})
		}
	}
	for _, service := range sortedUnique(mirrored) {
		spec.To = append(spec.To, gatewayv1.ReferenceGrantTo{Kind: "Service", Name: new(gatewayv1.ObjectName(service))})
	}
	if len(spec.From) > 0 && len(spec.To) > 0 {
		grant := kubernetesSpec(&gatewayv1.ReferenceGrant{Spec: spec})
		out.resources = append(out.resources, p.resource(ReferenceGrant, p.namespace, p.inbound.Path, roleMirror, grant, p.rulePaths()...))
	}
}
