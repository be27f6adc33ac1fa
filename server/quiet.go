package server

import (
	"sync"
	"time"
)

// quiet keeps what clients can provoke from filling the log: it lets each
// name through once in a while, and stops learning names when it knows many.
type quiet struct {
	every time.Duration
	max   int

	mu   sync.Mutex // guards last
	last map[string]time.Time
}

func newQuiet(every time.Duration, max int) *quiet {
	return &quiet{every: every, max: max, last: map[string]time.Time{}}
}

// allow reports whether something about a name may be logged now.
func (q *quiet) allow(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if at, known := q.last[name]; known {
		if now.Sub(at) < q.every {
			return false
		}
	} else if len(q.last) >= q.max && !q.expire(now) {
		return false
	}
	q.last[name] = now
	return true
}

// expire makes room by forgetting names whose time is over.
func (q *quiet) expire(now time.Time) bool {
	for name, at := range q.last {
		if now.Sub(at) >= q.every {
			delete(q.last, name)
		}
	}
	return len(q.last) < q.max
}
