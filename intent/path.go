package intent

import (
	"fmt"
	"strings"
)

// Kind names a noun of the REST tree.
type Kind string

// The nouns, each with the collection it stands in (see [layouts]).
const (
	KindCluster       Kind = "Cluster"
	KindGroup         Kind = "DeploymentIntentGroup"
	KindTrafficGroup  Kind = "TrafficGroupIntent"
	KindInbound       Kind = "InboundIntent"
	KindClient        Kind = "Client"
	KindAccessPoint   Kind = "AccessPoint"
	KindRoutingRule   Kind = "RoutingRule"
	KindOutbound      Kind = "OutboundIntent"
	KindIstioResource Kind = "IstioResource"
)

// Kinds lists every kind, parents before children.
var Kinds = []Kind{
	KindCluster, KindGroup, KindTrafficGroup, KindInbound, KindClient,
	KindAccessPoint, KindRoutingRule, KindOutbound, KindIstioResource,
}

// Path is the canonical REST path of an object, for example
// /v2/cluster-providers/acme/clusters/shop-1. It identifies the object
// everywhere: in the store, in events, in annotations and in errors.
type Path string

// A layout is the path of one kind: literal segments, and {names}.
type layout struct {
	kind     Kind
	parent   Kind // empty at the top of the tree
	segments []string
}

const groupLayout = "v2/projects/{project}/composite-apps/{compositeApp}/{version}/deployment-intent-groups/{group}"

var layouts = makeLayouts(
	KindCluster, Kind(""), "v2/cluster-providers/{provider}/clusters/{cluster}",
	KindGroup, Kind(""), groupLayout,
	KindTrafficGroup, KindGroup, groupLayout+"/traffic-group-intents/{tg}",
	KindInbound, KindTrafficGroup, groupLayout+"/traffic-group-intents/{tg}/inbound-intents/{inbound}",
	KindClient, KindInbound, groupLayout+"/traffic-group-intents/{tg}/inbound-intents/{inbound}/clients/{client}",
	KindAccessPoint, KindClient, groupLayout+"/traffic-group-intents/{tg}/inbound-intents/{inbound}/clients/{client}/access-points/{ap}",
	KindRoutingRule, KindInbound, groupLayout+"/traffic-group-intents/{tg}/inbound-intents/{inbound}/routing-rules/{rule}",
	KindOutbound, KindTrafficGroup, groupLayout+"/traffic-group-intents/{tg}/outbound-intents/{outbound}",
	KindIstioResource, KindTrafficGroup, groupLayout+"/traffic-group-intents/{tg}/istio-resources/{name}",
)

func makeLayouts(rows ...any) []layout {
	var out []layout
	for i := 0; i < len(rows); i += 3 {
		out = append(out, layout{
			kind:     rows[i].(Kind),
			parent:   rows[i+1].(Kind),
			segments: strings.Split(rows[i+2].(string), "/"),
		})
	}
	return out
}

// segmentAliases are spellings of literal segments that EMCO's clients use,
// each with the canonical one.
var segmentAliases = map[string]string{
	"traffic-group-intent": "traffic-group-intents",
	"security":             "access-points",
}

const maxName = 63

// CheckName says what is wrong with the name of a project, composite app,
// cluster or intent, or returns "" for a legal one.
func CheckName(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > maxName:
		return fmt.Sprintf("must be at most %d characters, has %d", maxName, len(name))
	case !isName(name):
		return fmt.Sprintf("%q must start and end with a letter or digit and hold only letters, digits, '-', '_' and '.'", name)
	}
	return ""
}

