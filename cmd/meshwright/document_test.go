package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

const group = "/v2/projects/p/composite-apps/ca/v1/deployment-intent-groups/g"

// read parses one file.
func read(t *testing.T, text string) documents {
	t.Helper()
	docs, err := readDocuments([]source{{name: "in.yaml", data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// plainDocument is a document without its YAML.
type plainDocument struct {
	Action action
	Path   intent.Path
	Body   string
	Place  string
}

func plain(docs []document) []plainDocument {
	var out []plainDocument
	for _, d := range docs {
		out = append(out, plainDocument{d.action, d.path, string(d.body), d.place.String()})
	}
	return out
}

func TestDocuments(t *testing.T) {
	cluster := intent.Path("/v2/cluster-providers/edge/clusters/c1")
	empty := plainDocument{put, cluster, `{"metadata":{"name":"c1"},"spec":{}}`, "in.yaml:1 (document 1)"}
	for name, c := range map[string]struct {
		text string
		want []plainDocument
	}{
		"collection":      {"anchor: /v2/cluster-providers/edge/clusters\nmetadata: {name: c1}\nspec: {}\n", []plainDocument{empty}},
		"without /v2":     {"anchor: cluster-providers/edge/clusters\nmetadata: {name: c1}\n", []plainDocument{empty}},
		"item":            {"anchor: /v2/cluster-providers/edge/clusters/c1\n", []plainDocument{empty}},
		"item with name":  {"anchor: /v2/cluster-providers/edge/clusters/c1/\nmetadata: {name: c1}\n", []plainDocument{empty}},
		"JSON with tabs":  {"{\"anchor\": \"/v2/cluster-providers/edge/clusters/c1\",\n\t\"spec\": {}}", []plainDocument{empty}},
		"empty documents": {"---\n---\n# nothing\n---\n", nil},
		"empty file":      {"", nil},
		"stream": {
			"# first\n---\nanchor: " + group + "\n---\nanchor: " + group + "/traffic-group-intent/tg\n",
			[]plainDocument{
				{put, group, `{"metadata":{"name":"g"},"spec":{}}`, "in.yaml:3 (document 1)"},
				{put, group + "/traffic-group-intents/tg", `{"metadata":{"name":"tg"},"spec":{}}`, "in.yaml:5 (document 2)"},
			},
		},
		"list": {
			"- anchor: " + group + "\n- anchor: /v2/cluster-providers/edge/clusters/c1\n",
			[]plainDocument{
				{put, group, `{"metadata":{"name":"g"},"spec":{}}`, "in.yaml:1 (document 1)"},
				{put, cluster, `{"metadata":{"name":"c1"},"spec":{}}`, "in.yaml:2 (document 2)"},
			},
		},
		"words stay words": {
			"anchor: " + group + "\nspec: {a: yes, b: 'no', c: 2024-01-02, d: 12, e: true, f: 1.5, g: ~, 8: x, h: \"7\"}\n",
			[]plainDocument{{put, group, `{"metadata":{"name":"g"},"spec":{"8":"x","a":"yes","b":"no","c":"2024-01-02","d":12,"e":true,"f":1.5,"g":null,"h":"7"}}`, "in.yaml:1 (document 1)"}},
		},
		"merge keys": {
			"anchor: " + group + "\nmetadata: &m {description: d}\nspec: {<<: *m, x: 1}\n",
			[]plainDocument{{put, group, `{"metadata":{"description":"d","name":"g"},"spec":{"description":"d","x":1}}`, "in.yaml:1 (document 1)"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, plain(read(t, c.text).objects)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIllegalDocuments(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":        {"a: [", "in.yaml: "},
		"scalar":         {"hello\n", "in.yaml:1 (document 1): is not an object"},
		"unknown field":  {"anchor: " + group + "\nstatus: {}\n", `in.yaml:1 (document 1): unknown field "status"`},
		"no anchor":      {"metadata: {name: x}\n", "in.yaml:1 (document 1): has no anchor"},
		"no such anchor": {"anchor: /v2/nothing\nmetadata: {name: x}\n", `anchor "/v2/nothing" is the path of no object and of no collection`},
		"no name":        {"anchor: /v2/cluster-providers/edge/clusters\n", "is a collection, so metadata.name must say which object"},
		"bad name":       {"anchor: /v2/cluster-providers/edge/clusters\nmetadata: {name: a_}\n", "path segment {cluster}"},
		"number as name": {"anchor: /v2/cluster-providers/edge/clusters\nmetadata: {name: 5}\n", "metadata.name must be a text, is 5"},
		"other name":     {"anchor: " + group + "\nmetadata: {name: h}\n", `metadata.name "h" is not the name in the anchor, "g"`},
		"metadata":       {"anchor: " + group + "\nmetadata: [a]\n", "metadata must be an object"},
		"twice":          {"anchor: " + group + "\n---\nanchor: " + group + "\n", "in.yaml:3 (document 2): " + group + " is described at in.yaml:1 (document 1) already"},
		"same key twice": {"anchor: " + group + "\nanchor: " + group + "\n", "already defined"},
		"key no text":    {"anchor: " + group + "\nspec: {[a]: b}\n", "line 2: a key must be a text"},
		"too deep":       {"anchor: " + group + "\nspec: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "nests more than 100 levels"},
		"no JSON number": {"anchor: " + group + "\nspec: {a: .inf}\n", "is not JSON"},
		"all are named":  {"anchor: a\n---\nanchor: b\n", "in.yaml:3 (document 2)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readDocuments([]source{{name: "in.yaml", data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := exitCode(err); got != exitUsage {
				t.Errorf("exit code %d, want %d", got, exitUsage)
			}
		})
	}
}

func TestFieldPlaces(t *testing.T) {
	d := read(t, "anchor: "+group+"\nmetadata:\n  name: g\nspec:\n  ports:\n    - port: 1\n    - port: 2\n      a/b: 3\n").objects[0]
	for pointer, want := range map[string]string{
		"/spec/ports/1/port":   "in.yaml:7 (document 1)",
		"/spec/ports/1/a~1b":   "in.yaml:8 (document 1)",
		"/spec/ports/1/absent": "in.yaml:7 (document 1)",
		"/spec/absent":         "in.yaml:4 (document 1)",
		"/metadata/name":       "in.yaml:3 (document 1)",
		"":                     "in.yaml:1 (document 1)",
	} {
		if got, own := d.place.locate(pointer); got != want || own != pointer {
			t.Errorf("%s: %s %s, want %s", pointer, got, own, want)
		}
	}
}

func TestTopDown(t *testing.T) {
	var docs []document
	for _, p := range []intent.Path{group + "/traffic-group-intents/b", group, "/v2/cluster-providers/edge/clusters/z", group + "/traffic-group-intents/a", "/v2/cluster-providers/edge/clusters/y"} {
		docs = append(docs, document{path: p})
	}
	var got []intent.Path
	for _, d := range topDown(docs) {
		got = append(got, d.path)
	}
	want := []intent.Path{"/v2/cluster-providers/edge/clusters/z", "/v2/cluster-providers/edge/clusters/y", group, group + "/traffic-group-intents/b", group + "/traffic-group-intents/a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBatches(t *testing.T) {
	small := operation{Method: intent.Put, Path: "/x", Body: json.RawMessage(`{}`)}
	large := operation{Method: intent.Put, Path: "/x", Body: json.RawMessage(`"` + strings.Repeat("x", 600<<10) + `"`)}
	for name, c := range map[string]struct {
		ops  []operation
		want []int
	}{
		"none":         {nil, nil},
		"one":          {[]operation{small}, []int{1}},
		"1,000":        {make([]operation, 1000), []int{1000}},
		"1,001":        {make([]operation, 1001), []int{1000, 1}},
		"1 MiB":        {[]operation{small, large, large, small}, []int{2, 2}},
		"large ones":   {[]operation{large, large, large}, []int{1, 1, 1}},
		"small, large": {[]operation{small, large}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, b := range batch(c.ops) {
				got = append(got, len(b.operations))
				if !json.Valid(b.body()) || len(b.body()) > maxBodyBytes {
					t.Errorf("body of %d bytes is no JSON or too large", len(b.body()))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTransactionPlaces(t *testing.T) {
	d := read(t, "anchor: "+group+"\nspec:\n  namespace: x\n").objects[0]
	ops := []operation{{Method: intent.Delete, Path: "/gone"}, {Method: intent.Put, Path: string(d.path), Body: d.body, place: &d.place}}
	tx := batch(ops)[0]
	for field, want := range map[string][2]string{
		"/operations/1/body/spec/namespace": {"in.yaml:3 (document 1)", "/spec/namespace"},
		"/operations/1/body":                {"in.yaml:1 (document 1)", ""},
		"/operations/1/path":                {"in.yaml:1 (document 1)", ""},
		"/operations/0/path":                {"/gone", ""},
		"/operations/2/path":                {"", "/operations/2/path"},
		"/spec":                             {"", "/spec"},
	} {
		place, own := tx.locate(field)
		if diff := cmp.Diff(want, [2]string{place, own}); diff != "" {
			t.Errorf("%s: %s", field, diff)
		}
	}
}

// FuzzDocuments holds that no file makes the parser fail otherwise than by an
// error, and that what it accepts is an object with its name.
func FuzzDocuments(f *testing.F) {
	f.Add("anchor: " + group + "\nmetadata: {name: g}\nspec: {a: [yes, 1, ~]}\n---\n[]\n")
	f.Add("version: emco/v2\nresourceContext: {anchor: projects/p/composite-apps/ca/v1/deployment-intent-groups}\nmetadata: {name: g}\nspec: {namespace: n}\n")
	f.Add("version: emco/v2\nresourceContext: {anchor: cluster-providers/p/clusters/c/kv-pairs}\nspec: {kv: [{istioingressgatewayport: 1}]}\n")
	f.Add("a: &a [*a]\n")
	f.Add("{\"anchor\":\t\"/v2\"}")
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := readDocuments([]source{{name: "f", data: []byte(text)}})
		if err != nil {
			return
		}
		for _, d := range docs.objects {
			path, _, err := intent.ParsePath(string(d.path))
			if err != nil || path != d.path {
				t.Errorf("path %q: %v", d.path, err)
			}
			var body struct {
				Metadata struct{ Name string }
			}
			if err := json.Unmarshal(d.body, &body); err != nil {
				t.Errorf("body %s: %v", d.body, err)
			}
			if d.action != keyValues && body.Metadata.Name != path.Name() {
				t.Errorf("name %q of %s", body.Metadata.Name, path)
			}
			d.place.locate("/spec/a/0")
		}
	})
}
