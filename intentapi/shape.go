package intentapi

import (
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/meshwright/meshwright/intent"
)

// valueKeywords are what the OpenAPI document says about values. They tell
// readers; [intent.Object.Validate] decides, so that a value out of its range
// is a 422 in its words.
var valueKeywords = map[string]bool{
	"enum": true, "const": true, "pattern": true, "format": true, "minimum": true, "maximum": true,
	"minLength": true, "maxLength": true, "minItems": true, "maxItems": true, "uniqueItems": true,
	"minProperties": true, "maxProperties": true, "propertyNames": true,
}

// schemaDocument makes one JSON Schema document of the OpenAPI document's
// schemas, each under $defs; shapeOnly leaves the value keywords out.
func schemaDocument(schemas map[string]any, shapeOnly bool) map[string]any {
	defs := map[string]any{}
	for name, s := range schemas {
		defs[name] = rewriteSchema(s, shapeOnly)
	}
	return map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": defs}
}

// rewriteSchema copies a schema with references into $defs. It goes down by
// keyword, since a property may be called as a keyword is.
func rewriteSchema(v any, shapeOnly bool) any {
	s, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for keyword, value := range s {
		switch keyword {
		case "$ref":
			out[keyword] = strings.Replace(value.(string), "#/components/schemas/", "#/$defs/", 1)
		case "properties", "patternProperties":
			members := map[string]any{}
			for name, member := range value.(map[string]any) {
				members[name] = rewriteSchema(member, shapeOnly)
			}
			out[keyword] = members
		case "items", "additionalProperties", "unevaluatedProperties":
			out[keyword] = rewriteSchema(value, shapeOnly)
		case "allOf", "anyOf", "oneOf":
			var list []any
			for _, member := range value.([]any) {
				list = append(list, rewriteSchema(member, shapeOnly))
			}
			out[keyword] = list
		case "example", "examples", "discriminator":
		default:
			if !shapeOnly || !valueKeywords[keyword] {
				out[keyword] = value
			}
		}
	}
	return out
}

// compileSchemas compiles every schema of a schemaDocument.
func compileSchemas(doc map[string]any) (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	const url = "urn:meshwright:openapi"
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	out := map[string]*jsonschema.Schema{}
	for name := range doc["$defs"].(map[string]any) {
		schema, err := c.Compile(url + "#/$defs/" + name)
		if err != nil {
			return nil, err
		}
		out[name] = schema
	}
	return out, nil
}

// checkShape lists where a value departs from a schema's shape.
func checkShape(schema *jsonschema.Schema, value any) []intent.Violation {
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []intent.Violation{{Message: err.Error()}}
	}
	var list []intent.Violation
	collect(invalid, &list)
	sortViolations(list)
	return list
}

func collect(e *jsonschema.ValidationError, list *[]intent.Violation) {
	var at strings.Builder
	for _, member := range e.InstanceLocation {
		at.WriteString("/" + escapePointer(member))
	}
	add := func(field, message string) {
		*list = append(*list, intent.Violation{Field: field, Message: message})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		var want []string
		for _, jsonType := range k.Want {
			want = append(want, article(jsonType))
		}
		add(at.String(), "must be "+strings.Join(want, " or ")+", is "+article(k.Got))
	case *kind.Required:
		for _, name := range k.Missing {
			add(at.String()+"/"+escapePointer(name), "is missing")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(at.String()+"/"+escapePointer(name), "is not known here")
		}
	default:
		if len(e.Causes) == 0 {
			add(at.String(), "does not have the documented shape")
		}
		for _, cause := range e.Causes {
			collect(cause, list)
		}
	}
}

// article is the name of a JSON type in a sentence.
func article(jsonType string) string {
	switch jsonType {
	case "null":
		return "null"
	case "integer":
		return "a whole number"
	case "array", "object":
		return "an " + jsonType
	}
	return "a " + jsonType
}
