package intent

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// Change is what a command did to one object. Old is nil for a new object,
// New for a deleted one.
type Change struct {
	Path Path
	Old  *Object
	New  *Object
}

// Transaction is what one mutating command changed.
type Transaction struct {
	Revision Revision
	Changes  []Change
}

// Result is what a command did.
type Result struct {
	Revision Revision  // of the Set after it
	Changes  []Change  // in the order of the operations; none when nothing differed
	Objects  []*Object // per operation: the object after it, nil when deleted
	Effects  []Effect  // per operation

	// Repeated says that the command's ID was applied before, and nothing was
	// done now: Revision and Effects are those of the first time, Changes is
	// empty and Objects are as they stand now, nil where one is gone.
	Repeated bool
}

// Apply returns the Set after one command, or s itself and an [Error] when the
// command is refused; nothing is half-applied. It is deterministic: it uses
// nothing but s and c. A command that changes no object or setting leaves the
// revision. The objects of c become part of the Set and must not be changed
// any more.
//
// [ErrUnknownCommand] is no refusal: the replica must stop.
func (s *Set) Apply(c Command) (*Set, Result, error) {
	switch c.Kind {
	case Transact, Configure:
	case Confirm:
		return s.confirm(c)
	default:
		return s, Result{}, ErrUnknownCommand
	}
	c, err := c.identified()
	if err != nil {
		return s, Result{Revision: s.revision}, err
	}
	if r, ok, err := s.repeated(c); ok || err != nil {
		return s, r, err
	}
	d := s.draft(c.At)
	r := Result{Revision: d.next.revision}
	if c.Kind == Configure {
		err = d.configure(c.Settings)
	} else {
		err = d.transact(c.Ops, &r)
	}
	if err != nil {
		return s, Result{Revision: s.revision}, err
	}
	r.Changes = d.changes()
	if len(r.Changes) == 0 && d.next.settings == s.settings {
		d = s.draft(c.At) // what came and went leaves no trace
		d.next.revision, r.Revision = s.revision, s.revision
		if c.ID == "" {
			return s, r, nil
		}
	}
	d.remember(c, r)
	return d.next, r, nil
}

// transact carries out the operations, and judges what they made together.
func (d *draft) transact(ops []Op, r *Result) error {
	if len(ops) > MaxOps {
		return Errorf(Malformed, "a transaction takes at most %d operations, has %d", MaxOps, len(ops))
	}
	for i, op := range ops {
		o, effect, err := d.do(op)
		if err != nil {
			return inOp(err, i, op.Path)
		}
		r.Objects, r.Effects = append(r.Objects, o), append(r.Effects, effect)
	}
	return d.settle(ops)
}

func inOp(err error, i int, p Path) error {
	if e, ok := err.(*Error); ok {
		e.Op = i
		if e.Path == "" {
			e.Path = p
		}
	}
	return err
}

// do carries out one operation. What it returns is the object after it.
func (d *draft) do(op Op) (*Object, Effect, error) {
	if err := checkShape(op); err != nil {
		return nil, "", err
	}
	old := d.next.Get(op.Path)
	if err := checkConditions(op, old); err != nil {
		return nil, "", err
	}
	if op.Method == Delete {
		return nil, Deleted, d.delete(op, old)
	}
	if old != nil && op.Method == Create {
		return nil, "", Errorf(Conflict, "the %s exists already: use PUT to replace it", op.Path.Kind().Noun())
	}
	if err := d.checkParent(op.Path); err != nil {
		return nil, "", err
	}
	if old == nil {
		if err := d.checkRoom(op.Path); err != nil {
			return nil, "", err
		}
	}
	o := d.put(op, old)
	switch {
	case old == nil:
		return o, Created, nil
	case old == o:
		return o, Unchanged, nil
	}
	return o, Replaced, nil
}