// isName reports whether s is letters, digits, and between them '-', '_' and
// '.': EMCO's names, and the parts of Kubernetes labels.
func isName(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// Template returns the REST path pattern of a kind's items, such as
// /v2/cluster-providers/{provider}/clusters/{cluster}.
func (k Kind) Template() string {
	for _, l := range layouts {
		if l.kind == k {
			return "/" + strings.Join(l.segments, "/")
		}
	}
	return ""
}

// Parent returns the kind that objects of kind k stand under, or "" at the top.
func (k Kind) Parent() Kind {
	for _, l := range layouts {
		if l.kind == k {
			return l.parent
		}
	}
	return ""
}

// ParsePath reads the REST path of an item, takes the accepted aliases of
// segments, and checks each name. Errors are of kind [Malformed].
func ParsePath(s string) (Path, Kind, error) {
	trimmed := strings.Trim(s, "/")
	parts := strings.Split(trimmed, "/")
	for _, l := range layouts {
		if len(l.segments) != len(parts) {
			continue
		}
		if bad, ok := l.match(parts); ok {
			if bad != nil {
				return "", "", bad
			}
			return Path("/" + strings.Join(parts, "/")), l.kind, nil
		}
	}
	return "", "", Errorf(Malformed, "%q is not the path of an object: see the OpenAPI document for the resource tree", clip(s))
}

// match normalises parts in place and reports whether they follow the layout;
// a name that is no name comes back as the error.
func (l layout) match(parts []string) (*Error, bool) {
	var bad *Error
	for i, want := range l.segments {
		if strings.HasPrefix(want, "{") {
			if msg := CheckName(parts[i]); msg != "" && bad == nil {
				bad = Errorf(Malformed, "path segment %s: %s", want, msg)
			}
			continue
		}
		if canonical, ok := segmentAliases[parts[i]]; ok {
			parts[i] = canonical
		}
		if parts[i] != want {
			return nil, false
		}
	}
	return bad, true
}

// clip keeps what an error repeats of the input short.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// Kind returns the noun a canonical path names. It is "" for a path that did
// not come from [ParsePath].
func (p Path) Kind() Kind {
	n := strings.Count(string(p), "/")
	switch n {
	case 5:
		return KindCluster
	case 8:
		return KindGroup
	case 10:
		return KindTrafficGroup
	case 12, 14:
		switch collection := p.Collection(); {
		case strings.HasSuffix(collection, "/inbound-intents"):
			return KindInbound
		case strings.HasSuffix(collection, "/outbound-intents"):
			return KindOutbound
		case strings.HasSuffix(collection, "/istio-resources"):
			return KindIstioResource
		case strings.HasSuffix(collection, "/clients"):
			return KindClient
		case strings.HasSuffix(collection, "/routing-rules"):
			return KindRoutingRule
		}
	case 16:
		return KindAccessPoint
	}
	return ""
}

// Name returns the last segment.
func (p Path) Name() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Collection returns the path of the collection p stands in, without a
// trailing slash.
func (p Path) Collection() string {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return ""
	}
	return string(p[:i])
}

// Parent returns the object that p stands under, or "" at the top of the tree.
func (p Path) Parent() Path {
	if p.Kind().Parent() == "" {
		return ""
	}
	return p.cut(2)
}

// cut drops the last n segments.
func (p Path) cut(n int) Path {
	s := string(p)
	for ; n > 0; n-- {
		i := strings.LastIndexByte(s, '/')
		if i < 0 {
			return ""
		}
		s = s[:i]
	}
	return Path(s)
}

// head keeps the first n segments, or returns "" when there are fewer.
func (p Path) head(n int) Path {
	s := string(p)
	for i := 0; i < len(s); i++ {
		if s[i] != '/' {
			continue
		}
		if n == 0 {
			return Path(s[:i])
		}
		n--
	}
	if n == 0 {
		return p
	}
	return ""
}

// Group returns the deployment intent group that p is or stands under, or "".
func (p Path) Group() Path {
	if !strings.HasPrefix(string(p), "/v2/projects/") {
		return ""
	}
	return p.head(8)
}

// Inbound returns the inbound intent that p is or stands under, or "".
func (p Path) Inbound() Path {
	in := p.head(12)
	if in.Kind() != KindInbound {
		return ""
	}
	return in
}

// Segment returns the i-th segment, counted from 0 after the leading slash.
func (p Path) Segment(i int) string {
	_, rest, _ := strings.Cut(string(p), "/")
	for ; i > 0; i-- {
		_, rest, _ = strings.Cut(rest, "/")
	}
	segment, _, _ := strings.Cut(rest, "/")
	return segment
}

// ClusterPath is the path of a cluster named "provider/cluster" parts.
func ClusterPath(provider, cluster string) Path {
	return Path("/v2/cluster-providers/" + provider + "/clusters/" + cluster)
}

// ClusterName is "provider/cluster" of a cluster's path, as users write it.
func (p Path) ClusterName() string {
	if p.Kind() != KindCluster {
		return ""
	}
	return p.Segment(2) + "/" + p.Segment(4)
}
