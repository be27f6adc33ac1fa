package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// client bounds a request that a killed node never answers.
var client = &http.Client{Timeout: 30 * time.Second}

// Send sends one request with a YAML body, "" for none, and returns what was
// answered.
func (h *Hub) Send(method, path, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequest(method, h.URL()+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/yaml")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Put stores an object and fails the test unless it was accepted.
func (h *Hub) Put(t testing.TB, path, body string) {
	t.Helper()
	h.must(t, http.MethodPut, path, body, http.StatusOK, http.StatusCreated)
}

// Delete deletes an object and fails the test unless it was there.
func (h *Hub) Delete(t testing.TB, path string) {
	t.Helper()
	h.must(t, http.MethodDelete, path, "", http.StatusNoContent)
}

func (h *Hub) must(t testing.TB, method, path, body string, want ...int) []byte {
	t.Helper()
	status, answer, err := h.Send(method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	for _, w := range want {
		if status == w {
			return answer
		}
	}
	t.Fatalf("%s %s: %d %s", method, path, status, answer)
	return nil
}

// Get reads JSON into a value.
func (h *Hub) Get(t testing.TB, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(h.must(t, http.MethodGet, path, "", http.StatusOK), into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// Run runs a client command of the binary against the node, and returns what
// it printed.
func (h *Hub) Run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), append(args, "--server", h.URL())...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("meshwright %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// Object is a Kubernetes object of a bundle.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec map[string]any `json:"spec"`
}

// ID is the object's kind, namespace and name.
func (o Object) ID() string {
	return fmt.Sprintf("%s %s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name)
}

// Bundle is what a cluster, "provider/cluster", gets over xDS.
func (h *Hub) Bundle(t testing.TB, cluster string) []Object {
	t.Helper()
	var list struct {
		Items []Object `json:"items"`
	}
	provider, name, _ := strings.Cut(cluster, "/")
	h.Get(t, "/v2/cluster-providers/"+provider+"/clusters/"+name+"/bundle?channel=xds", &list)
	return list.Items
}

// Raw is the body of an istio-resources intent that holds a manifest for one
// cluster.
func Raw(t testing.TB, cluster, manifest string) (name, body string) {
	t.Helper()
	var resource map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &resource); err != nil {
		t.Fatal(err)
	}
	provider, clusterName, _ := strings.Cut(cluster, "/")
	name = strings.ToLower(resource["kind"].(string)) + "-" + resource["metadata"].(map[string]any)["name"].(string)
	text, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"clusters": map[string]any{"clusters": []any{map[string]any{"clusterProvider": provider, "cluster": clusterName}}},
			"resource": resource,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name, string(text)
}
