package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	mcp "istio.io/api/mcp/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/test/grpcecho"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/proxy"
	"github.com/meshwright/meshwright/test/wait"
)

const host = "echo.mesh"

// TestHarness proves istiod, proxy and grpcecho against a stand-in source: the
// objects arrive, calls follow the weights and their change, a sidecar sees
// the clusters.
func TestHarness(t *testing.T) {
	t.Parallel()
	a, b := grpcecho.StartServer(t, "a"), grpcecho.StartServer(t, "b")
	src := startSource(t)
	src.set(t, "networking.istio.io/ServiceEntry", echoEntry(host, a, b), echoEntry("other.mesh", a, b))
	src.set(t, "networking.istio.io/DestinationRule", echoRule())
	src.set(t, "networking.istio.io/VirtualService", split(75, 25))

	i := istiod.Start(t, istiod.Config{ConfigSource: istiod.At(2, src.addr)})
	if got, want := src.authorities(), []string{istiod.At(2, src.addr)}; !slices.Equal(got, want) {
		t.Errorf(":authority of istiod's streams = %q, want %q", got, want)
	}
	checkObjects(t, i)

	client := grpcecho.Dial(t, i.XDSAddr(), host+":7070")
	checkShare(t, client.Calls(1000), 0.75)
	src.set(t, "networking.istio.io/VirtualService", split(10, 90))
	wait.Until(t, "calls to follow the new weight", func() error {
		return share(client.Calls(200), 0.10)
	})

	sidecar := proxy.Read(t, i.XDSAddr(), proxy.Node{ClusterID: i.Config.ClusterID})
	all := []string{a.Addr(), b.Addr()}
	slices.Sort(all)
	for cluster, want := range map[string][]string{
		proxy.Cluster(7070, "", host):  all,
		proxy.Cluster(7070, "a", host): {a.Addr()},
		proxy.Cluster(7070, "b", host): {b.Addr()},
	} {
		if got := sidecar.EndpointAddrs(cluster); !slices.Equal(got, want) {
			t.Errorf("endpoints of %s = %q, want %q", cluster, got, want)
		}
	}
	if got, want := sidecar.OutboundSNIs(host), []string{
		"outbound_.7070_._." + host, "outbound_.7070_.a_." + host, "outbound_.7070_.b_." + host,
	}; !slices.Equal(got, want) {
		t.Errorf("SNIs = %q, want %q", got, want)
	}
	if len(sidecar.Listeners) == 0 || len(sidecar.Routes) == 0 {
		t.Errorf("a sidecar got %d listeners and %d routes, want some", len(sidecar.Listeners), len(sidecar.Routes))
	}
}

// TestHarnessGateway proves the view of a gateway: what an east-west gateway
// lets through follows the source.
func TestHarnessGateway(t *testing.T) {
	t.Parallel()
	a, b := grpcecho.StartServer(t, "a"), grpcecho.StartServer(t, "b")
	src := startSource(t)
	src.set(t, "networking.istio.io/ServiceEntry", echoEntry(host, a, b))
	src.set(t, "networking.istio.io/DestinationRule", echoRule())
	src.set(t, "networking.istio.io/Gateway", eastWest())
	i := istiod.Start(t, istiod.Config{ConfigSource: src.addr, ClusterID: "edge-1", Network: "net-1"})

	gateway := proxy.Node{
		Type: "router", Name: "gw-1", Namespace: "istio-system",
		Labels:    map[string]string{"istio": "eastwestgateway"},
		ClusterID: i.Config.ClusterID, Network: i.Config.Network,
	}
	want := []string{"outbound_.7070_._." + host, "outbound_.7070_.a_." + host, "outbound_.7070_.b_." + host}
	if got := proxy.Read(t, i.XDSAddr(), gateway).FilterChainServerNames(15443); !slices.Equal(got, want) {
		t.Errorf("server names on 15443 = %q, want %q", got, want)
	}
	src.set(t, "networking.istio.io/DestinationRule")
	wait.Until(t, "the subsets to vanish from the gateway", func() error {
		config, err := proxy.Fetch(t.Context(), i.XDSAddr(), gateway)
		if err != nil {
			return err
		}
		if got := config.FilterChainServerNames(15443); !slices.Equal(got, want[:1]) {
			return fmt.Errorf("server names on 15443 = %q, want %q", got, want[:1])
		}
		return nil
	})
}

