package intent

import (
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testSet applies objects, given as short paths and specs, in one transaction.
func testSet(t *testing.T, ops ...Op) *Set {
	t.Helper()
	for i := range ops {
		ops[i].Method, ops[i].Object.Path, ops[i].Object.Metadata.Name = Put, ops[i].Path, ops[i].Path.Name()
	}
	s, _, err := NewSet().Apply(Command{Kind: Transact, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func with(short string, spec Spec, labels map[string]string) Op {
	return Op{Path: lengthen(short), Object: &Object{Metadata: Metadata{Labels: labels}, Spec: spec}}
}

// short lists paths as the tests write them.
func short[T any](seq iter.Seq[T], path func(T) Path) string {
	var out []string
	for v := range seq {
		out = append(out, shorten(string(path(v))))
	}
	return strings.Join(out, " ")
}

func TestSetAnswers(t *testing.T) {
	labels := func(env string) map[string]string { return map[string]string{"env": env, "tier": "edge"} }
	group := func(ns string, placements ...Placement) *GroupSpec {
		return &GroupSpec{Namespace: ns, Placements: placements}
	}
	web := &GroupRef{"p", "a", "v1", "web"}
	s := testSet(t,
		with("C/acme/c", &ClusterSpec{}, labels("prod")), with("C/acme/a", &ClusterSpec{}, labels("prod")),
		with("C/acme/b", &ClusterSpec{}, labels("test")), with("C/acme/d", &ClusterSpec{}, nil),
		with("G/web", group("shop",
			Placement{App: "cart", Clusters: []ClusterRef{{"acme", "d"}, {"acme", "a"}}, Selector: &Selector{map[string]string{"tier": "edge", "env": "prod"}}},
			Placement{App: "front", Clusters: []ClusterRef{{"acme", "b"}}}), nil),
		with("G/web-1", group("pay", Placement{App: "front", Selector: &Selector{map[string]string{"env": "test"}}}), nil),
		with("G/web/T/t", &TrafficGroupSpec{}, nil), with("G/web-1/T/t", &TrafficGroupSpec{}, nil),
		with("G/web/T/t/I/cart", &InboundSpec{App: "cart", ServiceName: "cart", Port: 80, Protocol: "HTTP", Ports: []ServicePort{{Port: 9, Protocol: "TCP"}, {Name: "x", Port: 10}}}, nil),
		with("G/web/T/t/I/cart-2", &InboundSpec{App: "none", ServiceName: "cart-2", Protocol: "TCP"}, nil),
		with("G/web-1/T/t/I/pay", &InboundSpec{App: "front", ServiceName: "pay", GlobalName: "pay.example"}, nil),
		with("G/web/T/t/I/cart/K/front", &ClientSpec{App: "front"}, nil),
		with("G/web-1/T/t/I/pay/K/front", &ClientSpec{App: "front", Group: web}, nil),
		with("G/web/T/t/X/one", &IstioResourceSpec{Clusters: ClusterChoice{Selector: &Selector{map[string]string{"env": "test"}}}, Resource: RawResource{Kind: "Gateway"}}, nil),
		with("G/web/T/t/X/two", &IstioResourceSpec{Clusters: ClusterChoice{Clusters: []ClusterRef{{"acme", "a"}}}, Resource: RawResource{Kind: "Gateway", Metadata: RawMetadata{Name: "g", Namespace: "other"}}}, nil),
	)
	object := func(o *Object) Path { return o.Path }
	self := func(p Path) Path { return p }
	paths := func(list []Path) string {
		return short(func(yield func(Path) bool) {
			for _, p := range list {
				if !yield(p) {
					return
				}
			}
		}, self)
	}
	get := func(shortPath string) *Object { return s.Get(lengthen(shortPath)) }
	cart := get("G/web/T/t/I/cart")
	cartSpec := cart.Spec.(*InboundSpec)
	for question, answer := range map[string][2]string{
		"all clusters":        {short(s.List(KindCluster, ""), object), "C/acme/a C/acme/b C/acme/c C/acme/d"},
		"a collection":        {short(s.List(KindInbound, "G/web/T/t"), object), ""},
		"a group's inbounds":  {short(s.List(KindInbound, lengthen("G/web")), object), "G/web/T/t/I/cart G/web/T/t/I/cart-2"},
		"a page":              {short(s.ListAfter(KindCluster, "", lengthen("C/acme/b")), object), "C/acme/c C/acme/d"},
		"after one not there": {short(s.ListAfter(KindCluster, "", lengthen("C/acme/aa")), object), "C/acme/b C/acme/c C/acme/d"},
		"children":            {short(s.Children(lengthen("G/web")), object), "G/web/T/t G/web/T/t/I/cart G/web/T/t/I/cart-2 G/web/T/t/I/cart/K/front G/web/T/t/X/one G/web/T/t/X/two"},
		"cluster's children":  {short(s.Children(lengthen("C/acme/a")), object), ""},
		"inbound's children":  {short(s.Children(lengthen("G/web/T/t/I/cart-2")), object), ""},
		"placed, united":      {paths(s.ServerClusters(cart)), "C/acme/a C/acme/c C/acme/d"},
		"placed nowhere":      {paths(s.ServerClusters(get("G/web/T/t/I/cart-2"))), ""},
		"client":              {paths(s.ClientClusters(get("G/web/T/t/I/cart/K/front"))), "C/acme/b"},
		"client of another":   {paths(s.ClientClusters(get("G/web-1/T/t/I/pay/K/front"))), "C/acme/b"},
		"no such group":       {paths(s.Placed("G/none", "front")), ""},
		"guests":              {short(s.Guests(lengthen("G/web")), self), "G/web-1/T/t/I/pay/K/front"},
		"selected by":         {short(s.SelectedBy(labels("test"), nil), object), "G/web-1 G/web/T/t/X/one"},
		"host":                {s.Host(cart) + " " + s.Host(get("G/web-1/T/t/I/pay")), "cart.shop.global pay.example"},
		"raw namespace":       {s.RawNamespace(get("G/web/T/t/X/one")) + " " + s.RawNamespace(get("G/web/T/t/X/two")), "shop other"},
		"ports":               {cartSpec.AllPorts()[0].Name + " " + cartSpec.AllPorts()[1].Name + " " + cartSpec.AllPorts()[2].Name, "http-80 tcp-9 x"},
		"TLS":                 {cartSpec.TLSMode() + " " + (&InboundSpec{Management: &Management{TLSType: TLSNone}}).TLSMode(), "MUTUAL NONE"},
		"cluster name":        {lengthen("C/acme/a").ClusterName() + cart.Path.ClusterName(), "acme/a"},
		"unknown VIP":         {s.VIP("x").V4.String(), "invalid IP"},
	} {
		if diff := cmp.Diff(answer[1], answer[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", question, diff)
		}
	}
	if !cartSpec.IsHTTP() || get("G/web/T/t/I/cart-2").Spec.(*InboundSpec).IsHTTP() {
		t.Error("HTTP or not is mistaken")
	}
	for range s.Children(lengthen("G/web")) {
		break // an iteration may end early
	}
}

func TestFromRecordsRefuses(t *testing.T) {
	header := Record{Header: &Header{Settings: DefaultSettings()}}
	for name, test := range map[string]struct {
		records []Record
		want    string
	}{
		"nothing":   {nil, "read stored set: it is empty"},
		"no header": {[]Record{{VIP: &StoredVIP{}}}, "read stored set: its header is missing"},
		"newer":     {[]Record{header, {}}, "read stored set: a record of unknown content: a newer release wrote it"},
		"bad path":  {[]Record{header, {Object: &StoredObject{Path: "/x", Body: []byte("{}")}}}, `read stored set: "/x" is not the path of an object: see the OpenAPI document for the resource tree`},
		"bad body":  {[]Record{header, {Object: &StoredObject{Path: ClusterPath("a", "b"), Body: []byte("[]")}}}, "read stored set: decode Cluster /v2/cluster-providers/a/clusters/b: json: cannot unmarshal array into Go value of type intent.Object"},
	} {
		s, err := FromRecords(func(yield func(Record, error) bool) {
			for _, r := range test.records {
				if !yield(r, nil) {
					return
				}
			}
		})
		if s != nil || err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}
