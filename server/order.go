package server

import (
	"iter"
	"time"

	"github.com/meshwright/meshwright/snapshot"
)

// stage is the place of a type in the order that DESIGN.md calls make before
// break. A type of a later stage relies on those of the earlier ones.
type stage int

const (
	stageNone   stage = iota // relies on nothing, and nothing on it
	stageGuards              // says who may call what the rest exposes
	stageRules               // says how hosts are called
	stageHosts               // hosts, and the gateways at which they are led
	stageRoutes              // names hosts, subsets and gateways
	stageAll                 // after all stages
)

var stages = [len(snapshot.Types)]stage{
	snapshot.PeerAuthentication:    stageGuards,
	snapshot.RequestAuthentication: stageGuards,
	snapshot.AuthorizationPolicy:   stageGuards,
	snapshot.DestinationRule:       stageRules,
	snapshot.ServiceEntry:          stageHosts,
	snapshot.Gateway:               stageHosts,
	snapshot.VirtualService:        stageRoutes,
}

func (s *subscription) stage() stage {
	if s.typ == nil {
		return stageNone
	}
	return stages[s.typ.ID]
}

// order is the subscription's place in a push: the stages in their order, then
// what has none.
func (s *subscription) order() int {
	if s.stage() == stageNone {
		return int(stageAll)
	}
	return int(s.stage())
}

// reliance is what a client may still rely on, of one type. The client's
// routes in use are those of the last view whose routes it was sent, and older
// ones for as long as an overlap is open.
type reliance struct {
	floor *snapshot.TypeSet // provides all that may be relied on
	next  *snapshot.TypeSet // what the floor will be when the overlap closes
	last  *snapshot.TypeSet // of the view whose routes were sent last

	// Of DestinationRule alone: provide the rules for the hosts that the client
	// has, and for those that it was sent last. Nil for none.
	ruled, offered *snapshot.TypeSet
}

// relied is a set that provides all of its type that the client may rely on: for
// its routes, and for its hosts.
func (r *reliance) relied() *snapshot.TypeSet {
	all := r.floor
	for _, set := range []*snapshot.TypeSet{r.offered, r.ruled} {
		if set != nil {
			all = set.Bridge(all)
		}
	}
	return all
}

// overlap is the time between new routes and the end of what only older ones
// name. Routes that are sent while it is open make another one follow.
type overlap struct {
	open   bool
	more   bool      // routes were sent since it was opened
	closes time.Time // zero until the client has acknowledged routes
}

// at yields the subscriptions of the stages from first to last.
func (s *stream) at(first, last stage) iter.Seq[*subscription] {
	return func(yield func(*subscription) bool) {
		for _, sub := range s.subscriptions {
			if st := sub.stage(); first <= st && st <= last && !yield(sub) {
				return
			}
		}
	}
}

// want is what a subscription is to have now, on its way to a view: the view's
// set, with what the client may still rely on.
func (s *stream) want(sub *subscription, view *snapshot.View) *snapshot.TypeSet {
	next := view.OverXDS(sub.typ.ID)
	switch sub.stage() {
	case stageGuards:
		if s.exposes(view) {
			return next
		}
		return next.Bridge(sub.floor)
	case stageRules, stageHosts:
		return next.Bridge(sub.relied())
	}
	return next
}

// of is the subscription to a type, or nil.
func (s *stream) of(id snapshot.TypeID) *subscription {
	for _, sub := range s.subscriptions {
		if sub.typ != nil && sub.typ.ID == id {
			return sub
		}
	}
	return nil
}

// offer notes which rules the hosts of a view need. It comes before they are
// sent.
func (s *stream) offer(view *snapshot.View) {
	if rules := s.of(snapshot.DestinationRule); rules != nil {
		rules.offered = view.OverXDS(snapshot.DestinationRule).Bridge(rules.floor)
		s.remember(rules)
	}
}

// owes reports whether the client is to keep rules that a view has not.
func (s *stream) owes(view *snapshot.View) bool {
	rules := s.of(snapshot.DestinationRule)
	return rules != nil && s.want(rules, view) != view.OverXDS(snapshot.DestinationRule)
}

// rule lets go of the rules whose hosts the client has no more, and reports
// whether that is to be sent. Rules come before their hosts, and go after them:
// a host without its rule would be called in plain text.
func (s *stream) rule(view *snapshot.View) bool {
	hosts, rules := s.of(snapshot.ServiceEntry), s.of(snapshot.DestinationRule)
	if hosts == nil || rules == nil || !hosts.settled() {
		return false
	}
	if rules.offered != nil { // and its hosts were taken
		rules.ruled, rules.offered = rules.offered, nil
	}
	if hosts.sent != s.want(hosts, view) {
		return false
	}
	rules.ruled = view.OverXDS(snapshot.DestinationRule).Bridge(rules.floor)
	s.remember(rules)
	return rules.sent != s.want(rules, view) && s.mayGo(rules, view)
}

// exposes reports whether the client has exactly a view's routes and what they
// name, so that what guards older ones may go.
func (s *stream) exposes(view *snapshot.View) bool {
	if s.gathers(stageAll) {
		return false
	}
	for sub := range s.at(stageRules, stageRoutes) {
		if !sub.settled() || sub.sent != view.OverXDS(sub.typ.ID) {
			return false
		}
	}
	return true
}

