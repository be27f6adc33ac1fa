package snapshot

import (
	"maps"
	"slices"
	"unsafe"
	"weak"

	"google.golang.org/protobuf/encoding/protowire"
)

// sharedBytes remembers an encoded message for as long as some stream holds
// it: streams that send the same message share its bytes, and nobody keeps
// what nobody sends.
type sharedBytes struct {
	first  weak.Pointer[byte]
	length int
}

func share(b []byte) sharedBytes { return sharedBytes{weak.Make(&b[0]), len(b)} }

// value returns the bytes, or nil when they are gone.
func (s sharedBytes) value() []byte {
	if first := s.first.Value(); first != nil {
		return unsafe.Slice(first, s.length)
	}
	return nil
}

// messageKey tells a set's messages apart: the type URL that was asked for,
// and for a delta the version it starts from.
type messageKey struct {
	typeURL string
	delta   bool
	from    string
}

// Field numbers of envoy.service.discovery.v3: DiscoveryResponse,
// DeltaDiscoveryResponse and Resource.
const (
	responseVersion   = 1
	responseResources = 2
	responseTypeURL   = 4
	responseNonce     = 5

	deltaVersion   = 1
	deltaResources = 2
	deltaTypeURL   = 4
	deltaNonce     = 5
	deltaRemoved   = 6

	resourceVersion = 1
	resourceBody    = 2
	resourceName    = 3
)

// StateOfTheWorld is the encoded envoy.service.discovery.v3.DiscoveryResponse
// that holds the whole set under the type URL that was asked for. Version and
// nonce are the set's version, so the bytes are the same for every stream.
// Callers must not change them.
func (t *TypeSet) StateOfTheWorld(typeURL string) []byte {
	return t.message(messageKey{typeURL: typeURL}, func() []byte {
		size := 256 + len(typeURL)
		for o := range t.All() {
			size += len(o.entry) + 6
		}
		b := appendString(make([]byte, 0, size), responseVersion, t.version)
		for o := range t.All() {
			b = appendBytes(b, responseResources, o.entry)
		}
		b = appendString(b, responseTypeURL, typeURL)
		return appendString(b, responseNonce, t.version)
	})
}

// Delta is the encoded envoy.service.discovery.v3.DeltaDiscoveryResponse that
// leads from an older set to this one; a nil old means from nothing. It is nil
// when the sets are equal. Callers must not change the bytes.
func (t *TypeSet) Delta(old *TypeSet, typeURL string) []byte {
	if old == t {
		return nil
	}
	key := messageKey{typeURL: typeURL, delta: true}
	if old != nil {
		key.from = old.version
	}
	return t.message(key, func() []byte {
		changed, removed := t.since(old)
		return t.encodeDelta(changed, removed, typeURL)
	})
}

// DeltaFrom is Delta for a client that says which objects it has, by
// namespace/name and version (initial_resource_versions). It is never nil: a
// client that comes back with everything still learns that it has.
func (t *TypeSet) DeltaFrom(have map[string]string, typeURL string) []byte {
	var changed []*Object
	for o := range t.All() {
		if version, ok := have[o.FullName()]; !ok || version != o.Version {
			changed = append(changed, o)
		}
	}
	var removed []string
	for name := range have {
		if t.Get(name) == nil {
			removed = append(removed, name)
		}
	}
	slices.Sort(removed)
	return t.encodeDelta(changed, removed, typeURL)
}

// since lists what leads from an older set to this one.
func (t *TypeSet) since(old *TypeSet) (changed []*Object, removed []string) {
	if old == nil {
		return slices.Collect(t.All()), nil
	}
	if t.step.from == old.version {
		return t.step.changed, t.step.removed
	}
	for _, name := range t.differing(old) {
		if o := t.Get(name); o != nil {
			changed = append(changed, o)
		} else {
			removed = append(removed, name)
		}
	}
	return changed, removed
}

// differing lists the names of the objects that only one of two sets has, or
// that are not the same in both, in order.
func (t *TypeSet) differing(old *TypeSet) (names []string) {
	if near, ok := t.near(old); ok {
		slices.Sort(near)
		return slices.DeleteFunc(slices.Compact(near), func(name string) bool { return same(old.Get(name), t.Get(name)) })
	}
	theirs, ours := old.objects.Iter(), t.objects.Iter()
	hasOld, hasNew := theirs.First(), ours.First()
	for hasOld || hasNew {
		switch {
		case !hasNew || hasOld && theirs.Key() < ours.Key():
			names = append(names, theirs.Key())
			hasOld = theirs.Next()
		case !hasOld || ours.Key() < theirs.Key():
			names = append(names, ours.Key())
			hasNew = ours.Next()
		default:
			if !same(ours.Value(), theirs.Value()) {
				names = append(names, ours.Key())
			}
			hasOld, hasNew = theirs.Next(), ours.Next()
		}
	}
	return names
}

func same(a, b *Object) bool {
	return a == b || a != nil && b != nil && a.sum == b.sum
}

// near lists all names in which two sets may differ when one came from the
// other in one step, bridges aside. It is false when they are further apart.
func (t *TypeSet) near(old *TypeSet) (names []string, ok bool) {
	if t.step.from != old.version && old.step.from != t.version {
		if t.step.under != nil {
			names = append(names, t.step.names()...)
			t = t.step.under
		}
		if old.step.under != nil {
			names = append(names, old.step.names()...)
			old = old.step.under
		}
	}
	switch {
	case t == old:
		return names, true
	case t.step.from == old.version:
		return append(names, t.step.names()...), true
	case old.step.from == t.version:
		return append(names, old.step.names()...), true
	}
	return nil, false
}

func (t *TypeSet) encodeDelta(changed []*Object, removed []string, typeURL string) []byte {
	size := 256 + len(typeURL)
	for _, o := range changed {
		size += len(o.entry) + len(o.FullName()) + 48
	}
	b := appendString(make([]byte, 0, size), deltaVersion, t.version)
	for _, o := range changed {
		var resource []byte
		resource = appendString(resource, resourceVersion, o.Version)
		resource = appendBytes(resource, resourceBody, o.entry)
		resource = appendString(resource, resourceName, o.FullName())
		b = appendBytes(b, deltaResources, resource)
	}
	b = appendString(b, deltaTypeURL, typeURL)
	b = appendString(b, deltaNonce, t.version)
	for _, name := range removed {
		b = appendString(b, deltaRemoved, name)
	}
	return b
}

// message returns the encoded message that some stream still holds, or makes
// it. Those that nobody holds are forgotten on the way: the keys are clients'
// to choose, and a set may live for ever.
func (t *TypeSet) message(key messageKey, encode func() []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.encoded[key].value(); b != nil {
		return b
	}
	b := encode()
	maps.DeleteFunc(t.encoded, func(_ messageKey, old sharedBytes) bool { return old.value() == nil })
	t.encoded[key] = share(b)
	return b
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}
