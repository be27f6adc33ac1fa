package intentapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// keyValueTries bounds how often a fold is repeated when others change the
// cluster at the same time.
const keyValueTries = 10

// postKeyValues folds EMCO's key-value pairs into a cluster's gateways.
func postKeyValues(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	pairs, places, err := r.document.decodeKeyValues(body)
	if err != nil {
		return nil, err
	}
	asked := readIfMatch(strings.Join(r.gin.Request.Header.Values("If-Match"), ","))
	command, err := r.keyValuesCommand(p, pairs, asked)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		done, err := r.foldKeyValues(command, p, pairs, places, asked)
		var refusal *intent.Error
		if errors.As(err, &refusal) && refusal.Kind == intent.Precondition && len(asked) == 0 && try < keyValueTries {
			r.set = r.Store.Set()
			continue
		}
		if err != nil || done.preview != nil {
			return previewed(done.preview), err
		}
		ans, err := written(done)
		if ans != nil {
			ans.status = http.StatusCreated
		}
		return ans, err
	}
}

// keyValuesCommand is the command of a fold, still without its operation. What
// that writes depends on the cluster as it is, so the digest is of what was
// sent: sent again, it is the same request.
func (r *request) keyValuesCommand(p intent.Path, pairs map[string]string, asked []string) (intent.Command, error) {
	key, err := r.idempotencyKey()
	if err != nil || key == "" {
		return intent.Command{}, err
	}
	sent, err := encodeJSON([]any{"kv-pairs", p, pairs, asked})
	sum := sha256.Sum256(sent)
	return intent.Command{ID: key, Digest: base64.RawStdEncoding.EncodeToString(sum[:])}, err
}

// noVersion is no object's resourceVersion.
const noVersion = "none"

// foldKeyValues writes the cluster as it is with the pairs folded in.
func (r *request) foldKeyValues(command intent.Command, p intent.Path, pairs, places map[string]string, asked []string) (committed, error) {
	old := r.set.Get(p)
	if old == nil {
		return committed{}, noSuchObject(p)
	}
	version := old.Metadata.ResourceVersion
	if len(asked) > 0 && !slices.Contains(asked, "*") && !slices.Contains(asked, version) {
		version = noVersion // the store's to refuse, which knows whether the write is a repeated one
	}
	spec, err := old.Spec.(*intent.ClusterSpec).KeyValues(pairs)
	if err != nil {
		var refusal *intent.Error
		if errors.As(err, &refusal) {
			for i, v := range refusal.Violations {
				refusal.Violations[i].Field = places[v.Field]
			}
			sortViolations(refusal.Violations)
		}
		return committed{}, err
	}
	next := *old
	next.Spec = spec
	if err := next.Validate(); err != nil {
		return committed{}, err
	}
	command.Ops = []intent.Op{{Method: intent.Put, Path: p, Object: &next, IfMatch: []string{version}}}
	return r.commit(command)
}

// decodeKeyValues reads EMCO's body, or a plain map. Places tells where in the
// body each key stands, by the pointer that the key alone would have.
func (d *document) decodeKeyValues(body any) (pairs, places map[string]string, err error) {
	members, _ := body.(map[string]any)
	schema := "KeyValueMap"
	if _, ok := members["spec"]; ok {
		schema = "KeyValuePairs"
	}
	if bad := checkShape(d.shapes[schema], body); len(bad) > 0 {
		return nil, nil, malformed(bad...)
	}
	pairs, places = map[string]string{}, map[string]string{}
	var bad []intent.Violation
	add := func(at string, group map[string]any) {
		for key, value := range group {
			if _, ok := pairs[key]; ok {
				bad = append(bad, intent.Violation{Field: at + "/" + escapePointer(key), Message: "is given more than once"})
			}
			switch v := value.(type) {
			case string:
				pairs[key] = v
			case json.Number:
				pairs[key] = v.String()
			}
			places["/"+escapePointer(key)] = at + "/" + escapePointer(key)
		}
	}
	if schema == "KeyValueMap" {
		add("", members)
	} else {
		for i, group := range members["spec"].(map[string]any)["kv"].([]any) {
			add("/spec/kv/"+strconv.Itoa(i), group.(map[string]any))
		}
	}
	if len(bad) > 0 {
		sortViolations(bad)
		return nil, nil, malformed(bad...)
	}
	return pairs, places, nil
}
