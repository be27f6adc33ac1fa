package intent

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxLabels bounds the labels of one object.
const maxLabels = 64

// Validate reports everything that is wrong with one object by itself, as an
// [Error] of kind [Invalid], or nil. Call [Object.Normalize] first.
func (o *Object) Validate() error {
	var v violations
	checkSizes(v.in("spec"), reflect.ValueOf(o.Spec))
	if err := v.err("the " + nounOf[o.Kind()] + " is too large"); err != nil {
		err.(*Error).Path = o.Path
		return err
	}
	m := v.in("metadata")
	if msg := CheckName(o.Metadata.Name); msg != "" {
		m.in("name").add("%s", msg)
	} else if o.Metadata.Name != o.Path.Name() {
		m.in("name").add("%q is not the name in the path, %q", o.Metadata.Name, o.Path.Name())
	}
	for _, f := range []struct{ field, value string }{
		{"description", o.Metadata.Description}, {"userData1", o.Metadata.UserData1}, {"userData2", o.Metadata.UserData2},
	} {
		if len(f.value) > 4096 {
			m.in(f.field).add("must be at most 4096 bytes, has %d", len(f.value))
		}
	}
	validateLabels(m.in("labels"), o.Metadata.Labels)
	o.Spec.validate(v.in("spec"))
	err := v.err("the " + nounOf[o.Kind()] + " is not legal")
	if err != nil {
		err.(*Error).Path = o.Path
	}
	return err
}

// nounOf is what messages call an object of a kind.
var nounOf = map[Kind]string{
	KindCluster:       "cluster",
	KindGroup:         "deployment intent group",
	KindTrafficGroup:  "traffic group intent",
	KindInbound:       "inbound intent",
	KindClient:        "client",
	KindAccessPoint:   "access point",
	KindRoutingRule:   "routing rule",
	KindOutbound:      "outbound intent",
	KindIstioResource: "Istio resource",
}

// Noun is what messages call an object of kind k: "inbound intent".
func (k Kind) Noun() string { return nounOf[k] }

// violations collects what is wrong below one JSON pointer. The zero value is
// the root of a body.
type violations struct {
	pointer string
	list    *[]Violation
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// in is the same collection, one member down.
func (v *violations) in(member string) *violations {
	if v.list == nil {
		v.list = new([]Violation)
	}
	return &violations{pointer: v.pointer + "/" + pointerEscape.Replace(member), list: v.list}
}

// at is the same collection, one index down.
func (v *violations) at(i int) *violations { return v.in(itoa(i)) }

func (v *violations) add(format string, args ...any) {
	if v.list == nil {
		v.list = new([]Violation)
	}
	*v.list = append(*v.list, Violation{Field: v.pointer, Message: fmt.Sprintf(format, args...)})
}

// check adds a message unless it is empty.
func (v *violations) check(message string) {
	if message != "" {
		v.add("%s", message)
	}
}

// oneOf adds a message unless got is one of want; an empty string in want
// makes the field optional.
func (v *violations) oneOf(got string, want ...string) {
	if !slices.Contains(want, got) {
		shown := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
		v.add("%q is none of %s", clip(got), strings.Join(shown, ", "))
	}
}

func (v *violations) err(detail string) error {
	if v.list == nil || len(*v.list) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Detail: detail, Violations: *v.list}
}

func eachNotEmpty(v *violations, list []string) {
	for i, s := range list {
		v.at(i).check(checkNotEmpty(s))
	}
}

func validateLabels(v *violations, labels map[string]string) {
	if len(labels) > maxLabels {
		v.add("must be at most %d labels, are %d", maxLabels, len(labels))
	}
	for _, k := range sortedKeys(labels) {
		v.in(k).check(checkLabelKey(k))
		v.in(k).check(checkLabelValue(labels[k]))
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []string {
	keys := make([]string, 0, len(m))
	for k := range maps.Keys(m) {
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	return keys
}

func itoa(n int) string { return strconv.Itoa(n) }