// TestHarnessTLS proves that istiod takes a source over TLS and that the SNI is
// what the source sees of the address.
func TestHarnessTLS(t *testing.T) {
	t.Parallel()
	const name = "edge1.meshwright.test"
	ca, cert := certificate(t, name)
	src := startSource(t, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	istiod.Start(t, istiod.Config{
		ConfigSource: src.addr,
		TLS:          &istiod.TLS{CACert: ca, SNI: name, SubjectAltNames: []string{name}},
	})
	if got := src.authorities(); !slices.Equal(got, []string{name}) {
		t.Errorf(":authority of istiod's streams = %q, want %q", got, name)
	}
}

// TestHarnessSourceDown proves that Launch and Exited show what a stock istiod
// does when nobody listens at its source.
func TestHarnessSourceDown(t *testing.T) {
	t.Parallel()
	lis := listen(t, "127.0.0.1:0")
	addr := lis.Addr().String()
	lis.Close()
	i := istiod.Launch(t, istiod.Config{ConfigSource: addr})
	select {
	case <-i.Exited():
	case <-time.After(wait.Limit):
		t.Fatalf("istiod still runs without its source")
	}
	if want := "failed running"; !strings.Contains(i.Logs(), want) {
		t.Errorf("istiod's log does not contain %q", want)
	}
}

// checkObjects compares istiod's objects with what the source has.
func checkObjects(t *testing.T, i *istiod.Istiod) {
	t.Helper()
	var got []string
	for _, o := range i.Configz(t) {
		got = append(got, o.ID())
	}
	slices.Sort(got)
	want := []string{
		"DestinationRule mesh/echo", "ServiceEntry mesh/echo.mesh",
		"ServiceEntry mesh/other.mesh", "VirtualService mesh/echo",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("istiod's objects = %q, want %q", got, want)
	}
	vs := i.Object(t, "VirtualService", "mesh", "echo")
	if vs.ResourceVersion == "" || vs.Labels["meshwright.io/test"] != "yes" || vs.Spec["hosts"] == nil {
		t.Errorf("VirtualService is not complete: %+v", vs)
	}
	if n := len(i.Registryz(t)); n != 2 {
		t.Errorf("istiod knows %d services, want 2", n)
	}
}

// checkShare fails when a's share of the calls is not near want.
func checkShare(t *testing.T, calls map[string]int, want float64) {
	t.Helper()
	if err := share(calls, want); err != nil {
		t.Error(err)
	}
}

func share(calls map[string]int, want float64) error {
	got := float64(calls["a"]) / float64(calls["a"]+calls["b"])
	if len(calls) != 2 || got < want-0.09 || got > want+0.09 {
		return fmt.Errorf("calls = %v, want a share of %.2f for a", calls, want)
	}
	return nil
}

func echoEntry(host string, servers ...*grpcecho.Server) *mcp.Resource {
	se := &networking.ServiceEntry{
		Hosts:      []string{host},
		Location:   networking.ServiceEntry_MESH_INTERNAL,
		Resolution: networking.ServiceEntry_STATIC,
		Ports:      []*networking.ServicePort{{Number: 7070, Name: "grpc", Protocol: "GRPC"}},
	}
	for n, s := range servers {
		se.Endpoints = append(se.Endpoints, &networking.WorkloadEntry{
			Address: s.Host(),
			Ports:   map[string]uint32{"grpc": s.Port()},
			Labels:  map[string]string{"version": string(rune('a' + n))},
		})
	}
	return resource("mesh/"+host, se)
}

func echoRule() *mcp.Resource {
	return resource("mesh/echo", &networking.DestinationRule{
		Host: host,
		TrafficPolicy: &networking.TrafficPolicy{
			Tls: &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_ISTIO_MUTUAL},
		},
		Subsets: []*networking.Subset{
			{Name: "a", Labels: map[string]string{"version": "a"}},
			{Name: "b", Labels: map[string]string{"version": "b"}},
		},
	})
}

func split(a, b int32) *mcp.Resource {
	to := func(subset string, weight int32) *networking.HTTPRouteDestination {
		return &networking.HTTPRouteDestination{
			Destination: &networking.Destination{Host: host, Subset: subset}, Weight: weight,
		}
	}
	return resource("mesh/echo", &networking.VirtualService{
		Hosts: []string{host},
		Http:  []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{to("a", a), to("b", b)}}},
	})
}

func eastWest() *mcp.Resource {
	return resource("istio-system/eastwest", &networking.Gateway{
		Selector: map[string]string{"istio": "eastwestgateway"},
		Servers: []*networking.Server{{
			Port:  &networking.Port{Number: 15443, Name: "tls", Protocol: "TLS"},
			Hosts: []string{"*." + host[strings.LastIndex(host, ".")+1:]},
			Tls:   &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_AUTO_PASSTHROUGH},
		}},
	})
}
