package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/meshwright/meshwright/intent"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// TestGolden generates the fleet of each testdata/CASE/in.yaml and compares
// what each cluster gets with out.PROVIDER.CLUSTER.yaml, what it could not be
// given with out.PROVIDER.CLUSTER.problems, and what is unwise about the intents
// with out.warnings.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, in := range cases {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			set := fleetFrom(t, in)
			checkFleet(t, set)
			got := map[string]string{}
			if text := warningsOf(set); text != "" {
				got[filepath.Join(dir, "out.warnings")] = text
			}
			for cluster := range set.List(intent.KindCluster, "") {
				manifests, problems := goldenOf(t, set, cluster)
				name := filepath.Join(dir, "out."+cluster.Path.Segment(2)+"."+cluster.Path.Segment(4))
				if manifests != "" {
					got[name+".yaml"] = manifests
				}
				if problems != "" {
					got[name+".problems"] = problems
				}
			}
			if *update {
				rewrite(t, dir, got)
			}
			if diff := cmp.Diff(readGoldens(t, dir), got); diff != "" {
				t.Errorf("goldens differ (-want +got); after reading the difference, go test -update ./snapshot:\n%s", diff)
			}
		})
	}
}

// fleetFrom applies the documents of a file in order, each as a command of its
// own, one second apart.
func fleetFrom(t testing.TB, file string) *intent.Set {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := intent.NewSet()
	for i, doc := range bytes.Split(data, []byte("\n---\n")) {
		var object struct {
			Anchor   string          `json:"anchor"`
			Metadata json.RawMessage `json:"metadata"`
			Spec     json.RawMessage `json:"spec"`
		}
		if err := yaml.UnmarshalStrict(doc, &object); err != nil {
			t.Fatalf("document %d of %s: %v", i, file, err)
		}
		body, err := json.Marshal(map[string]json.RawMessage{
			"metadata": orEmpty(object.Metadata), "spec": orEmpty(object.Spec),
		})
		if err != nil {
			t.Fatal(err)
		}
		set = stored(t, set, i, object.Anchor, body)
	}
	return set
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("{}")
	}
	return raw
}

