package server

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/meshwright/meshwright/clusters"
)

// TestUnknownIsHeldThenServed registers the cluster while its istiod waits.
func TestUnknownIsHeldThenServed(t *testing.T) {
	m := newStore(t)
	h := startHub(t, m)
	c := h.connect(t, "new.example:15010")
	c.ask(virtualServices)
	eventually(t, "the stream is held", func() bool { return h.metric(t, "held_streams") == 1 })
	m.apply(t, cluster(t, "new"), route(t, "r", "one", "new"))
	diff(t, "first response", []string{"shop/r"}, names(t, c.next()))
	for outcome, want := range map[string]float64{"held": 1, "served": 1, "refused": 0} {
		if got := h.metric(t, "unknown_connections_total", outcome); got != want {
			t.Errorf("%v unknown connections counted as %s, want %v", got, outcome, want)
		}
	}
	eventually(t, "nothing is held", func() bool { return h.metric(t, "held_streams") == 0 })
}

func TestUnknownIsRefusedInTheEnd(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.HoldUnknown = time.Millisecond })
	c := h.connect(t, "who.example")
	if got := c.end(); got != codes.NotFound {
		t.Errorf("the stream ended with %v, want NotFound", got)
	}
	if d := h.open(t, "who.example"); d.end() != codes.NotFound {
		t.Error("the delta stream was not refused")
	}
	if got := h.metric(t, "unknown_connections_total", "refused"); got != 2 {
		t.Errorf("%v refusals are counted, want 2", got)
	}
}

// TestHeldStreamsAreBounded holds that one stream more than may wait is
// refused at once, and that one that gives up makes room.
func TestHeldStreamsAreBounded(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.HoldUnknown, c.MaxHeld = time.Hour, 1 })
	ctx, giveUp := context.WithCancel(t.Context())
	if _, err := h.dial(t, "one.example").StreamAggregatedResources(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is held", func() bool { return h.metric(t, "held_streams") == 1 })
	if got := h.connect(t, "two.example").end(); got != codes.NotFound {
		t.Errorf("the second ended with %v, want NotFound", got)
	}
	if got := h.metric(t, "unknown_connections_total", "refused at once"); got != 1 {
		t.Errorf("%v are counted as refused at once, want 1", got)
	}
	giveUp()
	eventually(t, "there is room", func() bool { return h.metric(t, "held_streams") == 0 })
	h.connect(t, "three.example")
	eventually(t, "the third is held", func() bool { return h.metric(t, "held_streams") == 1 })
}

// TestDefaultCluster serves names that are nobody's.
func TestDefaultCluster(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "r", "one", "b"))
	h := startHub(t, m, func(c *Config) { c.Resolver = resolver(t, m, "edge/b") })
	c := h.connect(t, "whatever.example:1")
	c.ask(virtualServices)
	diff(t, "default cluster's routes", []string{"shop/r"}, names(t, c.next()))
}

// TestNameThatMovesEndsItsStreams holds that a live stream does not go on
// getting the configuration of a cluster that its name no longer stands for.
func TestNameThatMovesEndsItsStreams(t *testing.T) {
	m := newStore(t)
	m.apply(t, route(t, "ra", "one", "a"), route(t, "rb", "one", "b"))
	h := startHub(t, m, func(c *Config) { c.RecheckEvery = 5 * time.Millisecond })
	c, stays := h.connect(t, "a.example:15010"), h.connect(t, "b.example:15010")
	for _, c := range []*istiod{c, stays} {
		c.ask(virtualServices)
		c.ack(c.next())
	}
	m.apply(t, cluster(t, "a", "elsewhere.example"), cluster(t, "b", "a.example", "b.example"))
	if got := c.end(); got != codes.NotFound {
		t.Errorf("the stream ended with %v, want NotFound", got)
	}
	c = h.connect(t, "a.example:15010")
	c.ask(virtualServices)
	diff(t, "routes under the moved name", []string{"shop/rb"}, names(t, c.next()))
	m.apply(t, route(t, "rb2", "one", "b"))
	diff(t, "routes of the stream that stayed", []string{"shop/rb", "shop/rb2"}, names(t, stays.next()))
}

// TestFullClusterWaitsForRoom holds the limit of streams of one cluster.
func TestFullClusterWaitsForRoom(t *testing.T) {
	m := newStore(t)
	h := startHub(t, m, func(c *Config) { c.MaxStreamsPerCluster = 1; c.HoldUnknown = time.Hour })
	ctx, leave := context.WithCancel(t.Context())
	first, err := h.dial(t, "a.example").StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is served", func() bool {
		return h.tracker.Status(clusterPath("a")).Connectivity == clusters.Connected
	})
	second := h.connect(t, "a.example")
	second.ask(virtualServices)
	eventually(t, "the second is held", func() bool { return h.metric(t, "held_streams") == 1 })
	other := h.connect(t, "b.example")
	other.ask(virtualServices)
	other.next()
	leave()
	_, _ = first.Recv() // canceled
	second.next()
}

func TestFullReplicaRefuses(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.MaxStreams = 1 })
	c := h.connect(t, "a.example")
	c.ask(virtualServices)
	c.next()
	if got := h.connect(t, "b.example").end(); got != codes.ResourceExhausted {
		t.Errorf("the stream ended with %v, want ResourceExhausted", got)
	}
}

// TestConnectionLimit holds that a connection too many is closed at once.
func TestConnectionLimit(t *testing.T) {
	h := startHub(t, newStore(t), func(c *Config) { c.MaxConnections = 1 })
	c := h.connect(t, "a.example")
	c.ask(virtualServices)
	c.next()
	stream, err := h.dial(t, "b.example").StreamAggregatedResources(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil {
		t.Error("a connection above the limit was served")
	}
	if h.metric(t, "refused_total", "connections") == 0 {
		t.Error("the refusal is not counted")
	}
}
