package server

import (
	"sync/atomic"
	"time"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// pastAge is how long it is remembered what a client has that went away.
const pastAge = 10 * time.Minute

// client is one istiod or relay, by what it says of itself. One that lies gets
// what its cluster had before for a moment longer, no more.
type client struct {
	cluster intent.Path
	node    string
}

// past is what a client may rely on, by type. It has it still when it comes
// back, which may be before its last stream is seen to end: so streams write
// it as they go.
type past struct {
	sets [len(snapshot.Types)]atomic.Pointer[snapshot.TypeSet]

	live int       // streams; guarded by the server's mu
	left time.Time // when the last one ended
}

// recall returns a client's past for a stream, which must leave it. There are
// at most as many pasts as there may be streams; a stream beyond that has none
// to come back to.
func (s *Server) recall(c client) *past {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pasts[c]
	if p == nil {
		p = &past{}
		if c.node != "" && len(s.pasts) < s.config.MaxStreams {
			s.pasts[c] = p
		}
	}
	p.live++
	return p
}

// leavePast notes that a stream has ended.
func (s *Server) leavePast(p *past) {
	if p == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.live--
	p.left = time.Now()
}

// forget drops the pasts that are too old, and those of clusters that are no
// more. The caller holds mu.
func (s *Server) forget(now time.Time) {
	set := s.config.Sets.Set()
	for c, p := range s.pasts {
		if p.live == 0 && (now.Sub(p.left) > pastAge || set.Get(c.cluster) == nil) {
			delete(s.pasts, c)
		}
	}
}

// relyOn notes what a client may rely on, of a subscription's type. It comes
// before what makes it so is sent.
func (s *stream) relyOn(sub *subscription, floor *snapshot.TypeSet) {
	if sub.floor == floor {
		return
	}
	sub.floor = floor
	s.remember(sub)
}

// remember keeps what a client may rely on for when it comes back.
func (s *stream) remember(sub *subscription) {
	if s.past != nil {
		s.past.sets[sub.typ.ID].Store(sub.relied())
	}
}