// stored puts one object, the i-th.
func stored(t testing.TB, set *intent.Set, i int, anchor string, body []byte) *intent.Set {
	t.Helper()
	path, _, err := intent.ParsePath(anchor)
	if err != nil {
		t.Fatal(err)
	}
	o, err := intent.DecodeObject(path, body)
	if err != nil {
		t.Fatal(err)
	}
	o.Metadata.Name = path.Name()
	o.Normalize()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	next, _, err := set.Apply(intent.Command{
		Kind: intent.Transact, At: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC),
		Ops: []intent.Op{{Method: intent.Put, Path: path, Object: o}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// unitsOf lists what objects are made for.
func unitsOf(set *intent.Set) []*intent.Object {
	var units []*intent.Object
	for _, kind := range unitKinds {
		units = slices.AppendSeq(units, set.List(kind, ""))
	}
	return units
}

// generated is all that a cluster gets.
func generated(set *intent.Set, cluster *intent.Object) (resources []Resource, problems []Problem) {
	for _, unit := range unitsOf(set) {
		if slices.Contains(unitClusters(set, unit), cluster.Path) {
			r, p := generate(set, unit, cluster)
			resources, problems = append(resources, r...), append(problems, p...)
		}
	}
	return resources, problems
}

func goldenOf(t testing.TB, set *intent.Set, cluster *intent.Object) (manifests, problems string) {
	t.Helper()
	resources, found := generated(set, cluster)
	var docs []string
	for i := range resources {
		o, err := newObject(&resources[i])
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := o.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(manifest)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(text))
	}
	for _, p := range found {
		problems += fmt.Sprintf("%s: %s\n", p.Intent, p.Message)
	}
	return strings.Join(docs, "---\n"), problems
}

func warningsOf(set *intent.Set) (text string) {
	for _, unit := range unitsOf(set) {
		for _, w := range warnings(set, unit) {
			text += fmt.Sprintf("%s: %s\n", w.Intent, w.Message)
		}
	}
	return text
}

func rewrite(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name := range readGoldens(t, dir) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readGoldens(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "out.*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

// TestAdmit refuses Istio resources that can't be delivered, and says where
// they are wrong.
func TestAdmit(t *testing.T) {
	const (
		group = "/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g"
		tg    = group + "/traffic-group-intents/tg"
	)
	set := intent.NewSet()
	set = stored(t, set, 0, "/v2/cluster-providers/edge/clusters/one", []byte(`{"spec":{}}`))
	set = stored(t, set, 1, group, []byte(`{"spec":{"namespace":"shop"}}`))
	set = stored(t, set, 2, tg, []byte(`{"spec":{}}`))
	resource := func(text string) *intent.Object {
		body := `{"spec":{"clusters":{"clusters":[{"clusterProvider":"edge","cluster":"one"}]},"resource":` + text + `}}`
		return stored(t, set, 3, tg+"/istio-resources/r", []byte(body)).Get(tg + "/istio-resources/r")
	}
	for _, test := range []struct {
		name, resource, field, message string
	}{
		{"good", `{"apiVersion":"networking.istio.io/v1beta1","kind":"ServiceEntry","metadata":{"name":"a"},"spec":{"hosts":["a.example.com"],"resolution":"DNS","ports":[{"number":80,"name":"http","protocol":"HTTP"}]}}`, "", ""},
		{"Gateway API", `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a"},"spec":{"hostnames":["a.example"]}}`, "", ""},
		{"Gateway API's older version", `{"apiVersion":"gateway.networking.k8s.io/v1alpha2","kind":"TCPRoute","metadata":{"name":"a"}}`, "", ""},
		{"Gateway API's unknown version", `{"apiVersion":"gateway.networking.k8s.io/v2","kind":"TCPRoute","metadata":{"name":"a"},"spec":{"rules":[]}}`, "/spec/resource/apiVersion", "give gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1alpha2"},
		{"Gateway API's unknown field", `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a"},"spec":{"hosts":["a.example"]}}`, "/spec/resource/spec", `unknown field "spec.hosts"`},
		{"a secret", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"spec":{}}`, "/spec/resource/kind", "can't be delivered by this release"},
		{"another kind", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{}}`, "/spec/resource/kind", "can't be delivered by this release"},
		{"another group", `{"apiVersion":"v1","kind":"Gateway","metadata":{"name":"a"},"spec":{}}`, "/spec/resource/kind", "can't be delivered by this release"},
		{"unknown field", `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"a"},"spec":{"hostz":["a.example.com"]}}`, "/spec/resource/spec", `unknown field "hostz"`},
		{"wrong type", `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"a"},"spec":{"hosts":"a.example.com"}}`, "/spec/resource/spec", "can't be read as the spec of a ServiceEntry"},
		{"refused by Istio", `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"a"},"spec":{"hosts":["a.example.com","b.example.com"],"resolution":"STATIC","ports":[{"number":80,"name":"tcp","protocol":"TCP"}]}}`, "/spec/resource/spec", "multiple hosts provided with non-HTTP, non-TLS ports"},
		{"no spec", `{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"a"}}`, "/spec/resource/spec", "is refused by Istio"},
		{"a generated object's name", `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"mw-p-g"},"spec":{"hosts":["a.example.com"]}}`, "/spec/resource/metadata/name", "kept for generated objects"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := admit(set, resource(test.resource))
			if test.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refusal *intent.Error
			if !errors.As(err, &refusal) || refusal.Kind != intent.Invalid || len(refusal.Violations) != 1 {
				t.Fatalf("error is %v, want one violation", err)
			}
			v := refusal.Violations[0]
			if v.Field != test.field || !strings.Contains(v.Message, test.message) || strings.ContainsAny(v.Message, "\n\u00a0") {
				t.Errorf("violation is %+v, want %s: %s", v, test.field, test.message)
			}
		})
	}
}

// TestEveryTypeHasAValidator also proves that each refuses what is no spec of
// its type.
func TestEveryTypeHasAValidator(t *testing.T) {
	for i, typ := range XDSTypes {
		other := XDSTypes[(i+1)%len(XDSTypes)]
		if err := check(&Resource{Type: typ, Namespace: "n", Name: "n", Spec: other.NewSpec()}); err == nil {
			t.Errorf("%s takes the spec of a %s", typ.Kind, other.Kind)
		}
	}
	for _, typ := range Types {
		spec, err := structpb.NewStruct(map[string]any{"surprise": true})
		if err != nil {
			t.Fatal(err)
		}
		if err := check(&Resource{Type: typ, Namespace: "n", Name: "n", Spec: spec}); err == nil {
			t.Errorf("%s takes an unknown field", typ.Kind)
		}
	}
}
