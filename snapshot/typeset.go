package snapshot

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/tidwall/btree"
)

// TypeSet holds all objects of one type that a cluster gets. It is immutable;
// clusters whose sets are equal share one.
type TypeSet struct {
	Type *Type

	sum     setSum
	version string
	objects *btree.Map[string, *Object] // by namespace/name
	step    step                        // how it came about
	sets    *sets                       // that it is one of

	mu      sync.Mutex // guards encoded
	encoded map[messageKey]sharedBytes

	bridging sync.Mutex                       // guards bridges; held while one is made
	bridges  map[string]weak.Pointer[TypeSet] // to this set, by the version they come from
}

// step is the change that made a set out of another one, so that the common
// delta, from one set to the next, needs no walk over the objects.
type step struct {
	from    string // version of the earlier set
	changed []*Object
	removed []string
	under   *TypeSet // the earlier set itself, when this one is a bridge to it
}

// names are those of the objects in which the two sets may differ.
func (s *step) names() []string {
	names := slices.Clone(s.removed)
	for _, o := range s.changed {
		names = append(names, o.FullName())
	}
	return names
}

// setSum is the sum of the hashes of a set's members modulo 2^512, after
// Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing:
// Incrementality at Reduced Cost" (1997). It makes the version of a set after
// one change cost one change, whatever the size of the set. At 512 bits the
// generalised birthday attack stays out of reach of any number of objects that
// a store can hold.
type setSum [8]uint64

func sumOf(o *Object) setSum {
	var s setSum
	wide := sha512.Sum512(o.sum[:])
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(wide[i*8:])
	}
	return s
}

func (s setSum) add(o *Object) setSum {
	var carry uint64
	for i, x := range sumOf(o) {
		s[i], carry = bits.Add64(s[i], x, carry)
	}
	return s
}

func (s setSum) subtract(o *Object) setSum {
	var borrow uint64
	for i, x := range sumOf(o) {
		s[i], borrow = bits.Sub64(s[i], x, borrow)
	}
	return s
}

func (s setSum) version(t *Type) string {
	h := sha256.New()
	h.Write([]byte(t.Group + "/" + t.Kind + "\x00"))
	for _, word := range s {
		h.Write(binary.LittleEndian.AppendUint64(nil, word))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Version is the hash of the set's objects: equal sets have equal versions, on
// every replica and after every restart.
func (t *TypeSet) Version() string { return t.version }

// Len counts the objects.
func (t *TypeSet) Len() int { return t.objects.Len() }

// Get returns the object with a namespace/name, or nil.
func (t *TypeSet) Get(name string) *Object {
	o, _ := t.objects.Get(name)
	return o
}

// All yields the objects in the order of their namespace/name.
func (t *TypeSet) All() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		t.objects.Scan(func(_ string, o *Object) bool { return yield(o) })
	}
}

// replacement is one object's change in a set: old is nil for a new object,
// new for a removed one.
type replacement struct{ old, new *Object }

// sets makes type sets and sees to it that equal ones are the same value. It
// remembers them weakly: a set that no cluster has any more is forgotten.
type sets struct {
	mu    sync.Mutex
	known map[setKey]weak.Pointer[TypeSet]
}

type setKey struct {
	id  TypeID
	sum setSum
}

func newSets() *sets { return &sets{known: map[setKey]weak.Pointer[TypeSet]{}} }

func (s *sets) empty(t *Type) *TypeSet {
	return s.intern(t, setSum{}, func() *TypeSet { return &TypeSet{objects: &btree.Map[string, *Object]{}} })
}

// after is the set that replacements make out of from, in any order: a name
// may pass from one maker's object, which goes, to another's, which comes.
func (s *sets) after(from *TypeSet, replacements []replacement) *TypeSet {
	return s.replaced(from, replacements, nil)
}

// over is the bridge that replacements make out of the set that it leads to.
func (s *sets) over(next *TypeSet, replacements []replacement) *TypeSet {
	return s.replaced(next, replacements, next)
}

func (s *sets) replaced(from *TypeSet, replacements []replacement, under *TypeSet) *TypeSet {
	sum := from.sum
	for _, r := range replacements {
		if r.old != nil {
			sum = sum.subtract(r.old)
		}
		if r.new != nil {
			sum = sum.add(r.new)
		}
	}
	return s.intern(from.Type, sum, func() *TypeSet {
		next := &TypeSet{objects: from.objects.Copy(), step: step{from: from.version, under: under}}
		for _, r := range replacements {
			if r.new == nil {
				next.objects.Delete(r.old.FullName())
			}
		}
		for _, r := range replacements {
			if r.new != nil {
				next.objects.Set(r.new.FullName(), r.new)
				next.step.changed = append(next.step.changed, r.new)
			}
		}
		for _, r := range replacements {
			if r.new == nil && next.Get(r.old.FullName()) == nil {
				next.step.removed = append(next.step.removed, r.old.FullName())
			}
		}
		return next
	})
}

// intern returns the known set with a sum, or makes it.
func (s *sets) intern(t *Type, sum setSum, build func() *TypeSet) *TypeSet {
	key := setKey{t.ID, sum}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[key].Value(); known != nil {
		return known
	}
	set := build()
	set.Type, set.sum, set.version, set.sets = t, sum, sum.version(t), s
	set.encoded = map[messageKey]sharedBytes{}
	pointer := weak.Make(set)
	s.known[key] = pointer
	runtime.AddCleanup(set, func(key setKey) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.known[key] == pointer { // a later set with the same sum stays
			delete(s.known, key)
		}
	}, key)
	return set
}
