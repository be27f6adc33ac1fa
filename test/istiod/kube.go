package istiod

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startKube runs an API server that has nothing and takes nothing, and returns
// a kubeconfig for it: lists are empty, watches are silent, every object is
// missing and every write is refused. Somebody else holds each leader lock, so
// that istiod does not try for ever to write what it would as the leader.
func startKube(t testing.TB) (kubeconfig string) {
	t.Helper()
	stop := make(chan struct{})
	srv := httptest.NewServer(kube{stop})
	t.Cleanup(func() {
		close(stop) // ends the watches, which Close waits for
		srv.Close()
	})
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: stub
clusters: [{name: stub, cluster: {server: %q}}]
contexts: [{name: stub, context: {cluster: stub, user: stub}}]
users: [{name: stub, user: {}}]
`, srv.URL)
}

// kube is the handler behind startKube; its watches end when stop is closed.
type kube struct{ stop <-chan struct{} }

func (k kube) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.Method != http.MethodGet:
		status(w, http.StatusForbidden, "Forbidden")
	case r.URL.Path == "/version":
		reply(w, http.StatusOK, `{"major":"1","minor":"36","gitVersion":"v1.36.0"}`)
	case query.Get("sendInitialEvents") == "true":
		status(w, http.StatusUnprocessableEntity, "Invalid") // the client lists instead
	case query.Get("watch") == "true" || query.Get("watch") == "1":
		k.watch(w, r)
	default:
		k.get(w, r)
	}
}

// watch says nothing until either side goes.
func (k kube) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	select {
	case <-k.stop:
	case <-r.Context().Done():
	}
}

// get answers discovery and collections; a single object is not found.
func (kube) get(w http.ResponseWriter, r *http.Request) {
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case r.URL.Path == "/api":
		reply(w, http.StatusOK, `{"kind":"APIVersions","versions":["v1"]}`)
	case r.URL.Path == "/apis":
		reply(w, http.StatusOK, `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`)
	case parts[0] == "api" && len(parts) > 2:
		collection(w, r, parts[2:])
	case parts[0] == "apis" && len(parts) > 3:
		collection(w, r, parts[3:])
	case parts[0] == "api" || parts[0] == "apis":
		reply(w, http.StatusOK, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[]}`)
	default:
		status(w, http.StatusNotFound, "NotFound")
	}
}

// collection takes the path below the API version: resource[/name] or
// namespaces/namespace/resource[/name].
func collection(w http.ResponseWriter, r *http.Request, path []string) {
	if path[0] == "namespaces" && len(path) > 2 {
		path = path[2:]
	}
	if len(path) > 1 {
		object(w, path[0], path[1])
		return
	}
	// A typed client reads a list without a kind as the one it asked for; the
	// metadata client wants it named.
	kind := ""
	if strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
		kind = `"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",`
	}
	reply(w, http.StatusOK, `{`+kind+`"metadata":{"resourceVersion":"1"},"items":[]}`)
}

// locks are the ConfigMaps that istiod uses as leader locks, by their ending;
// "istio-sidecar-injector" is a real one and must stay missing.
var locks = regexp.MustCompile("^istio-.*(leader|election|autoallocate)$")

// object answers a leader lock, which istiod keeps in Leases and ConfigMaps;
// there is nothing else. The time moves, or the lock would be taken for a dead
// one's.
func object(w http.ResponseWriter, resource, name string) {
	now := time.Now().UTC()
	switch {
	case resource == "leases":
		reply(w, http.StatusOK, fmt.Sprintf(
			`{"metadata":{"name":%q},"spec":{"holderIdentity":"nobody","leaseDurationSeconds":3600,"renewTime":%q}}`,
			name, now.Format("2006-01-02T15:04:05.000000Z07:00")))
	case resource == "configmaps" && locks.MatchString(name):
		record := fmt.Sprintf(`{"holderIdentity":"nobody","leaseDurationSeconds":3600,"renewTime":%q,"leaderTransitions":%d}`,
			now.Format(time.RFC3339), now.UnixMilli())
		reply(w, http.StatusOK, fmt.Sprintf(
			`{"metadata":{"name":%q,"annotations":{"control-plane.alpha.kubernetes.io/leader":%q}}}`, name, record))
	default:
		status(w, http.StatusNotFound, "NotFound")
	}
}

func status(w http.ResponseWriter, code int, reason string) {
	reply(w, code, fmt.Sprintf(
		`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"stub API server: %s","reason":%q,"code":%d}`,
		reason, reason, code))
}

func reply(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body) // the client has gone: nobody to tell
}
