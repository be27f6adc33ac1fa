package intent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"
)

// TestValidate runs testdata/validate/*.txt. Such a file names a path and a
// legal base body; each further line in braces is a merge patch (RFC 7386) of
// it, followed by the violations of the patched body, or by "legal".
func TestValidate(t *testing.T) {
	eachFile(t, "testdata/validate/*.txt", func(t *testing.T, file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var path Path
		var base []byte
		var out strings.Builder
		for line := range strings.Lines(string(data)) {
			switch {
			case strings.HasPrefix(line, "\t"):
				continue // what was answered last time
			case strings.HasPrefix(line, "path "):
				path = lengthen(strings.TrimSpace(line[5:]))
			case strings.HasPrefix(line, "base "):
				if base, err = yaml.YAMLToJSON([]byte(line[5:])); err != nil {
					t.Fatal(err)
				}
				out.WriteString(line + verdict(t, path, base, "{}"))
				continue
			case strings.HasPrefix(line, "{"):
				out.WriteString(line + verdict(t, path, base, line))
				continue
			}
			out.WriteString(line)
		}
		golden(t, file, out.String())
	})
}

// verdict is what Validate says of a patched body, one violation a line.
func verdict(t *testing.T, path Path, base []byte, patch string) string {
	t.Helper()
	patchJSON, err := yaml.YAMLToJSON([]byte(expandWords(patch)))
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	body, err := jsonpatch.MergePatch(base, patchJSON)
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	o, err := DecodeObject(path, body)
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	o.Normalize()
	err = o.Validate()
	if err == nil {
		return "\tlegal\n"
	}
	var out strings.Builder
	for _, v := range err.(*Error).Violations {
		fmt.Fprintf(&out, "\t%s: %s\n", v.Field, v.Message)
	}
	return out.String()
}

// expandWords writes out what is too long for a test file.
func expandWords(s string) string {
	return strings.NewReplacer("$LONG64", strings.Repeat("x", 64), "$LONG2000", strings.Repeat("x", 2000),
		"$LONG5000", strings.Repeat("x", 5000), "$CERT", testCert, "$KEY", testKey, "$OTHERKEY", otherKey).Replace(s)
}

// nothingRefused lists the fields in which every value of the type is legal.
var nothingRefused = map[string]string{
	"DeploymentIntentGroup /spec/sidecarScope":                                   "a boolean",
	"DeploymentIntentGroup /spec/gatewayApi":                                     "a boolean",
	"InboundIntent /spec/headless":                                               "a boolean",
	"InboundIntent /spec/jwt/*/forwardOriginalToken":                             "a boolean",
	"InboundIntent /spec/trafficPolicy/loadBalancing/consistentHash/useSourceIp": "a boolean",
	"RoutingRule /spec/cors/allowCredentials":                                    "a boolean",
}

// TestEveryFieldIsRefused holds TestValidate's files to the rule that each
// field of each noun has a case in which it is refused by its own path.
func TestEveryFieldIsRefused(t *testing.T) {
	refused := map[Kind][]string{}
	files, err := filepath.Glob("testdata/validate/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kind Kind
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "path "); ok {
				kind = lengthen(strings.TrimSpace(rest)).Kind()
			}
			if pointer, _, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(pointer, "\t/") {
				refused[kind] = append(refused[kind], pointer[1:])
			}
		}
	}
	for _, kind := range Kinds {
		fields := leaves("/spec", reflect.TypeOf(NewSpec(kind)).Elem())
		if kind == KindCluster { // metadata is the same for all
			fields = append(fields, "/metadata/name", "/metadata/description", "/metadata/userData1", "/metadata/userData2", "/metadata/labels/*")
		}
		for _, field := range fields {
			_, exempt := nothingRefused[string(kind)+" "+field]
			if had := slices.ContainsFunc(refused[kind], func(p string) bool { return matches(field, p) }); had == exempt {
				t.Errorf("%s %s: has a refused case: %v, is listed as never refused: %v", kind, field, had, exempt)
			}
		}
	}
}

// leaves lists the JSON pointers of a type's fields that hold no further ones,
// with * for an index or key.
func leaves(pointer string, t reflect.Type) []string {
	switch {
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[WikiIstio]():
		return []string{pointer}
	case t.Kind() == reflect.Pointer:
		return leaves(pointer, t.Elem())
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
		return leaves(pointer+"/*", t.Elem())
	case t.Kind() != reflect.Struct:
		return []string{pointer}
	}
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "istio" && t == reflect.TypeFor[InboundSpec]() {
			continue // gone when Normalize has run: its fields are refused where it moves them
		}
		out = append(out, leaves(pointer+"/"+name, t.Field(i).Type)...)
	}
	return out
}

func matches(pattern, pointer string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(pointer, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != "*" && want[i] != got[i] {
			return false
		}
	}
	return true
}
