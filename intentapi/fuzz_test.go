package intentapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshwright/meshwright/intent"
)

// fuzzPaths are collections to write to, by kind.
func fuzzCollection(k intent.Kind) intent.Path {
	template := k.Template()
	template = template[:strings.LastIndexByte(template, '/')]
	for name, value := range map[string]string{
		"{provider}": "acme", "{project}": "p", "{compositeApp}": "c", "{version}": "v", "{group}": "g",
		"{tg}": "t", "{inbound}": "i", "{client}": "w",
	} {
		template = strings.ReplaceAll(template, name, value)
	}
	return intent.Path(template)
}

// FuzzDecodeObject holds that a body of any kind is either refused as a 400 or
// 422 that says why, or an object that is shown, decoded again, and the same.
func FuzzDecodeObject(f *testing.F) {
	d, err := loadDocument()
	if err != nil {
		f.Fatal(err)
	}
	examples := d.tree["components"].(map[string]any)["examples"].(map[string]any)
	for i, k := range intent.Kinds {
		text, err := json.Marshal(examples[string(k)].(map[string]any)["value"])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, true, text)
		f.Add(i, false, text)
	}
	f.Add(3, true, []byte(`{"metadata":{"name":"/"},"spec":{"appName":"a","app":1,"port":"8080","ports":[{"port":"1"}]}}`))
	f.Add(5, true, []byte(`{"metadata":null,"spec":[{"a":1,"a":2}]}`))
	f.Fuzz(func(t *testing.T, i int, isCollection bool, data []byte) {
		k := intent.Kinds[uint(i)%uint(len(intent.Kinds))]
		path := fuzzCollection(k)
		if !isCollection {
			path += "/x"
		}
		body, err := decodeJSON(data)
		var o *intent.Object
		if err == nil {
			o, err = d.decodeObject(k, path, isCollection, body)
		}
		if err != nil {
			checkRefusal(t, err)
			return
		}
		text, err := encodeJSON(shown(o))
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		o2, err := d.decodeObject(k, path, isCollection, again)
		if err != nil {
			t.Fatalf("refuses what it shows: %s: %v", text, err)
		}
		text2, err := encodeJSON(shown(o2))
		if err != nil || string(text) != string(text2) {
			t.Fatalf("shows another object: %v\n%s", err, cmp.Diff(string(text), string(text2)))
		}
	})
}

// checkRefusal sees that an error is one of the request's and tells something.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	p := problemOf(err)
	if p.Status != http.StatusBadRequest && p.Status != http.StatusUnprocessableEntity || p.Detail == "" {
		t.Fatalf("status %d, detail %q: %v", p.Status, p.Detail, err)
	}
	for _, v := range p.Errors {
		if v.Message == "" || v.Field != "" && v.Field[0] != '/' {
			t.Fatalf("violation %+v", v)
		}
	}
}

// FuzzYAML holds that YAML is refused, or read as the JSON that it means.
func FuzzYAML(f *testing.F) {
	f.Add([]byte("metadata:\n  name: a\n"))
	f.Add([]byte("---\na: &x [1]\nb: *x\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := yamlToJSON(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q became %q, which is no JSON", data, text)
		}
	})
}

// FuzzTransaction holds that a transaction is refused with fields in its
// operations, or made of operations that a Set takes or refuses.
func FuzzTransaction(f *testing.F) {
	d, err := loadDocument()
	if err != nil {
		f.Fatal(err)
	}
	examples := d.tree["components"].(map[string]any)["examples"].(map[string]any)
	text, _ := json.Marshal(examples["Transaction"].(map[string]any)["value"])
	f.Add(text)
	f.Add([]byte(`{"operations":[{"method":"POST","path":"/v2/cluster-providers/a/clusters","body":{"metadata":{"name":"-"}}},{"method":"DELETE","path":"//","ifMatch":"\"1\",*","cascade":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := decodeJSON(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		ops, err := d.decodeTransaction(body)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		_, _, err = intent.NewSet().Apply(intent.Command{Kind: intent.Transact, At: time.Unix(0, 0), Ops: ops})
		if err == nil {
			return
		}
		var refusal *intent.Error
		if !errors.As(locateOperation(err, ops), &refusal) {
			t.Fatalf("no refusal: %v", err)
		}
		for _, v := range refusal.Violations {
			if !strings.HasPrefix(v.Field, "/operations/") {
				t.Fatalf("field %q", v.Field)
			}
		}
	})
}

// FuzzToken holds that a continue token is a name's, or none.
func FuzzToken(f *testing.F) {
	f.Add(makeToken("edge-1"))
	f.Add("MTpfXw")
	f.Add("MTp0Z0\n0")
	f.Fuzz(func(t *testing.T, token string) {
		if name, ok := readToken(token); ok && makeToken(name) != token {
			t.Fatalf("%q is a token of %q, whose token is %q", token, name, makeToken(name))
		}
	})
}

// FuzzLabelSelector holds that no selector makes the parser or the match fail.
func FuzzLabelSelector(f *testing.F) {
	for _, s := range []string{"a=b", "a in (b,c),!d", "a notin (b)", "a>1", ",", "a in ("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if selector, err := labels.Parse(text); err == nil {
			selector.Matches(labels.Set{"a": "b"})
		}
	})
}

// FuzzCanonicalURLPath holds that only the aliases change, and once.
func FuzzCanonicalURLPath(f *testing.F) {
	f.Add("/v2/projects/a/composite-apps/b/c/deployment-intent-groups/d/traffic-group-intent/e/inbound-intents/f/clients/g/security/h")
	f.Fuzz(func(t *testing.T, path string) {
		canonical := canonicalURLPath(path)
		if canonical == "" {
			return
		}
		if strings.Count(canonical, "/") != strings.Count(path, "/") || canonicalURLPath(canonical) != "" {
			t.Fatalf("%q became %q", path, canonical)
		}
	})
}
