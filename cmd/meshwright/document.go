package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshwright/meshwright/intent"
)

// action is what applying a document does.
type action int

const (
	put            action = iota // create or replace the object at Path
	createIfAbsent               // leave an object that is there as it is
	keyValues                    // POST to a cluster's kv-pairs; Path is the cluster
)

// document is one object that a file describes.
type document struct {
	action action
	path   intent.Path
	body   json.RawMessage // metadata and spec
	place  place
}

// place is where a document stands, for messages.
type place struct {
	file  string
	index int        // of the document in its file, from 1
	node  *yaml.Node // its mapping
}

// String is file, line and document number.
func (p place) String() string {
	return fmt.Sprintf("%s:%d (document %d)", p.file, p.node.Line, p.index)
}

// locate is the document's [locator]: the line of the member that a JSON pointer
// names, or of the deepest one on the way that is written down.
func (p place) locate(pointer string) (place, own string) {
	node, line := p.node, p.node.Line
	for _, segment := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		segment = strings.NewReplacer("~1", "/", "~0", "~").Replace(segment)
		key, next := child(node, segment)
		if next == nil {
			break
		}
		node, line = next, key.Line
	}
	return fmt.Sprintf("%s:%d (document %d)", p.file, line, p.index), pointer
}

// child finds a member of a mapping or an item of a sequence, and the node on
// whose line it starts.
func child(n *yaml.Node, segment string) (start, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == segment {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if fmt.Sprint(i) == segment {
				return item, item
			}
		}
	}
	return nil, nil
}

// skipped is a document of EMCO's that Meshwright has no use for.
type skipped struct {
	place  place
	what   string // its anchor and name
	reason string
}

// documents is what the files of one command describe.
type documents struct {
	objects []document
	skipped []skipped
}

// readDocuments parses every document of the files. The error names all that
// are illegal, each with its place.
func readDocuments(sources []source) (documents, error) {
	var docs documents
	var errs []error
	for _, s := range sources {
		nodes, err := split(s.data)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		for i, node := range nodes {
			at := place{file: s.name, index: i + 1, node: node}
			if err := docs.add(at); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		}
	}
	first := map[intent.Path]place{}
	for _, d := range docs.objects {
		if d.action != put {
			continue
		}
		if was, twice := first[d.path]; twice {
			errs = append(errs, fmt.Errorf("%s: %s is described at %s already", d.place, d.path, was))
			continue
		}
		first[d.path] = d.place
	}
	if len(errs) > 0 {
		return documents{}, &usageError{errors.Join(errs...)}
	}
	return docs, nil
}

// split reads a YAML stream, or JSON, into its documents. Empty documents are
// left out; the items of a sequence are documents of their own.
func split(data []byte) ([]*yaml.Node, error) {
	if json.Valid(data) {
		// YAML is a superset of JSON but for tabs, which JSON has between tokens only.
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	}
	var nodes []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		for _, node := range doc.Content {
			switch {
			case node.Tag == "!!null":
			case node.Kind == yaml.SequenceNode:
				nodes = append(nodes, node.Content...)
			default:
				nodes = append(nodes, node)
			}
		}
	}
}

// add parses one document of ours or of EMCO's.
func (d *documents) add(at place) error {
	fields, err := fieldsOf(at.node)
	if err != nil {
		return err
	}
	if _, ok := fields["resourceContext"]; ok {
		return d.addEMCO(at, fields)
	}
	for key := range fields {
		if key != "anchor" && key != "metadata" && key != "spec" {
			return fmt.Errorf("unknown field %q: a document has anchor, metadata and spec", key)
		}
	}
	anchor, ok := fields["anchor"].(string)
	if !ok || anchor == "" {
		return errors.New("has no anchor: give the REST path of the object, or of its collection")
	}
	metadata, err := metadataOf(fields)
	if err != nil {
		return err
	}
	path, err := objectPath(anchor, metadata)
	if err != nil {
		return err
	}
	metadata["name"] = path.Name()
	return d.addObject(document{action: put, path: path, place: at}, metadata, fields["spec"])
}

// addObject adds a document with its body.
func (d *documents) addObject(doc document, metadata map[string]any, spec any) error {
	if spec == nil {
		spec = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata, "spec": spec})
	if err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	doc.body = body
	d.objects = append(d.objects, doc)
	return nil
}

// fieldsOf turns a YAML mapping into what JSON would have said. Dates stay
// text, and yes and no are text too: api values such as sidecarProxy: yes mean
// the word.
func fieldsOf(node *yaml.Node) (map[string]any, error) {
	if node.Kind != yaml.MappingNode {
		return nil, errors.New("is not an object with anchor, metadata and spec")
	}
	if err := plainScalars(node, 0); err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := node.Decode(&fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// maxDepth bounds how deep a document nests, so that reading one ends.
const maxDepth = 100

// plainScalars makes every date a text, and refuses keys that are no text.
func plainScalars(n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: nests more than %d levels", n.Line, maxDepth)
	}
	if n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for i, c := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		if isKey && c.Kind == yaml.ScalarNode && c.ShortTag() != "!!merge" {
			c.Tag = "!!str"
		}
		if isKey && c.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key must be a text", c.Line)
		}
		if err := plainScalars(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func metadataOf(fields map[string]any) (map[string]any, error) {
	if fields["metadata"] == nil {
		return map[string]any{}, nil
	}
	metadata, ok := fields["metadata"].(map[string]any)
	if !ok {
		return nil, errors.New("metadata must be an object")
	}
	return metadata, nil
}

// nameOf is metadata.name, or "" where there is none.
func nameOf(metadata map[string]any) (string, error) {
	if metadata["name"] == nil {
		return "", nil
	}
	name, ok := metadata["name"].(string)
	if !ok {
		return "", fmt.Errorf("metadata.name must be a text, is %v: put it in quotes", metadata["name"])
	}
	return name, nil
}
