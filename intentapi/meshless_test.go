package intentapi_test

import (
	"slices"
	"testing"
)

// meshlessFleet adds to the fleet a service without a mesh, called from
// another cluster, and returns its path.
func (s *server) meshlessFleet() string {
	s.t.Helper()
	s.must(200, "PUT", edge1, `{"metadata":{"name":"edge-1"},"spec":{"network":"n1","gateways":[
		{"name":"eastwestgateway","role":"eastwest","addresses":["192.0.2.1"]},{"name":"ingressgateway","role":"ingress","addresses":["192.0.2.11"]}]}}`)
	s.must(201, "POST", inboundsPath, `{"metadata":{"name":"clock"},"spec":{"app":"basket","appLabel":"app=clock","serviceName":"clock","port":123,"protocol":"UDP","serviceMesh":"none"}}`)
	s.must(201, "POST", inboundsPath+"/clock/clients", `{"metadata":{"name":"web"},"spec":{"app":"web","appLabel":"app=web","namespaces":[],"cidrs":["192.0.2.0/24"]}}`)
	return inboundsPath + "/clock"
}

// TestMeshlessBundle holds that the kinds which istiod does not take are in the
// bundle's share and not in xDS's, whatever a cluster's delivery says.
func TestMeshlessBundle(t *testing.T) {
	s := start(t)
	s.fleet()
	s.meshlessFleet()
	const edge2 = clustersPath + "/edge-2"
	bare := []string{"NetworkPolicy", "Service", "EndpointSlice"}
	for _, delivery := range []string{"both", "xds", "bundle"} {
		s.must(200, "PUT", edge2, `{"metadata":{"name":"edge-2"},"spec":{"network":"n2","delivery":"`+delivery+`"}}`)
		share := func(cluster, channel string) []string {
			return slices.DeleteFunc(kinds(t, s.must(200, "GET", cluster+"/bundle?channel="+channel, "")), func(k string) bool {
				return !slices.Contains(bare, k)
			})
		}
		diff(t, "serving, by bundle", []string{"Service", "NetworkPolicy"}, share(edge1, "bundle"))
		diff(t, "calling, by bundle, delivery "+delivery, []string{"Service", "EndpointSlice"}, share(edge2, "bundle"))
		diff(t, "serving, by xDS", []string{}, append([]string{}, share(edge1, "xds")...))
		diff(t, "calling, by xDS, delivery "+delivery, []string{}, append([]string{}, share(edge2, "xds")...))
	}
}

// TestMeshlessStatus holds that what goes by bundle alone is never said to be
// acknowledged, and that a status names what is left to be done by hand.
func TestMeshlessStatus(t *testing.T) {
	s := start(t)
	s.fleet()
	path := s.meshlessFleet()
	report := s.must(200, "GET", path+"/status", "").decoded(t).(map[string]any)
	delete(report, "revision")
	diff(t, "status", parse(t, `{"path":"`+path+`","warnings":[],"clusters":[
		{"cluster":"acme/edge-1","state":"Pending","problems":[],
		 "message":"istiod does not take Service, NetworkPolicy: they go by the cluster's bundle, and what its installer applied is not known",
		 "objects":[{"kind":"Service","namespace":"shop","name":"clock"},{"kind":"NetworkPolicy","namespace":"shop","name":"mw-shop-production-clock-NAME"}]},
		{"cluster":"acme/edge-2","state":"Failed","message":"it could not be generated in full: see problems",
		 "problems":[{"intent":"`+path+`","message":"without a mesh nothing here opens a way into cluster acme/edge-1: lead what arrives there at 192.0.2.11 on 123/UDP to service shop/clock"}],
		 "objects":[{"kind":"Service","namespace":"shop","name":"clock"},{"kind":"EndpointSlice","namespace":"shop","name":"mw-shop-production-clock-ipv4-NAME"}]}]}`),
		withoutHashes(report))
	s.must(422, "POST", inboundsPath, `{"metadata":{"name":"clock2"},"spec":{"app":"basket","appLabel":"app=clock","serviceName":"clock2","port":123,"protocol":"UDP"}}`)
}

// withoutHashes puts NAME for the hash at the end of generated names.
func withoutHashes(report map[string]any) map[string]any {
	for _, c := range report["clusters"].([]any) {
		for _, o := range c.(map[string]any)["objects"].([]any) {
			object := o.(map[string]any)
			if name := object["name"].(string); len(name) > 16 {
				object["name"] = name[:len(name)-16] + "NAME"
			}
		}
	}
	return report
}
