package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// examples are commands of every kind and method, by the name of their golden.
func examples() map[string]Command {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	cluster := &Object{
		Path: ClusterPath("acme", "a"), Metadata: Metadata{Name: "a", Labels: map[string]string{"env": "prod"}},
		Spec: &ClusterSpec{Authorities: []string{"mesh.example"}, Gateways: []Gateway{{Name: "ew", Role: EastWest, Addresses: []string{"192.0.2.1"}}}},
	}
	cluster.Normalize()
	resource := &Object{Path: lengthen("G/web/T/t/X/vs"), Metadata: Metadata{Name: "vs"}, Spec: &IstioResourceSpec{
		Clusters: ClusterChoice{Selector: &Selector{MatchLabels: map[string]string{"env": "prod"}}},
		Resource: RawResource{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Metadata: RawMetadata{Name: "vs"}, Spec: json.RawMessage(`{"hosts":["a"]}`)},
	}}
	settings := DefaultSettings()
	settings.VIPv4 = netip.MustParsePrefix("10.9.0.0/16")
	return map[string]Command{
		"post":      {Kind: Transact, At: at, Ops: []Op{{Method: Create, Path: cluster.Path, Object: cluster}}},
		"put":       {Kind: Transact, At: at, ID: "key-1", Ops: []Op{{Method: Put, Path: resource.Path, Object: resource, IfMatch: []string{"7", "*"}}}},
		"delete":    {Kind: Transact, At: at, Ops: []Op{{Method: Delete, Path: lengthen("G/web"), Cascade: true}}},
		"mixed":     {Kind: Transact, At: at, Ops: []Op{{Method: Put, Path: cluster.Path, Object: cluster, IfNoneMatch: true}, {Method: Delete, Path: resource.Path, IfMatch: []string{"3"}}}},
		"configure": {Kind: Configure, At: at, Settings: &settings},
		"confirm":   {Kind: Confirm, At: at, Confirmations: []Confirmation{{Cluster: cluster.Path, Type: "Gateway", Version: "v1", Revision: 7, At: at}}},
	}
}

// TestCommandGolden holds the log's encoding still: what one release wrote,
// another must read.
func TestCommandGolden(t *testing.T) {
	for name, c := range examples() {
		entry, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		file := "testdata/command/" + name + ".json"
		golden(t, file, fmt.Sprintf("%d %s\n", entry[0], entry[1:]))
		got, err := DecodeCommand(entry)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c, got, cmpopts.IgnoreFields(Command{}, "Digest"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s decoded (-want +got):\n%s", name, diff)
		}
		if (got.Digest != "") != (c.ID != "") {
			t.Errorf("%s: ID %q with digest %q", name, c.ID, got.Digest)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(entry, again) {
			t.Errorf("%s encodes as\n%s\nthen, %v, as\n%s", name, entry, err, again)
		}
	}
}

func TestDecodeCommandRefuses(t *testing.T) {
	for entry, unknown := range map[string]bool{
		"":                            true,
		"\x00{}":                      true,
		"\x02{\"kind\":\"transact\"}": true,
		"\x01{\"kind\":\"reboot\",\"force\":true}": true,
		"\x01{}": true,
		"\x01":   false,
		"\x01{\"kind\":\"transact\",\"priority\":1}":                                                   false,
		"\x01{\"kind\":\"transact\",\"ops\":[{\"method\":\"DELETE\",\"path\":\"/x\",\"force\":true}]}": false,
		"\x01{\"kind\":\"transact\",\"ops\":[{\"method\":\"PUT\",\"path\":\"/x\",\"object\":{}}]}":     false,
		"\x01{\"kind\":\"transact\"} {}":                                                               false,
		"\x01{\"kind\":\"transact\",\"ops\":[{\"method\":\"PUT\",\"path\":\"/v2/cluster-providers/a/clusters/b\",\"object\":{\"spec\":{\"colour\":\"red\"}}}]}": false,
	} {
		c, err := DecodeCommand([]byte(entry))
		if err == nil || errors.Is(err, ErrUnknownCommand) != unknown {
			t.Errorf("%q: %+v, %v", entry, c, err)
		}
	}
	if next, _, err := NewSet().Apply(Command{Kind: "reboot"}); next == nil || !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("apply of an unknown kind: %v", err)
	}
}