// settled reports whether the client has taken the last response.
func (s *subscription) settled() bool { return !s.awaiting && !s.declined }

// stands reports whether a type of an earlier stage is what later ones rely
// on. In delta, where a response may be refused, it must be acknowledged; the
// other clients take everything, in the order in which it is sent.
func (s *stream) stands(sub *subscription, view *snapshot.View) bool {
	return sub.sent == s.want(sub, view) && !sub.declined && (!sub.awaiting || !s.protocol.inTurn)
}

// mayGo reports whether a subscription's next response may be sent: not before
// what it relies on.
func (s *stream) mayGo(sub *subscription, view *snapshot.View) bool {
	if sub.awaiting && (s.protocol.inTurn || sub.stage() == stageRoutes && s.keeps() || sub.typ.ID == snapshot.ServiceEntry && s.owes(view)) {
		return false
	}
	if sub.stage() == stageNone {
		return true
	}
	if sub.nonce == "" && s.gathers(sub.stage()) {
		return false
	}
	for earlier := range s.at(stageGuards, sub.stage()-1) {
		if !s.stands(earlier, view) {
			return false
		}
	}
	return true
}

// gathers reports whether the stream still waits for requests for types of the
// stages before one. A client asks for all its types at once, in any order.
func (s *stream) gathers(before stage) bool {
	if s.gatherUntil.IsZero() || !time.Now().Before(s.gatherUntil) {
		return false
	}
	var asked [len(snapshot.Types)]bool
	for sub := range s.at(stageGuards, before-1) {
		asked[sub.typ.ID] = true
	}
	for id, st := range stages {
		if stageGuards <= st && st < before && !asked[id] {
			return true
		}
	}
	return false
}

// keeps reports whether the client was told to keep what only older routes
// name.
func (s *stream) keeps() bool {
	for sub := range s.at(stageRules, stageHosts) {
		if sub.floor != sub.last {
			return true
		}
	}
	return false
}

// follow notes that a view's routes were sent.
func (s *stream) follow(view *snapshot.View) {
	for sub := range s.at(stageRules, stageHosts) {
		set := view.OverXDS(sub.typ.ID)
		if s.overlap.open {
			sub.next = set.Bridge(sub.next)
		} else {
			sub.next = set
		}
		sub.last = set
		s.relyOn(sub, set.Bridge(sub.floor))
	}
	if s.overlap.open {
		s.overlap.more = true
	} else {
		s.overlap = overlap{open: true}
	}
}

// settle lets go of what no routes rely on any more. It comes before a view is
// sent.
func (s *stream) settle(view *snapshot.View) {
	if !s.gathers(stageAll) {
		s.gatherUntil = time.Time{}
	}
	asked, current := false, true
	for sub := range s.at(stageRoutes, stageRoutes) {
		asked = true
		current = current && sub.sent == view.OverXDS(sub.typ.ID)
	}
	if !asked {
		if s.gatherUntil.IsZero() { // it has no routes of ours
			for sub := range s.at(stageRules, stageHosts) {
				sub.reliance = reliance{ruled: sub.ruled, offered: sub.offered}
			}
		}
		return
	}
	for s.closing() && !time.Now().Before(s.overlap.closes) {
		for sub := range s.at(stageRules, stageHosts) {
			s.relyOn(sub, sub.next)
			sub.next = sub.last
		}
		s.overlap = overlap{open: s.overlap.more}
	}
	if !current {
		return
	}
	// The routes that the client has are this view's, too.
	for sub := range s.at(stageRules, stageHosts) {
		set := view.OverXDS(sub.typ.ID)
		if s.overlap.open && sub.last != set {
			s.follow(view)
			return
		}
		if !s.overlap.open {
			sub.next, sub.last = set, set
			s.relyOn(sub, set)
		}
	}
}

// closing reports whether it is known when the open overlap closes: a while
// after the client has acknowledged routes. istiod gathers changes for a
// moment, and its proxies drop clusters before they change routes.
func (s *stream) closing() bool {
	if !s.overlap.open || !s.overlap.closes.IsZero() {
		return s.overlap.open
	}
	for sub := range s.at(stageRoutes, stageRoutes) {
		if !sub.settled() {
			return false
		}
	}
	s.overlap.closes = time.Now().Add(s.server.config.KeepLost)
	return true
}

// alarm sees to it that the stream goes on when it has waited long enough,
// without a change or a request.
func (s *stream) alarm() {
	switch {
	case s.again:
		s.again = false
		s.wakeAt(time.Now())
	case !s.gatherUntil.IsZero():
		s.wakeAt(s.gatherUntil)
	case s.keeps() && s.closing():
		s.wakeAt(s.overlap.closes)
	}
}

func (s *stream) wakeAt(at time.Time) {
	if s.timer == nil {
		s.timer = time.NewTimer(time.Until(at))
	} else {
		s.timer.Reset(time.Until(at))
	}
}

// rings is nil while no alarm was ever set.
func (s *stream) rings() <-chan time.Time {
	if s.timer == nil {
		return nil
	}
	return s.timer.C
}
