package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

// dice throws a number from 0 to n-1; the label is for who reads the failure.
type dice func(label string, n int) int

// rapidDice can be shrunk to the least fleet that fails.
func rapidDice(rt *rapid.T) dice {
	return func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
}

// seededDice throws the same for the same seed.
func seededDice(seed uint64) dice {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(_ string, n int) int { return r.IntN(n) }
}

// draw builds a fleet out of random choices.
type draw struct {
	roll   dice
	size   fleetSize
	store  *memory
	tally  *tally
	writes []intent.Op // those that were accepted, in their order

	number int            // of the cluster that is drawn
	in     *intent.Object // the group of the inbound that is drawn
	names  int            // that were given away
}

// fleetSize says how many of each there are.
type fleetSize struct{ clusters, groups, perGroup, namespaces int }

func (d *draw) bool(label string) bool { return d.roll(label, 2) == 1 }

func (d *draw) one(label string, of ...string) string { return of[d.roll(label, len(of))] }

func (d *draw) some(label string, of ...string) []string {
	out := []string{}
	for _, s := range of {
		if d.bool(label + " " + s) {
			out = append(out, s)
		}
	}
	return out
}

// A field is one thing that an intent may say, at random, of odds in a hundred
// intents of its kind. A new field of the language is a new line in the table
// of its kind (see fields_test.go).
type field[S intent.Spec] struct {
	name string
	odds int
	set  func(d *draw, s S)
}

// fill gives a legal base some of the fields. One that is refused is left out:
// it may be none that this release supports, or not go with another.
func fill[S intent.Spec](d *draw, p intent.Path, base S, fields []field[S]) S {
	have := base
	for _, f := range fields {
		if d.roll(f.name+"?", 100) >= f.odds {
			continue
		}
		next := copyOf(p, have)
		f.set(d, next)
		d.tally.propose(next)
		row := d.tally.row(string(p.Kind()), f.name)
		if err := normal(p, copyOf(p, next)).Validate(); err != nil {
			row.refuse(err)
			continue
		}
		row.accepted++
		have = next
	}
	return have
}

func copyOf[S intent.Spec](p intent.Path, spec S) S {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "spec": spec})
	if err != nil {
		panic(err) // of values of these tests alone
	}
	o, err := intent.DecodeObject(p, body)
	if err != nil {
		panic(err)
	}
	return o.Spec.(S)
}

func normal(p intent.Path, spec intent.Spec) *intent.Object {
	o := &intent.Object{Path: p, Metadata: intent.Metadata{Name: p.Name()}, Spec: spec}
	o.Normalize()
	return o
}

// put stores an object, unless it is of a kind that is not supported or the
// world is in its way.
func (d *draw) put(p intent.Path, spec intent.Spec, labels map[string]string) bool {
	d.tally.propose(spec)
	o := normal(p, spec)
	o.Metadata.Labels = labels
	op := intent.Op{Method: intent.Put, Path: p, Object: o}
	row := d.tally.row(string(p.Kind()), "")
	err := o.Validate()
	if err == nil {
		err = d.store.apply(op)
	}
	if err != nil {
		row.refuse(err)
		return false
	}
	row.accepted++
	d.writes = append(d.writes, op)
	return true
}

// tally counts what random fleets were given, so that a generator which never
// draws a field, or draws what is never legal, is found out.
type tally struct {
	rows     map[[2]string]*row // by kind and field; field "" is the kind itself
	proposed map[string]bool    // fields of specs that were ever set, as Type.Field
}

type row struct {
	accepted, refused int
	other             error // a refusal for another reason than the release
	notYet            bool
}

func newTally() *tally { return &tally{rows: map[[2]string]*row{}, proposed: map[string]bool{}} }

func (t *tally) row(kind, field string) *row {
	key := [2]string{kind, field}
	if t.rows[key] == nil {
		t.rows[key] = &row{}
	}
	return t.rows[key]
}

func (r *row) refuse(err error) {
	r.refused++
	var refusal *intent.Error
	if errors.As(err, &refusal) && slices.ContainsFunc(refusal.Violations, func(v intent.Violation) bool {
		return strings.Contains(v.Message, "not supported by this release")
	}) {
		r.notYet = true
	} else {
		r.other = err
	}
}

// check fails for a kind or field that was drawn and never accepted though
// this release supports it, and for a field that was never drawn.
func (t *tally) check(tb testing.TB) {
	tb.Helper()
	var lines []string
	for key, r := range t.rows {
		lines = append(lines, fmt.Sprintf("%-22s %-28s %5d accepted %5d refused", key[0], key[1], r.accepted, r.refused))
		switch {
		case r.accepted > 0:
		case r.notYet:
			lines[len(lines)-1] += ": not supported yet"
		default:
			tb.Errorf("%s %s was never accepted, for one because %v", key[0], key[1], r.other)
		}
	}
	slices.Sort(lines)
	tb.Logf("what the fleets were given:\n%s", strings.Join(lines, "\n"))
	for _, kind := range intent.Kinds {
		t.checkDrawn(tb, reflect.TypeOf(intent.NewSpec(kind)).Elem())
	}
}

// checkDrawn holds that every field of a spec, and of what it is made of, was
// set at some time.
func (t *tally) checkDrawn(tb testing.TB, typ reflect.Type) {
	tb.Helper()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !t.proposed[typ.Name()+"."+f.Name] {
			tb.Errorf("no random fleet ever sets %s.%s: add it to fields_test.go", typ.Name(), f.Name)
		} else if inner := structIn(f.Type); inner != nil {
			t.checkDrawn(tb, inner)
		}
	}
}

// structIn is the struct of the language that a type holds, or nil.
func structIn(typ reflect.Type) reflect.Type {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return structIn(typ.Elem())
	case reflect.Struct:
		return typ
	}
	return nil
}

// propose notes the fields that a spec sets.
func (t *tally) propose(spec intent.Spec) { t.note(reflect.ValueOf(spec)) }

func (t *tally) note(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			t.note(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			t.note(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			t.note(v.MapIndex(k))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				t.proposed[v.Type().Name()+"."+v.Type().Field(i).Name] = true
				t.note(v.Field(i))
			}
		}
	}
}
