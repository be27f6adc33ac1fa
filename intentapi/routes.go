package intentapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// A route is one method of one path template of the OpenAPI document.
type route struct {
	method   string
	template string // with {names}
	do       endpoint
	kind     intent.Kind // of the object that the path names or collects, if any
	open     bool        // answers before the store is ready
	stream   bool        // of events, without end: not for HEAD
}

const clusterTemplate = "/v2/cluster-providers/{provider}/clusters/{cluster}"

// routes lists everything that is served.
func routes() []route {
	all := []route{
		{method: "GET", template: "/healthz", do: healthz, open: true},
		{method: "GET", template: "/readyz", do: readyz, open: true},
		{method: "GET", template: "/metrics", do: metricsPage, open: true},
		{method: "GET", template: "/openapi.yaml", do: openapiYAML, open: true},
		{method: "GET", template: "/openapi.json", do: openapiJSON, open: true},
		{method: "GET", template: "/v2/status", do: fleetStatus},
		{method: "GET", template: "/v2/watch", do: watch, stream: true},
		{method: "POST", template: "/v2/transactions", do: transact},
		{method: "GET", template: clusterTemplate + "/bundle", do: getBundle, kind: intent.KindCluster},
		{method: "POST", template: clusterTemplate + "/bundle", do: postBundle, kind: intent.KindCluster},
		{method: "POST", template: clusterTemplate + "/kv-pairs", do: postKeyValues, kind: intent.KindCluster},
	}
	for _, k := range intent.Kinds {
		item := k.Template()
		collection := item[:strings.LastIndexByte(item, '/')]
		status := intentStatus
		if k == intent.KindCluster {
			status = clusterStatus
		}
		all = append(all,
			route{method: "GET", template: collection, do: list, kind: k},
			route{method: "POST", template: collection, do: create, kind: k},
			route{method: "GET", template: item, do: get, kind: k},
			route{method: "PUT", template: item, do: put, kind: k},
			route{method: "DELETE", template: item, do: remove, kind: k},
			route{method: "GET", template: item + "/status", do: status, kind: k},
		)
	}
	return append(all, notImplemented()...)
}

// notImplemented lists the paths of the contract that this release does not
// serve: each answers 501. What brings one to life moves it to routes and
// drops x-not-implemented from the OpenAPI document.
func notImplemented() []route {
	later := []route{
		{method: "GET", template: "/v2/members"},
		{method: "POST", template: "/v2/members"},
		{method: "DELETE", template: "/v2/members/{member}"},
		{method: "POST", template: "/v2/members/{member}/promote"},
		{method: "GET", template: "/v2/backup"},
		{method: "POST", template: "/v2/backup"},
		{method: "GET", template: clusterTemplate + "/bundle/revisions"},
		{method: "POST", template: clusterTemplate + "/reports"},
	}
	for _, k := range intent.Kinds {
		later = append(later,
			route{method: "GET", template: k.Template() + "/history"},
			route{method: "POST", template: k.Template() + "/rollback"},
		)
	}
	for i := range later {
		later[i].do = notSupported
	}
	return later
}

// ginPath is a template in gin's spelling.
func ginPath(template string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(template)
}

// segmentAliases are the accepted spellings of literal segments of a path,
// each with the place where it may stand. A project may be called "security".
var segmentAliases = []struct {
	place            int
	alias, canonical string
}{
	{8, "traffic-group-intent", "traffic-group-intents"},
	{14, "security", "access-points"},
}

// canonicalURLPath rewrites the aliases in an escaped URL path, or returns ""
// when it has none.
func canonicalURLPath(escaped string) string {
	if !strings.HasPrefix(escaped, "/v2/projects/") {
		return ""
	}
	segments, changed := strings.Split(escaped[1:], "/"), false
	for _, s := range segmentAliases {
		if len(segments) > s.place && segments[s.place] == s.alias {
			segments[s.place], changed = s.canonical, true
		}
	}
	if !changed {
		return ""
	}
	return "/" + strings.Join(segments, "/")
}

func noSuchPath(r *request) (*answer, error) {
	return nil, refuse(http.StatusNotFound, "there is no such path: /openapi.yaml lists those that are served")
}

func noSuchMethod(r *request) (*answer, error) {
	allowed := strings.Split(r.gin.Writer.Header().Get("Allow"), ", ")
	slices.Sort(allowed)
	return nil, refuse(http.StatusMethodNotAllowed, "the path takes "+strings.Join(slices.Compact(allowed), ", ")+" only")
}

func notSupported(*request) (*answer, error) {
	return nil, refuse(http.StatusNotImplemented, "not supported by this release")
}
