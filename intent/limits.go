package intent

import (
	"reflect"
	"regexp/syntax"
	"slices"
	"strings"
)

// What one intent may hold is bounded, for all of it goes to the proxies of
// every cluster that it concerns, some of it many times over. These are far
// beyond what anybody writes by hand.
const (
	maxEntries = 256  // of a list or map
	maxText    = 1024 // bytes of a text
)

// maxOf are the bounds of fields whose lists or texts are others than the
// usual, by type and Go name.
var maxOf = map[string]int{
	// One for each of a fleet's clusters, or of a group's apps.
	"Placement.Clusters":        10000,
	"ClusterChoice.Clusters":    10000,
	"GroupSpec.Placements":      1000,
	"GroupSpec.ServiceAccounts": 1000,
	"Locality.Weights":          1000,

	// Each makes something of all the others'.
	"InboundSpec.Ports":     32,
	"InboundSpec.JWT":       32,
	"AccessPointSpec.Users": 64,
	"ClientSpec.Namespaces": 64,
	"RoutingRuleSpec.Match": 32,
	"RoutingRuleSpec.Split": 100, // whose weights are at least 1

	// Keys, certificates and their chains.
	"JWTRule.JWKS":                    65536,
	"Certificates.ServiceCertificate": 65536,
	"Certificates.ServicePrivateKey":  65536,
	"Certificates.CACertificate":      262144, // a bundle of many
	"OutboundTLS.ClientCertificate":   65536,
	"OutboundTLS.ClientPrivateKey":    65536,
	"OutboundTLS.CACertificate":       262144,

	"RawMetadata.Annotations": 262144, // texts; Kubernetes bounds all of them together
}

// maxBelow bounds what stands below one inbound or client: all of it is worked
// out anew with each change of any of it, and is one object for proxies.
var maxBelow = map[Kind]int{KindClient: 1000, KindAccessPoint: 200, KindRoutingRule: 200}

// checkRoom refuses a new object where there are too many of its kind.
func (d *draft) checkRoom(p Path) error {
	most, bounded := maxBelow[p.Kind()]
	if !bounded {
		return nil
	}
	n := 0
	for range d.next.List(p.Kind(), p.Parent()) {
		if n++; n == most {
			return Errorf(Conflict, "there are %d below the %s already, the most there may be", most, p.Parent().Kind().Noun())
		}
	}
	return nil
}

// checkSizes refuses lists, maps and texts that are too long. It comes before
// all other checks, some of which compare each entry with all others. An Istio
// resource's spec is bounded by its body alone.
func checkSizes(v *violations, value reflect.Value) { sizes(v, value, maxEntries, maxText) }

func sizes(v *violations, value reflect.Value, entries, text int) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			sizes(v, value.Elem(), entries, text)
		}
	case reflect.Struct:
		for i := range value.NumField() {
			f := value.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			entries, text := maxEntries, maxText
			if most, ok := maxOf[value.Type().Name()+"."+f.Name]; ok {
				entries, text = most, most
			}
			sizes(v.in(name), value.Field(i), entries, text)
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		if value.Len() > entries {
			v.add("must be at most %d entries, are %d", entries, value.Len())
			return
		}
		for i := range value.Len() {
			sizes(v.at(i), value.Index(i), maxEntries, maxText)
		}
	case reflect.Map:
		if value.Len() > entries {
			v.add("must be at most %d entries, are %d", entries, value.Len())
			return
		}
		for _, key := range slices.SortedFunc(slices.Values(value.MapKeys()), byText) {
			sizes(v, key, 0, maxText)
			sizes(v.in(clip(key.String())), value.MapIndex(key), maxEntries, text)
		}
	case reflect.String:
		if value.Len() > text {
			v.add("must be at most %d bytes, has %d", text, value.Len())
		}
	}
}

func byText(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }

// maxProgram bounds what a regular expression compiles to. Envoy refuses one
// that is too large together with all routes beside it, whosever they are;
// Istio's proxies draw the line at 32768 instructions.
const maxProgram = 16384

// programSize is about how many instructions proxies make of a regular
// expression. They match bytes: a class of characters takes some for each of
// its ranges beyond ASCII.
func programSize(expression string) (int, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	const perRange = 2
	size := 0
	for _, inst := range program.Inst {
		switch inst.Op {
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			size += 6 * perRange
		case syntax.InstRune:
			size += max(1, perRange*len(inst.Rune)/2)
		default:
			size++
		}
	}
	return size, nil
}