// checkShape refuses an operation that no decoder makes. It judges no field:
// that is done once, before a command is proposed, so that replicas of two
// releases can't disagree about it.
func checkShape(op Op) error {
	p, kind, err := ParsePath(string(op.Path))
	if err != nil {
		return err
	}
	if p != op.Path {
		return Errorf(Malformed, "the path must be written %s", p)
	}
	switch op.Method {
	case Delete:
		return nil
	case Create, Put:
	default:
		return Errorf(Malformed, "method %q is none of POST, PUT, DELETE", clip(string(op.Method)))
	}
	if op.Object == nil || reflect.TypeOf(op.Object.Spec) != reflect.TypeOf(NewSpec(kind)) || reflect.ValueOf(op.Object.Spec).IsNil() {
		return Errorf(Malformed, "a %s needs an object, a whole %s", op.Method, kind.Noun())
	}
	return nil
}

// checkConditions judges If-Match and If-None-Match (RFC 9110, section 13.1).
func checkConditions(op Op, old *Object) error {
	if op.IfNoneMatch && old != nil {
		return Errorf(Precondition, "If-None-Match: the object exists, at resourceVersion %s", old.Metadata.ResourceVersion)
	}
	if len(op.IfMatch) == 0 {
		return nil
	}
	if old == nil {
		return Errorf(Precondition, "If-Match: the object does not exist")
	}
	if slices.Contains(op.IfMatch, "*") || slices.Contains(op.IfMatch, old.Metadata.ResourceVersion) {
		return nil
	}
	return Errorf(Precondition, "If-Match: the object is at resourceVersion %s: read it again and repeat the change", old.Metadata.ResourceVersion)
}

func (d *draft) checkParent(p Path) error {
	for parent := p.Parent(); parent != ""; parent = parent.Parent() {
		if parent.Kind() == KindGroup && d.next.Get(parent) == nil {
			return Errorf(NotFound, "the deployment intent group %s does not exist: create it first", parent)
		}
	}
	if parent := p.Parent(); parent != "" && d.next.Get(parent) == nil {
		return Errorf(Conflict, "its parent, the %s %s, does not exist: create it first", parent.Kind().Noun(), parent)
	}
	return nil
}

// put stores op's object with the metadata that is the store's to set. An
// object that differs in nothing is left as it is.
func (d *draft) put(op Op, old *Object) *Object {
	o := *op.Object
	o.Path = op.Path
	m := &o.Metadata
	m.ResourceVersion, m.Generation = "", 0
	m.CreatedAt, m.UpdatedAt = time.Time{}, time.Time{}
	sameSpec := old != nil && reflect.DeepEqual(old.Spec, o.Spec)
	if sameSpec && sameUserMetadata(old.Metadata, *m) {
		return old
	}
	m.Generation, m.CreatedAt = 1, d.next.at
	if old != nil {
		m.Generation, m.CreatedAt = old.Metadata.Generation, old.Metadata.CreatedAt
		if !sameSpec {
			m.Generation++
		}
	}
	m.UpdatedAt = d.next.at
	m.ResourceVersion = d.next.revision.String()
	o.LastGateways = lastGateways(&o, old)
	d.replace(op.Path, old, &o)
	return &o
}

func sameUserMetadata(a, b Metadata) bool {
	return a.Name == b.Name && a.Description == b.Description &&
		a.UserData1 == b.UserData1 && a.UserData2 == b.UserData2 && maps.Equal(a.Labels, b.Labels)
}

// lastGateways keeps the gateways of a cluster whose new record leaves its
// east-west gateway without an address.
func lastGateways(o, old *Object) []Gateway {
	spec, ok := o.Spec.(*ClusterSpec)
	if !ok || old == nil || spec.hasEastWestAddress() {
		return nil
	}
	if was := old.Spec.(*ClusterSpec); was.hasEastWestAddress() {
		return was.Gateways
	}
	return old.LastGateways
}

func (c *ClusterSpec) hasEastWestAddress() bool {
	g := c.Gateway(EastWest)
	return g != nil && len(g.Addresses) > 0
}

func (d *draft) delete(op Op, old *Object) error {
	if old == nil {
		return Errorf(NotFound, "the %s does not exist", op.Path.Kind().Noun())
	}
	var below []*Object
	for o := range d.next.Children(op.Path) {
		if !op.Cascade {
			return Errorf(Conflict, "it still has children, %s for one: delete them first, or all at once with ?cascade=true", o.Path)
		}
		below = append(below, o)
	}
	for _, o := range slices.Backward(below) {
		d.replace(o.Path, o, nil)
	}
	d.replace(op.Path, old, nil)
	return nil
}
