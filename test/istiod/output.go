package istiod

import (
	"bytes"
	"strings"
	"sync"
)

// output is istiod's log, kept in memory.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the log.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is the log so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// after returns the rest of the first complete line that contains prefix, or
// "".
func (o *output) after(prefix string) string {
	_, rest, found := strings.Cut(o.String(), prefix)
	line, _, complete := strings.Cut(rest, "\n")
	if !found || !complete {
		return ""
	}
	return strings.TrimSpace(line)
}

// tail is the last n lines.
func (o *output) tail(n int) string {
	lines := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
