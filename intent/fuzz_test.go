package intent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func FuzzParsePath(f *testing.F) {
	for _, k := range Kinds {
		f.Add(strings.NewReplacer("{", "", "}", "").Replace(k.Template()))
	}
	f.Add(testGroup + "web/traffic-group-intent/t/inbound-intents/x/clients/y/security/z")
	f.Add("//v2/cluster-providers/a/clusters/b%00/")
	f.Fuzz(func(t *testing.T, s string) {
		p, kind, err := ParsePath(s)
		if err != nil {
			if p != "" || kind != "" || err.(*Error).Kind != Malformed {
				t.Fatalf("%q, %q, %v", p, kind, err)
			}
			return
		}
		again, sameKind, err := ParsePath(string(p))
		if err != nil || again != p || sameKind != kind || p.Kind() != kind {
			t.Fatalf("%q is %q of kind %s, then %q of kind %s (%s): %v", s, p, kind, again, sameKind, p.Kind(), err)
		}
		if parent := p.Parent(); parent.Kind() != kind.Parent() {
			t.Fatalf("the parent of %q is %q, a %q", p, parent, parent.Kind())
		}
		if CheckName(p.Name()) != "" || p.Collection()+"/"+p.Name() != string(p) {
			t.Fatalf("%q has name %q in %q", p, p.Name(), p.Collection())
		}
	})
}

func FuzzNormalizeAuthority(f *testing.F) {
	for _, s := range []string{"a.example", "A.example.:1", "[2001:DB8::1]:15010", "::1", "1.2.3.4:5", "[1.2.3.4:x]", "::0001.", "[::0.]", "fe80::1%eth0", "İ:1", "a:b", "0\v."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := NormalizeAuthority(s)
		if twice := NormalizeAuthority(once); twice != once {
			t.Fatalf("%q becomes %q, then %q", s, once, twice)
		}
		if checkHostOrIP(once) != "" {
			return
		}
		// What a record may hold is found under each of its spellings.
		host := once
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		for _, spelling := range []string{strings.ToUpper(host), host + ":15010", " " + host + " "} {
			if got := NormalizeAuthority(spelling); got != once {
				t.Fatalf("%q becomes %q, not %q", spelling, got, once)
			}
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	for _, c := range examples() {
		entry, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(entry)
	}
	f.Add([]byte("\x01{\"kind\":\"transact\",\"ops\":[{\"method\":\"PUT\",\"path\":\"/v2/cluster-providers/a/clusters/b\",\"object\":null}]}"))
	base := NewSet()
	grow(f, &base)
	f.Fuzz(func(t *testing.T, entry []byte) {
		c, err := DecodeCommand(entry)
		if err != nil {
			return
		}
		next, r, refusal := base.Apply(c) // whatever the log holds, no replica may panic
		if refusal != nil && next != base {
			t.Fatalf("refused, and yet another set: %v", refusal)
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("what was decoded can't be encoded: %v", err)
		}
		other, otherResult, otherRefusal := base.Apply(mustDecode(t, again))
		if diff := cmp.Diff(outcome(r, refusal), outcome(otherResult, otherRefusal)); diff != "" {
			t.Fatalf("two replicas answer differently:\n%s", diff)
		}
		if diff := cmp.Diff(dump(t, next), dump(t, other)); diff != "" {
			t.Fatalf("two replicas differ:\n%s", diff)
		}
		if diff := cmp.Diff(dump(t, next), dump(t, restore(t, next))); diff != "" {
			t.Fatalf("a restarted replica differs:\n%s", diff)
		}
	})
}

func FuzzDecodeObjectValidate(f *testing.F) {
	files, err := filepath.Glob("testdata/validate/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		kind := 0
		for line := range strings.Lines(string(data)) {
			if p, ok := strings.CutPrefix(line, "path "); ok {
				for i, k := range Kinds {
					if lengthen(strings.TrimSpace(p)).Kind() == k {
						kind = i
					}
				}
			}
			if line = strings.TrimPrefix(line, "base "); !strings.HasPrefix(line, "{") {
				continue
			}
			body, err := yaml.YAMLToJSON([]byte(expandWords(line)))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(kind, body)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		k := Kinds[uint(kind)%uint(len(Kinds))]
		p := Path(strings.NewReplacer("{", "", "}", "").Replace(k.Template()))
		o, err := DecodeObject(p, body)
		if err != nil {
			return
		}
		o.Normalize()
		once := verdictOf(t, o)
		o.Normalize()
		if diff := cmp.Diff(once, verdictOf(t, o)); diff != "" {
			t.Fatalf("normalised twice (-once +twice):\n%s", diff)
		}
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeObject(p, data)
		if err != nil {
			t.Fatalf("can't read what was written: %v\n%s", err, data)
		}
		again.Normalize()
		if diff := cmp.Diff(once, verdictOf(t, again)); diff != "" {
			t.Fatalf("written and read (-before +after):\n%s", diff)
		}
	})
}

// verdictOf is an object as JSON and what Validate says of it.
func verdictOf(t *testing.T, o *Object) string {
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		return string(data) + "\n" + err.Error()
	}
	return string(data)
}
