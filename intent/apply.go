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

// Result is what a command did.
type Result struct {
	Revision Revision  // of the Set after it
	Changes  []Change  // in the order of the operations; none when nothing differed
	Objects  []*Object // per operation: the object after it, nil when deleted
}

// Apply returns the Set after one command, or s itself and an [Error] when the
// command is refused; nothing is half-applied. It is deterministic: it uses
// nothing but s and c. A command that changes nothing leaves the revision.
//
// [ErrUnknownCommand] is no refusal: the replica must stop.
func (s *Set) Apply(c Command) (*Set, Result, error) {
	d := s.draft(c.At)
	var err error
	objects := make([]*Object, len(c.Ops))
	switch c.Kind {
	case Transact:
		if len(c.Ops) > MaxOps {
			err = Errorf(Malformed, "a transaction takes at most %d operations, has %d", MaxOps, len(c.Ops))
			break
		}
		for i, op := range c.Ops {
			if objects[i], err = d.do(op); err != nil {
				err = inOp(err, i, op.Path)
				break
			}
		}
		if err == nil {
			err = d.settle(c.Ops)
		}
	case Configure:
		err = d.configure(c.Settings)
	default:
		return s, Result{}, ErrUnknownCommand
	}
	if err != nil {
		return s, Result{Revision: s.revision}, err
	}
	changes := d.changes()
	if len(changes) == 0 && d.next.settings == s.settings {
		return s, Result{Revision: s.revision, Objects: objects}, nil
	}
	return d.next, Result{Revision: d.next.revision, Changes: changes, Objects: objects}, nil
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

// draft is the next Set while a command builds it. It copies a tree when it
// first writes to it.
type draft struct {
	base, next *Set
	own        map[Kind]bool // trees that are next's own
	ownIndex   bool
	ownVIPs    bool
	touched    []Path // in order, each once
	seen       map[Path]bool
}

func (s *Set) draft(at time.Time) *draft {
	next := &Set{
		revision: s.revision + 1, at: at, settings: s.settings, nextVIP: s.nextVIP,
		objects: maps.Clone(s.objects), index: s.index, vips: s.vips,
	}
	if next.at.Before(s.at) {
		next.at = s.at
	}
	return &draft{base: s, next: next, own: map[Kind]bool{}, seen: map[Path]bool{}}
}

func (d *draft) tree(k Kind) *objectTree {
	if !d.own[k] {
		d.base.mu.Lock()
		d.next.objects[k] = d.base.objects[k].Copy()
		d.base.mu.Unlock()
		d.own[k] = true
	}
	return d.next.objects[k]
}

func (d *draft) index() *indexTree {
	if !d.ownIndex {
		d.base.mu.Lock()
		d.next.index = d.base.index.Copy()
		d.base.mu.Unlock()
		d.ownIndex = true
	}
	return d.next.index
}

func (d *draft) vips() *vipTree {
	if !d.ownVIPs {
		d.base.mu.Lock()
		d.next.vips = d.base.vips.Copy()
		d.base.mu.Unlock()
		d.ownVIPs = true
	}
	return d.next.vips
}

// changes compares the touched objects with the base, dropping what came and
// went within the command.
func (d *draft) changes() []Change {
	var out []Change
	for _, p := range d.touched {
		c := Change{Path: p, Old: d.base.Get(p), New: d.next.Get(p)}
		if c.Old != c.New {
			out = append(out, c)
		}
	}
	return out
}

// do carries out one operation.
func (d *draft) do(op Op) (*Object, error) {
	old := d.next.Get(op.Path)
	if err := checkConditions(op, old); err != nil {
		return nil, err
	}
	switch op.Method {
	case Create, Put:
		if op.Object == nil {
			return nil, Errorf(Malformed, "a %s needs an object", op.Method)
		}
		if old != nil && op.Method == Create {
			return nil, Errorf(Conflict, "the %s exists already: use PUT to replace it", op.Path.Kind().Noun())
		}
		if err := d.checkParent(op.Path); err != nil {
			return nil, err
		}
		return d.put(op, old), nil
	case Delete:
		return nil, d.delete(op, old)
	}
	return nil, Errorf(Malformed, "method %q is none of POST, PUT, DELETE", clip(string(op.Method)))
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

// replace swaps one object and its index keys. When a group's namespace
// changes, the keys that depend on it move along.
func (d *draft) replace(p Path, old, o *Object) {
	var moved []*Object
	if old != nil && o != nil && p.Kind() == KindGroup && old.Spec.(*GroupSpec).Namespace != o.Spec.(*GroupSpec).Namespace {
		moved = d.next.namespaced(p)
	}
	d.unindex(append(moved, old)...)
	if o == nil {
		d.tree(p.Kind()).Delete(p)
	} else {
		d.tree(p.Kind()).Set(p, o)
	}
	d.reindex(append(moved, o)...)
	if !d.seen[p] {
		d.seen[p] = true
		d.touched = append(d.touched, p)
	}
}

// namespaced lists a group's objects whose index keys hold its namespace.
func (s *Set) namespaced(group Path) []*Object {
	return slices.AppendSeq(slices.Collect(s.List(KindInbound, group)), s.List(KindIstioResource, group))
}

func (d *draft) unindex(objects ...*Object) {
	for _, o := range objects {
		if o == nil {
			continue
		}
		for _, key := range d.next.keysOf(o) {
			d.index().Delete(key)
		}
	}
}

func (d *draft) reindex(objects ...*Object) {
	for _, o := range objects {
		if o == nil {
			continue
		}
		for _, key := range d.next.keysOf(o) {
			d.index().Set(key, o.Path)
		}
	}
}
