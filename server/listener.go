package server

import (
	"net"
	"sync"
	"sync/atomic"
)

// limited is a listener that closes connections above a number at once, so
// that their clients try another replica instead of waiting here.
type limited struct {
	net.Listener
	max     int64
	open    atomic.Int64
	refused func()
}

// Accept returns the next connection below the limit.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			return &counted{Conn: conn, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		l.refused()
		_ = conn.Close() // nothing was said on it yet
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	release func()
}

// Close closes the connection; it may be called more than once.
func (c *counted) Close() error {
	c.release()
	return c.Conn.Close()
}
