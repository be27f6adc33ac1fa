package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	networking "istio.io/api/networking/v1alpha3"
)

// TestLentPorts holds that a port which an entry keeps for a while leads where
// it led: to the port of the same endpoint, and at an endpoint that is new to
// the one port that leads to all others.
func TestLentPorts(t *testing.T) {
	port := func(number uint32, name string, target uint32) *networking.ServicePort {
		return &networking.ServicePort{Number: number, Name: name, Protocol: "HTTP", TargetPort: target}
	}
	endpoint := func(address string, ports map[string]uint32) *networking.WorkloadEntry {
		return &networking.WorkloadEntry{Address: address, Ports: ports}
	}
	for _, test := range []struct {
		name           string
		from, to, want *networking.ServiceEntry
	}{
		{
			"through gateways",
			&networking.ServiceEntry{
				Ports:     []*networking.ServicePort{port(80, "http", 0)},
				Endpoints: []*networking.WorkloadEntry{endpoint("192.0.2.1", map[string]uint32{"http": 15443})},
			},
			&networking.ServiceEntry{
				Ports: []*networking.ServicePort{port(81, "http", 0)},
				Endpoints: []*networking.WorkloadEntry{
					endpoint("192.0.2.1", map[string]uint32{"http": 15444}), endpoint("192.0.2.2", map[string]uint32{"http": 15443}),
				},
			},
			&networking.ServiceEntry{
				Ports: []*networking.ServicePort{port(81, "http", 0), port(80, "was-80", 0)},
				Endpoints: []*networking.WorkloadEntry{
					endpoint("192.0.2.1", map[string]uint32{"http": 15444, "was-80": 15443}),
					endpoint("192.0.2.2", map[string]uint32{"http": 15443, "was-80": 15443}),
				},
			},
		},
		{
			"to pods",
			&networking.ServiceEntry{WorkloadSelector: &networking.WorkloadSelector{}, Ports: []*networking.ServicePort{port(80, "a", 8080)}},
			&networking.ServiceEntry{WorkloadSelector: &networking.WorkloadSelector{}, Ports: []*networking.ServicePort{port(81, "b", 8081)}},
			&networking.ServiceEntry{WorkloadSelector: &networking.WorkloadSelector{}, Ports: []*networking.ServicePort{port(81, "b", 8081), port(80, "a", 8080)}},
		},
		{
			"no more to pods",
			&networking.ServiceEntry{WorkloadSelector: &networking.WorkloadSelector{}, Ports: []*networking.ServicePort{port(80, "a", 8080)}},
			&networking.ServiceEntry{Ports: []*networking.ServicePort{port(81, "b", 0)}, Endpoints: []*networking.WorkloadEntry{endpoint("svc", nil)}},
			&networking.ServiceEntry{
				Ports:     []*networking.ServicePort{port(81, "b", 0), port(80, "a", 0)},
				Endpoints: []*networking.WorkloadEntry{endpoint("svc", nil)},
			},
		},
	} {
		lendPort(test.to, test.from, test.from.Ports[0])
		if diff := cmp.Diff(test.want, test.to, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
