package intentapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/intentapi"
)

// openapiChecker holds answers against the OpenAPI document.
type openapiChecker struct {
	tree  map[string]any
	paths []pathPattern

	mu       sync.Mutex // guards compiler
	compiler *jsonschema.Compiler
}

type pathPattern struct {
	re       *regexp.Regexp
	template string
}

func newOpenAPIChecker(t testing.TB, text string) *openapiChecker {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := &openapiChecker{tree: tree.(map[string]any), compiler: jsonschema.NewCompiler()}
	if err := c.compiler.AddResource("urn:openapi", tree); err != nil {
		t.Fatal(err)
	}
	for template := range c.tree["paths"].(map[string]any) {
		re := regexp.MustCompile("^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(template, "[^/]+") + "$")
		c.paths = append(c.paths, pathPattern{re, template})
	}
	return c
}

// template finds the path template of a request, or "".
func (c *openapiChecker) template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	path = strings.Replace(path, "/traffic-group-intent/", "/traffic-group-intents/", 1)
	path = strings.Replace(path, "/security/", "/access-points/", 1)
	for _, p := range c.paths {
		if p.re.MatchString(path) {
			return p.template
		}
	}
	return ""
}

// resolve follows a reference within the document.
func (c *openapiChecker) resolve(v any) (map[string]any, string) {
	m := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m, ""
	}
	at := any(c.tree)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[name]
	}
	return at.(map[string]any), ref
}

// check reports an answer whose status, media type or body the document does
// not state.
func (c *openapiChecker) check(t testing.TB, method, path string, r reply) {
	t.Helper()
	for _, name := range []string{"X-Request-Id", "Meshwright-Revision"} {
		if r.header.Get(name) == "" {
			t.Errorf("%s %s: the answer has no %s", method, path, name)
		}
	}
	template := c.template(path)
	item, _ := c.tree["paths"].(map[string]any)[template].(map[string]any)
	operation, _ := item[strings.ToLower(method)].(map[string]any)
	if operation == nil {
		return // 404 and 405
	}
	stated, ok := operation["responses"].(map[string]any)[fmt.Sprint(r.status)]
	if !ok {
		t.Errorf("%s %s: status %d is not in the OpenAPI document: %s", method, path, r.status, r.body)
		return
	}
	response, ref := c.resolve(stated)
	content, _ := response["content"].(map[string]any)
	if content == nil {
		if r.body != "" {
			t.Errorf("%s %s: %d has a body: %s", method, path, r.status, r.body)
		}
		return
	}
	media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	if _, ok := content[media]; !ok {
		t.Errorf("%s %s: %d is %q, the OpenAPI document states %v", method, path, r.status, media, slices.Collect(maps.Keys(content)))
		return
	}
	if !strings.HasSuffix(media, "json") {
		return
	}
	pointer := "#/paths/" + escape(template) + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(r.status)
	if ref != "" {
		pointer = ref
	}
	pointer += "/content/" + escape(media) + "/schema"
	c.mu.Lock()
	schema, err := c.compiler.Compile("urn:openapi" + pointer)
	c.mu.Unlock()
	if err != nil {
		t.Errorf("compile %s: %v", pointer, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(r.body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s %s: the body of %d is not as the OpenAPI document states: %v\n%s", method, path, r.status, err, r.body)
	}
}

func escape(s string) string {
	s = strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
	return strings.NewReplacer("{", "%7B", "}", "%7D", "+", "%2B").Replace(s)
}

// TestOpenAPIRoutes compares the document with the routes, both ways.
func TestOpenAPIRoutes(t *testing.T) {
	s := start(t)
	served := intentapi.ServedRoutes()
	stated := map[string]bool{}
	for template, item := range s.openapi.tree["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			later, _ := op.(map[string]any)["x-not-implemented"].(bool)
			stated[strings.ToUpper(method)+" "+template] = !later
		}
	}
	diff(t, "routes: true is implemented", stated, served)
}

// TestOpenAPIExamples sends every example of a body.
func TestOpenAPIExamples(t *testing.T) {
	s := start(t)
	examples := s.openapi.tree["components"].(map[string]any)["examples"].(map[string]any)
	sent := map[string]bool{}
	send := func(name, path string) reply {
		sent[name] = true
		body, err := json.Marshal(examples[name].(map[string]any)["value"])
		if err != nil {
			t.Fatal(err)
		}
		return s.do("POST", path, string(body))
	}
	names := map[string]string{"{provider}": "acme", "{project}": "shop", "{compositeApp}": "store", "{version}": "v1"}
	parameter := map[intent.Kind]string{
		intent.KindCluster: "{cluster}", intent.KindGroup: "{group}", intent.KindTrafficGroup: "{tg}",
		intent.KindInbound: "{inbound}", intent.KindClient: "{client}",
	}
	for _, k := range intent.Kinds {
		template := k.Template()
		collection := template[:strings.LastIndex(template, "/")]
		for from, to := range names {
			collection = strings.ReplaceAll(collection, from, to)
		}
		r := send(string(k), collection)
		want := http.StatusCreated
		if r.status != want {
			t.Fatalf("example %s: status %d, want %d: %s", k, r.status, want, r.body)
		}
		if p, ok := parameter[k]; ok {
			names[p] = r.decoded(t).(map[string]any)["metadata"].(map[string]any)["name"].(string)
		}
	}
	for name, path := range map[string]string{
		"ClusterConfiguration": clustersPath + "/edge-7/bundle",
		"KeyValuePairs":        clustersPath + "/edge-1/kv-pairs",
		"KeyValueMap":          clustersPath + "/edge-1/kv-pairs",
		"Transaction":          "/v2/transactions",
	} {
		if r := send(name, path); r.status/100 != 2 {
			t.Errorf("example %s: status %d: %s", name, r.status, r.body)
		}
	}
	for name := range examples {
		if !sent[name] {
			t.Errorf("example %s was not sent", name)
		}
	}
}
