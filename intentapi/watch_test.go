package intentapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshwright/meshwright/intentapi"
	"github.com/meshwright/meshwright/raftstore"
)

// event is one server-sent event.
type event struct {
	ID   string
	Data string
}

// events opens a watch and returns its events; the channel is closed when the
// stream ends.
func (s *server) events(ctx context.Context, query string, headers ...string) <-chan event {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/v2/watch"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("watch%s: %s", query, resp.Status)
	}
	out := make(chan event, 10_000)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "id":
				e.ID = value
			case name == "data":
				e.Data = value
			case lines.Text() == "" && e != event{}:
				out <- e
				e = event{}
			case name == "" && value == "alive":
				out <- event{Data: "alive"}
			}
		}
	}()
	return out
}

// next takes one event within the time that a test may take.
func next(t testing.TB, events <-chan event) event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
	}
	return event{}
}

func TestWatch(t *testing.T) {
	s := start(t, at("2026-01-02T03:04:05Z"))
	s.must(201, "POST", clustersPath, `{"metadata":{"name":"a"}}`)
	events := s.events(t.Context(), "?sinceRevision=0")
	cluster := func(name, revision string) string {
		return `{"metadata":{"name":"` + name + `","resourceVersion":"` + revision + `","generation":1,"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"},` +
			`"spec":{"trustDomain":"cluster.local","clusterDomain":"cluster.local","delivery":"both"}}`
	}
	put := func(revision, name string) string {
		return `{"revision":` + revision + `,"path":"` + clustersPath + "/" + name + `","type":"PUT","object":` + cluster(name, revision) + `}`
	}
	diff(t, "the past", event{"1", put("1", "a")}, next(t, events))
	s.must(200, "POST", "/v2/transactions", tx(
		op("POST", clustersPath, `,"body":{"metadata":{"name":"b"}}`), op("DELETE", clustersPath+"/a"), op("POST", clustersPath, `,"body":{"metadata":{"name":"c"}}`)))
	diff(t, "first of a transaction", event{"", put("2", "b")}, next(t, events))
	diff(t, "deletion", event{"", `{"revision":2,"path":"` + clustersPath + `/a","type":"DELETE"}`}, next(t, events))
	diff(t, "last of a transaction", event{"2", put("2", "c")}, next(t, events))

	// From now on, and from where a client was.
	now := s.events(t.Context(), "")
	again := s.events(t.Context(), "?sinceRevision=0", "Last-Event-ID: 2")
	s.must(204, "DELETE", clustersPath+"/b", "")
	want := event{"3", `{"revision":3,"path":"` + clustersPath + `/b","type":"DELETE"}`}
	diff(t, "from now", want, next(t, now))
	diff(t, "from Last-Event-ID", want, next(t, again))
	s.must(400, "GET", "/v2/watch?sinceRevision=x", "")
	s.must(400, "GET", "/v2/watch", "", "Last-Event-ID: x")
}

// TestWatchHasNoGap watches while many write: each watcher sees every revision
// once and in order, wherever it begins.
func TestWatchHasNoGap(t *testing.T) {
	s := start(t)
	const writers, each = 8, 25
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	early := s.events(ctx, "?sinceRevision=0")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if r := s.do("POST", clustersPath, fmt.Sprintf(`{"metadata":{"name":"c-%d-%d"}}`, w, i)); r.status != 201 {
					t.Errorf("write: status %d: %s", r.status, r.body)
				}
			}
		})
	}
	late := s.events(ctx, "?sinceRevision=0")
	wg.Wait()
	last := s.events(ctx, "?sinceRevision=100")
	for name, c := range map[string]struct {
		events <-chan event
		from   int
	}{"early": {early, 0}, "late": {late, 0}, "last": {last, 100}} {
		for want := c.from + 1; want <= writers*each; want++ {
			e := next(t, c.events)
			var data struct {
				Revision int
				Path     string
				Object   struct {
					Metadata struct{ Name, ResourceVersion string }
				}
			}
			if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
				t.Fatal(err)
			}
			if data.Revision != want || e.ID != fmt.Sprint(want) || data.Object.Metadata.ResourceVersion != e.ID || !strings.HasSuffix(data.Path, data.Object.Metadata.Name) {
				t.Fatalf("%s: got %+v, want revision %d", name, e, want)
			}
		}
	}
	stop()
	for range early { // ends with the request
	}
}

func TestWatchCompacted(t *testing.T) {
	s := start(t, func(_ *intentapi.Config, c *raftstore.Config) { c.FeedTransactions = 2 })
	for i := range 5 {
		s.must(201, "POST", clustersPath, fmt.Sprintf(`{"metadata":{"name":"c-%d"}}`, i))
	}
	r := s.must(410, "GET", "/v2/watch?sinceRevision=1", "")
	diff(t, "compacted", parse(t, `{"type":"urn:meshwright:problem:compacted","title":"Gone","status":410,
		"detail":"the changes after revision 1 are no longer known: list what you need, then watch from the list's Meshwright-Revision"}`), r.problem(t))
	events := s.events(t.Context(), "?sinceRevision=3")
	diff(t, "id", "4", next(t, events).ID)
}

func TestWatchKeepsAlive(t *testing.T) {
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.KeepAlive = time.Millisecond })
	diff(t, "comment", event{Data: "alive"}, next(t, s.events(t.Context(), "")))
}

func TestWatcherLimit(t *testing.T) {
	s := start(t, func(c *intentapi.Config, _ *raftstore.Config) { c.MaxWatchers = 1 })
	ctx, stop := context.WithCancel(t.Context())
	events := s.events(ctx, "")
	r := s.must(429, "GET", "/v2/watch", "")
	diff(t, "too many", parse(t, `{"type":"urn:meshwright:problem:too-many-requests","title":"Too Many Requests","status":429,
		"detail":"there are 1 watches and held requests, as many as this replica takes: try another one, or later"}`), r.problem(t))
	diff(t, "Retry-After", "5", r.header.Get("Retry-After"))
	stop()
	for range events {
	}
	eventually(t, "a free place", func() bool {
		again, end := context.WithCancel(t.Context())
		defer end()
		req, _ := http.NewRequestWithContext(again, "GET", s.url+"/v2/watch", nil)
		resp, err := s.client.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}
