package intentapi_test

import (
	"slices"
	"testing"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// states are what an intent's status says of each cluster.
func (s *server) states(path string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, c := range s.must(200, "GET", path+"/status", "").decoded(s.t).(map[string]any)["clusters"].([]any) {
		on := c.(map[string]any)
		out[on["cluster"].(string)] = on["state"].(string)
	}
	return out
}

func TestStatus(t *testing.T) {
	s := start(t)
	s.fleet()
	diff(t, "before any edge", map[string]string{"acme/edge-1": "Pending", "acme/edge-2": "Pending"}, s.states(inboundPath))
	fleet := s.must(200, "GET", "/v2/status", "").decoded(t).(map[string]any)
	diff(t, "fleet", parse(t, `{"total":2,"connected":0,"disconnected":0,"neverSeen":2,"behind":2,"withProblems":0}`), fleet["clusters"])
	diff(t, "objects", parse(t, `{"AccessPoint":1,"Client":1,"Cluster":2,"DeploymentIntentGroup":1,"InboundIntent":1,"IstioResource":0,"OutboundIntent":0,"RoutingRule":0,"TrafficGroupIntent":1}`), fleet["objects"])

	path := intent.ClusterPath("acme", "edge-1")
	edge := s.tracker.Connect(path, clusters.Peer{Address: "192.0.2.50:1234", Protocol: "sotw"})
	view := s.views.View(path)
	var names []string
	for _, typ := range snapshot.XDSTypes {
		if view.Type(typ.ID).Len() > 0 {
			name := typ.Group + "/" + typ.Kind
			names = append(names, name)
			edge.Sent(name, view.Type(typ.ID).Version(), view.Revision)
		}
	}
	diff(t, "sent", "Sent", s.states(inboundPath)["acme/edge-1"])
	for i, name := range names {
		typ := snapshot.Types[slices.IndexFunc(snapshot.Types[:], func(t *snapshot.Type) bool { return t.Group+"/"+t.Kind == name })]
		if i == 0 {
			edge.Rejected(name, view.Type(typ.ID).Version(), "no such field")
			continue
		}
		edge.Acknowledged(name, view.Type(typ.ID).Version())
	}
	diff(t, "rejected", "Failed", s.states(inboundPath)["acme/edge-1"])
	status := s.must(200, "GET", edge1+"/status", "").decoded(t).(map[string]any)
	diff(t, "connectivity", "Connected", status["connectivity"])
	diff(t, "types behind", 1.0, status["lag"].(map[string]any)["types"])
	for _, name := range names {
		typ := snapshot.Types[slices.IndexFunc(snapshot.Types[:], func(t *snapshot.Type) bool { return t.Group+"/"+t.Kind == name })]
		edge.Acknowledged(name, view.Type(typ.ID).Version())
	}
	diff(t, "acknowledged", map[string]string{"acme/edge-1": "Acknowledged", "acme/edge-2": "Pending"}, s.states(inboundPath))
	diff(t, "with the group's namespace", map[string]string{"acme/edge-1": "Acknowledged", "acme/edge-2": "Pending"}, s.states(groupPath))
	status = s.must(200, "GET", edge1+"/status", "").decoded(t).(map[string]any)
	diff(t, "lag", parse(t, `{"types":0}`), status["lag"])
	for _, typ := range status["types"].([]any) {
		m := typ.(map[string]any)
		if m["acknowledged"].(map[string]any)["version"] != m["wanted"] {
			t.Errorf("type is not acknowledged as wanted: %v", m)
		}
	}
	edge.Close()
	diff(t, "after the connection", "Disconnected", s.must(200, "GET", edge1+"/status", "").decoded(t).(map[string]any)["connectivity"])
	fleet = s.must(200, "GET", "/v2/status", "").decoded(t).(map[string]any)
	diff(t, "fleet", parse(t, `{"total":2,"connected":0,"disconnected":1,"neverSeen":1,"behind":1,"withProblems":0}`), fleet["clusters"])
	if fleet["oldestUnacknowledgedRevision"] == nil || fleet["behind"].([]any)[0].(map[string]any)["cluster"] != "acme/edge-2" {
		t.Errorf("fleet: %v", fleet)
	}
}

func TestIntentStatusTellsObjectsAndReasons(t *testing.T) {
	s := start(t)
	s.fleet()
	report := s.must(200, "GET", accessPath+"/status", "").decoded(t).(map[string]any)
	if len(report["clusters"].([]any)) == 0 {
		t.Errorf("the access point concerns no cluster: %v", report)
	}
	objects := report["clusters"].([]any)[0].(map[string]any)["objects"].([]any)
	if len(objects) == 0 || objects[0].(map[string]any)["kind"] != "AuthorizationPolicy" {
		t.Errorf("the access point's objects are %v", objects)
	}
	// An edge that takes bundles alone never acknowledges anything.
	s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","delivery":"bundle","gateways":[{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]}]}}`)
	diff(t, "bundle alone", "Pending", s.states(inboundPath)["acme/edge-1"])
	status := s.must(200, "GET", edge1+"/status", "").decoded(t).(map[string]any)
	diff(t, "lag of bundles alone", parse(t, `{"types":0}`), status["lag"])

	// A gateway that never had an address is a reason.
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"edge-3"}}`)
	s.must(200, "PUT", groupPath, `{"metadata":{"name":"production"},"spec":{"namespace":"shop","placements":[
		{"app":"basket","clusters":[{"clusterProvider":"acme","cluster":"edge-3"}]},
		{"app":"web","clusters":[{"clusterProvider":"acme","cluster":"edge-2"}]}]}}`)
	report = s.must(200, "GET", inboundPath+"/status", "").decoded(t).(map[string]any)
	problems := 0
	for _, c := range report["clusters"].([]any) {
		problems += len(c.(map[string]any)["problems"].([]any))
	}
	if problems == 0 {
		t.Errorf("no problem is told: %v", report)
	}

	// An app that runs nowhere.
	s.must(201, "POST", inboundsPath, `{"metadata":{"name":"lone"},"spec":{"app":"lone","appLabel":"a=b","serviceName":"lone","port":1,"protocol":"TCP"}}`)
	report = s.must(200, "GET", inboundsPath+"/lone/status", "").decoded(t).(map[string]any)
	diff(t, "placed nowhere", parse(t, `[]`), report["clusters"])
	if report["message"] == nil {
		t.Error("no reason is told")
	}
	s.must(201, "POST", inboundPath+"/clients", `{"metadata":{"name":"lone"},"spec":{"app":"lone","appLabel":"a=b","namespaces":[],"cidrs":[]}}`)
	report = s.must(200, "GET", inboundPath+"/clients/lone/status", "").decoded(t).(map[string]any)
	diff(t, "client placed nowhere", "its app lone is placed on no registered cluster: nothing is generated where it would call from", report["message"])
	s.must(404, "GET", inboundsPath+"/none/status", "")
}
