package intentapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

//go:embed openapi.yaml
var openapiText []byte

// document is what the API itself takes from the OpenAPI document.
type document struct {
	json   []byte
	tree   map[string]any
	query  map[string][]string           // names of query parameters by "METHOD template"
	shapes map[string]*jsonschema.Schema // by schema name, without value keywords
}

// loadDocument reads the embedded document.
func loadDocument() (*document, error) {
	text, err := yaml.YAMLToJSONStrict(openapiText)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	d := &document{json: append(text, '\n'), query: map[string][]string{}}
	if err := json.Unmarshal(text, &d.tree); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	components := d.tree["components"].(map[string]any)
	d.shapes, err = compileSchemas(schemaDocument(components["schemas"].(map[string]any), true))
	if err != nil {
		return nil, fmt.Errorf("compile the schemas of the OpenAPI document: %w", err)
	}
	for template, item := range d.tree["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if parameters, ok := operation.(map[string]any); ok {
				d.query[strings.ToUpper(method)+" "+template] = queryNames(parameters, components)
			}
		}
	}
	return d, nil
}

// queryNames lists the query parameters of an operation.
func queryNames(operation, components map[string]any) []string {
	names := []string{}
	list, _ := operation["parameters"].([]any)
	for _, item := range list {
		p := item.(map[string]any)
		if ref, ok := p["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/components/parameters/")
			p = components["parameters"].(map[string]any)[name].(map[string]any)
		}
		if p["in"] == "query" {
			names = append(names, p["name"].(string))
		}
	}
	return names
}
