package server

import (
	"time"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// pastAge is how long it is remembered what a client had whose stream ended.
const pastAge = 10 * time.Minute

// client is one istiod or relay, by what it says of itself. One that lies gets
// what its cluster had before for a moment longer.
type client struct {
	cluster intent.Path
	node    string
}

// past is what a client relied on when its stream ended: it has it still when
// it comes back.
type past struct {
	sets map[snapshot.TypeID]*snapshot.TypeSet
	at   time.Time
}

// recall returns what a client may have from its last stream.
func (s *Server) recall(c client) map[snapshot.TypeID]*snapshot.TypeSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pasts[c].sets
}

// remember notes what a stream's client has when it ends. There are at most as
// many pasts as there may be streams.
func (s *Server) remember(st *stream) {
	if st.node == "" {
		return
	}
	sets := map[snapshot.TypeID]*snapshot.TypeSet{}
	for id, set := range st.past {
		sets[id] = set
	}
	for sub := range st.at(stageGuards, stageNamed) {
		if sub.floor != nil {
			sets[sub.typ.ID] = sub.floor
		}
	}
	c := client{st.cluster, st.node}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.pasts[c]; len(sets) == 0 || !known && len(s.pasts) >= s.config.MaxStreams {
		return
	}
	s.pasts[c] = past{sets, time.Now()}
}

// forget drops the pasts that are too old, and those of clusters that are no
// more. The caller holds mu.
func (s *Server) forget(now time.Time) {
	set := s.config.Sets.Set()
	for c, p := range s.pasts {
		if now.Sub(p.at) > pastAge || set.Get(c.cluster) == nil {
			delete(s.pasts, c)
		}
	}
}
