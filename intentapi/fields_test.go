package intentapi_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/meshwright/meshwright/intent"
)

// TestOpenAPIFields compares the document's schemas with the language, both
// ways: bodies are held to the schemas, so a field that one of them lacks can't
// be asked for. Names that YAML reads as something else, such as on, count.
func TestOpenAPIFields(t *testing.T) {
	s := start(t)
	for _, k := range intent.Kinds {
		item := s.openapi.tree["paths"].(map[string]any)[k.Template()].(map[string]any)
		body, _ := s.openapi.resolve(item["put"].(map[string]any)["requestBody"])
		schema := body["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
		spec := s.openapi.properties(schema)["spec"]
		diff(t, string(k), fields(reflect.TypeOf(intent.NewSpec(k)), "", nil), s.openapi.fields(spec, "", nil))
	}
}

// properties are the members that a schema states, its own and those of what
// it is made of.
func (c *openapiChecker) properties(schema any) map[string]any {
	out := map[string]any{}
	s, _ := c.resolve(schema)
	for name, p := range asMap(s["properties"]) {
		out[name] = p
	}
	parts, _ := s["allOf"].([]any)
	for _, part := range parts {
		for name, p := range c.properties(part) {
			out[name] = p
		}
	}
	return out
}

// fields adds the JSON pointers of all members below a schema, in order; * is
// any index or key.
func (c *openapiChecker) fields(schema any, at string, list []string) []string {
	s, _ := c.resolve(schema)
	for name, p := range c.properties(s) {
		list = append(list, at+"/"+name)
		list = c.fields(p, at+"/"+name, list)
	}
	for _, inner := range []any{s["items"], s["additionalProperties"]} {
		if inner, ok := inner.(map[string]any); ok {
			list = c.fields(inner, at+"/*", list)
		}
	}
	slices.Sort(list)
	return list
}

// fields adds the JSON pointers of all members of a Go type, in order.
func fields(t reflect.Type, at string, list []string) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return fields(t.Elem(), at, list)
	case reflect.Slice, reflect.Map:
		if t != reflect.TypeFor[json.RawMessage]() {
			return fields(t.Elem(), at+"/*", list)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			list = append(list, at+"/"+name)
			list = fields(t.Field(i).Type, at+"/"+name, list)
		}
	}
	slices.Sort(list)
	return list
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
