package intent

import (
	"testing"

	"pgregory.net/rapid"
)

// TestNothingIsLeft deletes all that random commands made, in a random order:
// no object, address or index entry stays.
func TestNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := NewSet()
		grow(rt, &s)
		for range rapid.IntRange(1, 25).Draw(rt, "commands") {
			if next, _, err := s.Apply(randomCommand(rt)); err == nil {
				s = next
			}
		}
		for left := everything(s); len(left) > 0; left = everything(s) {
			before := s
			for _, p := range rapid.Permutation(left).Draw(rt, "order") {
				if next, _, err := s.Apply(Command{Kind: Transact, Ops: []Op{{Method: Delete, Path: p}}}); err == nil {
					s = next
				}
			}
			if s == before {
				rt.Fatalf("none of %q can be deleted", left)
			}
		}
		s.index.Scan(func(key string, p Path) bool {
			rt.Errorf("the index still has %q for %s", key, p)
			return true
		})
		if s.vips.Len() > 0 || s.confirmed.Len() > 0 {
			rt.Errorf("%d addresses and %d confirmations are left", s.vips.Len(), s.confirmed.Len())
		}
	})
}

func everything(s *Set) []Path {
	var out []Path
	for _, k := range Kinds {
		for o := range s.List(k, "") {
			out = append(out, o.Path)
		}
	}
	return out
}