// TestApplyRefusesMisshapen sends commands that no decoder makes, but a caller
// in this process might.
func TestApplyRefusesMisshapen(t *testing.T) {
	p := ClusterPath("acme", "a")
	o := &Object{Path: p, Metadata: Metadata{Name: "a"}, Spec: &ClusterSpec{}}
	confirmation := func(c Confirmation) Command { return Command{Kind: Confirm, Confirmations: []Confirmation{c}} }
	for name, c := range map[string]Command{
		"too many":         {Kind: Transact, Ops: slices.Repeat([]Op{{Method: Put, Path: p, Object: o}}, MaxOps+1)},
		"no path":          {Kind: Transact, Ops: []Op{{Method: Put, Object: o}}},
		"alias path":       {Kind: Transact, Ops: []Op{{Method: Delete, Path: testGroup + "web/traffic-group-intent/t"}}},
		"no method":        {Kind: Transact, Ops: []Op{{Path: p, Object: o}}},
		"no object":        {Kind: Transact, Ops: []Op{{Method: Put, Path: p}}},
		"no spec":          {Kind: Transact, Ops: []Op{{Method: Put, Path: p, Object: &Object{}}}},
		"nil spec":         {Kind: Transact, Ops: []Op{{Method: Put, Path: p, Object: &Object{Spec: (*ClusterSpec)(nil)}}}},
		"another's spec":   {Kind: Transact, Ops: []Op{{Method: Put, Path: p, Object: &Object{Spec: &GroupSpec{}}}}},
		"long ID":          {Kind: Transact, ID: strings.Repeat("x", MaxID+1)},
		"no settings":      {Kind: Configure},
		"confirm no type":  confirmation(Confirmation{Cluster: p}),
		"confirm long":     confirmation(Confirmation{Cluster: p, Type: strings.Repeat("x", 201)}),
		"confirm long ver": confirmation(Confirmation{Cluster: p, Type: "x", Version: strings.Repeat("x", 201)}),
	} {
		s := NewSet()
		next, r, err := s.Apply(c)
		e, ok := err.(*Error)
		if next != s || !ok || e.Kind != Malformed || e.Detail == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	most := Command{Kind: Transact, ID: strings.Repeat("x", MaxID), Ops: slices.Repeat([]Op{{Method: Put, Path: p, Object: o}}, MaxOps)}
	if next, _, err := NewSet().Apply(most); err != nil || next.Len(KindCluster) != 1 {
		t.Errorf("the largest command: %v", err)
	}
}

// TestRepeatsAreBounded fills the memory of identified commands, through a
// restart in the midst.
func TestRepeatsAreBounded(t *testing.T) {
	s := NewSet()
	p := ClusterPath("acme", "a")
	put := func(i int) Result {
		t.Helper()
		next, r, err := s.Apply(Command{Kind: Transact, ID: fmt.Sprint("key-", i), Ops: []Op{{
			Method: Put, Path: p, Object: &Object{Path: p, Metadata: Metadata{Name: "a"}, Spec: &ClusterSpec{Network: fmt.Sprint("n", i)}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		s = next
		return r
	}
	for i := range MaxRepeats + 5 {
		put(i)
		if i == MaxRepeats/2 || i == MaxRepeats {
			s = restore(t, s)
		}
	}
	checkWhole(t, s)
	if r := put(5); !r.Repeated || r.Revision != 6 {
		t.Errorf("the oldest that is remembered: %+v", r)
	}
	if r := put(4); r.Repeated || r.Revision != MaxRepeats+6 {
		t.Errorf("one that was forgotten: %+v", r)
	}
	if r := put(5); r.Repeated {
		t.Errorf("one that another pushed out: %+v", r)
	}
}

func TestKeyValues(t *testing.T) {
	stored := &ClusterSpec{Authorities: []string{"MESH.example"}, Gateways: []Gateway{{Name: "gw", Role: Ingress, Ports: &GatewayPorts{HTTP: 8080}}}}
	before, _ := json.Marshal(stored)
	got, err := stored.KeyValues(map[string]string{
		"istioIngressGatewayAddress": "192.0.2.1", "istioIngressGatewayPort": "32001", "istioIngressGatewayInternalPort": "15443",
		"istioIngressGatewayHttpPort": "80", "istioIngressGatewayHttpsPort": "8443",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Gateway{
		{
			Name: "gw", Role: Ingress, Namespace: "istio-system", Selector: map[string]string{"istio": "gw"},
			Addresses: []string{"192.0.2.1"}, Ports: &GatewayPorts{TLS: 15443, HTTP: 80, HTTPS: 8443},
		},
		{
			Name: "eastwestgateway", Role: EastWest, Namespace: "istio-system", Selector: map[string]string{"istio": "ingressgateway"},
			Addresses: []string{"192.0.2.1"}, Ports: &GatewayPorts{TLS: 32001, HTTP: 80, HTTPS: 443},
		},
	}
	if diff := cmp.Diff(want, got.Gateways); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
	if after, _ := json.Marshal(stored); !bytes.Equal(before, after) {
		t.Errorf("the stored record changed:\n%s\n%s", before, after)
	}
	_, err = stored.KeyValues(map[string]string{"colour": "red", "istioIngressGatewayAddress": "a b", "istioIngressGatewayPort": "0x1", "istioIngressGatewayHttpPort": "0"})
	wantErr := []Violation{
		{"/colour", "is no key that Meshwright knows: it takes istioIngressGatewayAddress, istioIngressGatewayHttpPort, istioIngressGatewayHttpsPort, istioIngressGatewayInternalPort, istioIngressGatewayPort"},
		{"/istioIngressGatewayAddress", `"a b" is neither an IP address nor a host name`},
		{"/istioIngressGatewayHttpPort", "must be from 1 to 65535, is 0"},
		{"/istioIngressGatewayPort", `"0x1" is no port number`},
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantErr, e.Violations); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}
