package intentapi

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// readOnlyMetadata are the members of metadata that a write may repeat from an
// answer and that are the store's to set.
var readOnlyMetadata = []string{"resourceVersion", "generation", "createdAt", "updatedAt"}

// placeholder stands for a name in a path while the body's is illegal.
const placeholder = "x"

// decodeObject turns the body of a write into an object at a path. Path is that
// of the item; or of its collection, and then the body gives the name. Its
// errors are problems of 400 with all violations of shape, or an *intent.Error
// with all of value.
func (d *document) decodeObject(k intent.Kind, path intent.Path, isCollection bool, body any) (*intent.Object, error) {
	names, bad := unalias(k, body)
	bad = append(bad, checkShape(d.shapes[string(k)], body)...)
	if len(bad) > 0 {
		names.restore(bad)
		sortViolations(bad)
		return nil, malformed(bad...)
	}
	members := body.(map[string]any)
	metadata := members["metadata"].(map[string]any)
	for _, name := range readOnlyMetadata {
		delete(metadata, name)
	}
	delete(members, "warnings") // of an answer that is sent back
	nameProblem := ""
	if isCollection {
		name := metadata["name"].(string)
		if nameProblem = intent.CheckName(name); nameProblem != "" {
			name = placeholder
		}
		metadata["name"] = name
		path += intent.Path("/" + name)
	}
	o, err := typed(path, members)
	if err != nil {
		return nil, err
	}
	o.Normalize()
	err = o.Validate()
	if nameProblem != "" {
		err = withViolation(err, o, intent.Violation{Field: "/metadata/name", Message: nameProblem})
	}
	var refusal *intent.Error
	if errors.As(err, &refusal) {
		names.restore(refusal.Violations)
	}
	return o, err
}

// typed decodes plain values whose shape has been checked.
func typed(path intent.Path, members map[string]any) (*intent.Object, error) {
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	o, err := intent.DecodeObject(path, text)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) { // a number that is no int: 1e99
		field := "/" + strings.ReplaceAll(mismatch.Field, ".", "/")
		return nil, malformed(intent.Violation{Field: field, Message: "is a number that is not whole or too large"})
	}
	return o, err
}

// withViolation puts one more violation in front of a refusal.
func withViolation(err error, o *intent.Object, v intent.Violation) error {
	refusal, ok := err.(*intent.Error)
	if !ok {
		refusal = &intent.Error{Kind: intent.Invalid, Detail: "the " + o.Kind().Noun() + " is not legal"}
	}
	refusal.Violations = append([]intent.Violation{v}, refusal.Violations...)
	return refusal
}
