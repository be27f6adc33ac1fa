package test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/test/grpcecho"
	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/wait"
)

const (
	exampleFile = "../deploy/example/fleet.yaml"
	webIntents  = "/v2/projects/shop/composite-apps/store/v1/deployment-intent-groups/prod/traffic-group-intents/web"
	echoHost    = "echo.mesh"
)

// example starts a node with the example fleet of the documentation.
func example(t *testing.T) *hub.Hub {
	t.Helper()
	h := hub.Start(t)
	h.Run(t, "", "apply", "-f", exampleFile)
	return h
}

// TestExample follows the whole path: intents go in by REST, a real istiod
// pulls them, calls follow what they say, and what is deleted leaves istiod.
func TestExample(t *testing.T) {
	t.Parallel()
	h := example(t)
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)}) // edge/shop-1
	sameAsBundle(t, h, i, "edge/shop-1")

	a, b := grpcecho.StartServer(t, "a"), grpcecho.StartServer(t, "b")
	paths := map[string]string{}
	for _, manifest := range []string{echoEntryManifest(a, b), echoRuleManifest, echoSplit(75, 25)} {
		name, body := hub.Raw(t, "edge/shop-1", manifest)
		paths[name] = webIntents + "/istio-resources/" + name
		h.Put(t, paths[name], body)
	}
	sameAsBundle(t, h, i, "edge/shop-1")
	client := grpcecho.Dial(t, i.XDSAddr(), echoHost+":7070")
	wait.Until(t, "calls to follow the weights", func() error { return follows(client, 0.75) })

	name, body := hub.Raw(t, "edge/shop-1", echoSplit(10, 90))
	h.Put(t, paths[name], body)
	wait.Until(t, "calls to follow the new weights", func() error { return follows(client, 0.10) })

	for _, path := range paths {
		h.Delete(t, path)
	}
	sameAsBundle(t, h, i, "edge/shop-1")
	h.Delete(t, webIntents+"?cascade=true")
	if left := h.Bundle(t, "edge/shop-1"); len(left) != 0 {
		t.Errorf("the bundle still holds %d objects", len(left))
	}
	sameAsBundle(t, h, i, "edge/shop-1")
}

// follows checks that a share of many calls reaches server a.
func follows(client *grpcecho.Client, want float64) error {
	const calls = 400
	got := client.Calls(calls)
	if share := float64(got["a"]) / calls; got["a"]+got["b"] != calls || math.Abs(share-want) > 0.1 {
		return fmt.Errorf("answers of %d calls: %v, want a share of %.2f from a", calls, got, want)
	}
	return nil
}

// sameAsBundle waits until istiod holds exactly what the cluster's bundle
// says.
func sameAsBundle(t *testing.T, h *hub.Hub, i *istiod.Istiod, cluster string) {
	t.Helper()
	wait.Until(t, "istiod to hold the bundle of "+cluster, func() error {
		want := map[string]held{}
		for _, o := range h.Bundle(t, cluster) {
			want[o.ID()] = held{o.Metadata.Labels, o.Metadata.Annotations, o.Spec}
		}
		if diff := cmp.Diff(want, holds(t, i)); diff != "" {
			return fmt.Errorf("istiod's configuration (-bundle +istiod):\n%s", diff)
		}
		return nil
	})
}

// held is an object without what its holder adds.
type held struct {
	Labels, Annotations map[string]string
	Spec                map[string]any
}

// holds is istiod's configuration by kind, namespace and name, in the form in
// which a bundle has it.
func holds(t *testing.T, i *istiod.Istiod) map[string]held {
	t.Helper()
	out := map[string]held{}
	for _, o := range i.Configz(t) {
		out[o.ID()] = held{o.Labels, o.Annotations, o.Spec}
	}
	return out
}

func echoEntryManifest(a, b *grpcecho.Server) string {
	endpoint := func(s *grpcecho.Server, version string) map[string]any {
		return map[string]any{"address": s.Host(), "ports": map[string]any{"grpc": s.Port()}, "labels": map[string]any{"version": version}}
	}
	return manifest("ServiceEntry", map[string]any{
		"hosts": []string{echoHost}, "location": "MESH_INTERNAL", "resolution": "STATIC",
		"ports":     []any{map[string]any{"number": 7070, "name": "grpc", "protocol": "GRPC"}},
		"endpoints": []any{endpoint(a, "a"), endpoint(b, "b")},
	})
}

var echoRuleManifest = manifest("DestinationRule", map[string]any{
	"host": echoHost,
	"subsets": []any{
		map[string]any{"name": "a", "labels": map[string]any{"version": "a"}},
		map[string]any{"name": "b", "labels": map[string]any{"version": "b"}},
	},
})

func echoSplit(a, b int) string {
	route := func(subset string, weight int) map[string]any {
		return map[string]any{"destination": map[string]any{"host": echoHost, "subset": subset}, "weight": weight}
	}
	return manifest("VirtualService", map[string]any{
		"hosts": []string{echoHost}, "http": []any{map[string]any{"route": []any{route("a", a), route("b", b)}}},
	})
}

func manifest(kind string, spec map[string]any) string {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind,
		"metadata": map[string]any{"name": "echo", "namespace": "default"}, "spec": spec,
	})
	if err != nil {
		panic(err) // of values of this file alone
	}
	return string(text)
}

func TestMain(m *testing.M) {
	if _, err := os.Stat(exampleFile); err != nil {
		fmt.Fprintln(os.Stderr, "the tests must run in their own folder:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}
