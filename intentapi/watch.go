package intentapi

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// event is one change of one object.
type event struct {
	Revision intent.Revision `json:"revision"`
	Path     intent.Path     `json:"path"`
	Type     intent.Method   `json:"type"` // PUT or DELETE
	Object   *intent.Object  `json:"object,omitempty"`
}

// hold counts a request that stays open, within the limit. Release must be
// called when it ends.
func (r *request) hold() (release func(), err error) {
	if r.watchers.Add(1) > int64(r.MaxWatchers) {
		r.watchers.Add(-1)
		p := refuse(http.StatusTooManyRequests, "there are "+strconv.Itoa(r.MaxWatchers)+" watches and held requests, as many as this replica takes: try another one, or later")
		p.retryAfter = "5"
		return nil, p
	}
	r.held = true
	r.metrics.watchers.Inc()
	return func() {
		r.watchers.Add(-1)
		r.metrics.watchers.Dec()
	}, nil
}

// watch streams every change after a revision as server-sent events.
func watch(r *request) (*answer, error) {
	from, err := r.watchFrom()
	if err != nil {
		return nil, err
	}
	release, err := r.hold()
	if err != nil {
		return nil, err
	}
	err = r.wait(r.Store.Changed, func() bool {
		r.set = r.Store.Set()
		return r.set.Revision() >= from
	})
	if err != nil {
		release()
		return nil, err
	}
	if _, ok := r.Store.Since(from); !ok {
		release()
		return nil, refuse(http.StatusGone, "the changes after revision "+from.String()+" are no longer known: list what you need, then watch from the list's Meshwright-Revision")
	}
	r.gin.Header("Cache-Control", "no-store")
	return &answer{
		status:      http.StatusOK,
		contentType: "text/event-stream",
		stream: func(w http.ResponseWriter) error {
			defer release()
			return r.stream(w, from)
		},
	}, nil
}

// watchFrom is the revision after which to begin: the Last-Event-ID of a
// client that reconnects, else sinceRevision, else now.
func (r *request) watchFrom() (intent.Revision, error) {
	if last := r.gin.GetHeader("Last-Event-ID"); last != "" {
		n, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return 0, refuse(http.StatusBadRequest, "Last-Event-ID: must be the id of an event: a revision")
		}
		return intent.Revision(n), nil
	}
	from, ok, err := r.revisionParameter("sinceRevision")
	if !ok {
		from = r.set.Revision()
	}
	return from, err
}

// stream writes events until the client goes, or falls so far behind that what
// it lacks is forgotten; it learns that by 410 when it comes back.
func (r *request) stream(w http.ResponseWriter, from intent.Revision) error {
	control := http.NewResponseController(w)
	send := func(text []byte) (reached bool) { // false: the client has gone
		_ = control.SetWriteDeadline(time.Now().Add(r.WriteLimit)) // not every writer has one
		_, err := w.Write(text)
		return err == nil && control.Flush() == nil
	}
	if !send([]byte(": watching from revision " + from.String() + "\n\n")) {
		return nil
	}
	alive := time.NewTicker(r.KeepAlive)
	defer alive.Stop()
	for {
		changed := r.Store.Changed()
		transactions, ok := r.Store.Since(from)
		if !ok {
			return nil
		}
		for _, t := range transactions {
			text, err := events(t)
			if err != nil {
				return err
			}
			if !send(text) || r.ctx.Err() != nil {
				return nil
			}
			from = t.Revision
		}
		select {
		case <-changed:
		case <-alive.C:
			if !send([]byte(": alive\n\n")) {
				return nil
			}
		case <-r.ctx.Done():
			return nil
		}
	}
}

// events writes one transaction. The id stands with its last event alone, so
// that a client that loses the connection in its midst gets it again whole.
func events(t intent.Transaction) ([]byte, error) {
	var b bytes.Buffer
	for i, c := range t.Changes {
		e := event{Revision: t.Revision, Path: c.Path, Type: intent.Delete}
		if c.New != nil {
			e.Type, e.Object = intent.Put, shown(c.New)
		}
		data, err := encodeJSON(e)
		if err != nil {
			return nil, fmt.Errorf("write the event of %s: %w", c.Path, err)
		}
		if i == len(t.Changes)-1 {
			fmt.Fprintf(&b, "id: %d\n", t.Revision)
		}
		fmt.Fprintf(&b, "data: %s\n", data) // data ends with a newline: together the blank line
	}
	if len(t.Changes) == 0 { // settings
		fmt.Fprintf(&b, "id: %d\n: settings\n\n", t.Revision)
	}
	return b.Bytes(), nil
}
