package intentapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/meshwright/meshwright/intent"
)

// maxDepth bounds how deep a body may nest.
const maxDepth = 64

// readBody reads a request's body as plain JSON values (see [decodeJSON]),
// whether it came as JSON or YAML. Its errors are problems of 400, 413 and 415.
func (r *request) readBody() (any, error) {
	isYAML, err := bodyIsYAML(r.gin.GetHeader("Content-Type"))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(r.gin.Writer, r.gin.Request.Body, r.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, r.tooLarge()
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body could not be read to its end")
	}
	if isYAML {
		if data, err = yamlToJSON(data); err != nil {
			return nil, err
		}
		if int64(len(data)) > r.MaxBody { // aliases may blow it up
			return nil, r.tooLarge()
		}
	}
	return decodeJSON(data)
}

func (r *request) tooLarge() *problem {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes: split the request", r.MaxBody))
}

// bodyIsYAML tells YAML from JSON by a Content-Type; an absent one is JSON.
func bodyIsYAML(contentType string) (bool, error) {
	if contentType == "" {
		return false, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if charset := params["charset"]; err == nil && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		switch media {
		case "application/json":
			return false, nil
		case "application/yaml", "application/x-yaml", "text/yaml":
			return true, nil
		}
	}
	return false, refuse(http.StatusUnsupportedMediaType, "the body must be application/json or application/yaml, in UTF-8")
}

// yamlToJSON rewrites one YAML document as JSON.
func yamlToJSON(data []byte) ([]byte, error) {
	notYAML := func(err error) error {
		return refuse(http.StatusBadRequest, "the body is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var one *yaml.Node
	for {
		var doc yaml.Node
		err := documents.Decode(&doc)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, notYAML(err)
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		if one != nil {
			return nil, refuse(http.StatusBadRequest, "the body holds more than one YAML document: send one object a request, or a transaction")
		}
		one = doc.Content[0]
	}
	if one == nil {
		return nil, refuse(http.StatusBadRequest, "the body is empty")
	}
	if err := plainScalars(one, 0); err != nil {
		return nil, notYAML(err)
	}
	var value any
	if err := one.Decode(&value); err != nil {
		return nil, notYAML(err)
	}
	out, err := json.Marshal(value)
	if err != nil { // .inf and .nan
		return nil, notYAML(err)
	}
	return out, nil
}

// plainScalars keeps to what JSON can say: every date is a text, and so is
// every key. The library reads yes, no, on and off as texts by itself.
func plainScalars(n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: nests more than %d levels", n.Line, maxDepth)
	}
	if n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.ShortTag() != "!!merge" {
			if c.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: a key must be a text", c.Line)
			}
			c.Tag = "!!str"
		}
		if err := plainScalars(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// decodeJSON reads one JSON value into maps, slices, strings, booleans, nil and
// json.Number. Unlike encoding/json it refuses a member that is given twice,
// invalid UTF-8 and what follows the value.
func decodeJSON(data []byte) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, refuse(http.StatusBadRequest, "the body is empty")
	}
	if !utf8.Valid(data) {
		return nil, refuse(http.StatusBadRequest, "the body is not UTF-8")
	}
	d := &jsonReader{dec: json.NewDecoder(bytes.NewReader(data))}
	d.dec.UseNumber()
	v, err := d.value("", 0)
	if err == nil {
		if _, end := d.dec.Token(); end != io.EOF {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errors.New("it ends too early")
		}
		return nil, refuse(http.StatusBadRequest, "the body is not JSON: "+err.Error())
	}
	if len(d.repeated) > 0 {
		sortViolations(d.repeated)
		return nil, malformed(d.repeated...)
	}
	return v, nil
}

type jsonReader struct {
	dec      *json.Decoder
	repeated []intent.Violation
}

func (d *jsonReader) value(pointer string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	token, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return d.object(pointer, depth)
	case json.Delim('['):
		list := []any{}
		for d.dec.More() {
			v, err := d.value(pointer+"/"+strconv.Itoa(len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.dec.Token()
		return list, err
	}
	return token, nil
}

func (d *jsonReader) object(pointer string, depth int) (any, error) {
	members := map[string]any{}
	for d.dec.More() {
		token, err := d.dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder lets nothing else pass
		at := pointer + "/" + escapePointer(name)
		if _, ok := members[name]; ok {
			d.repeated = append(d.repeated, intent.Violation{Field: at, Message: "is given more than once"})
		}
		if members[name], err = d.value(at, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.dec.Token()
	return members, err
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(member string) string { return pointerEscapes.Replace(member) }

func sortViolations(list []intent.Violation) {
	slices.SortStableFunc(list, func(a, b intent.Violation) int { return strings.Compare(a.Field, b.Field) })
}
