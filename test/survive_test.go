package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
	"github.com/meshwright/meshwright/test/wait"
)

// numbered is an Istio resource whose content says which write made it.
func numbered(t testing.TB, n int) (path, body string) {
	t.Helper()
	name, body := hub.Raw(t, "edge/shop-1", manifest("ServiceEntry", map[string]any{
		"hosts": []string{"counter.mesh"}, "location": "MESH_INTERNAL", "resolution": "STATIC",
		"ports":     []any{map[string]any{"number": 80, "name": "http", "protocol": "HTTP"}},
		"endpoints": []any{map[string]any{"address": "192.0.2.1", "weight": n}},
	}))
	return webIntents + "/istio-resources/" + name, body
}

// guard watches that istiod never lacks an object that it had and never goes
// back to an older counter.
type guard struct {
	istiod *istiod.Istiod
	stop   context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards the rest
	looks   int
	counter float64
	err     error
}

func watch(t *testing.T, i *istiod.Istiod) *guard {
	ctx, cancel := context.WithCancel(t.Context())
	g := &guard{istiod: i, stop: cancel, done: make(chan struct{})}
	want := holds(t, i)
	tick := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer close(g.done)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				g.look(t, want)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-g.done })
	return g
}

func (g *guard) look(t *testing.T, want map[string]held) {
	got := holds(t, g.istiod)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looks++
	for id := range want {
		if _, ok := got[id]; !ok && g.err == nil {
			g.err = fmt.Errorf("istiod has lost %s; it holds %d objects", id, len(got))
		}
	}
	n := counterOf(got)
	if n < g.counter && g.err == nil {
		g.err = fmt.Errorf("istiod went back from write %v to %v", g.counter, n)
	}
	g.counter = n
}

// counterOf is the number of the write that an istiod holds.
func counterOf(objects map[string]held) float64 {
	for id, o := range objects {
		if strings.HasPrefix(id, "ServiceEntry default/echo") {
			endpoints := o.Spec["endpoints"].([]any)
			return endpoints[0].(map[string]any)["weight"].(float64)
		}
	}
	return 0
}

// end stops the watch and says what it saw.
func (g *guard) end(t *testing.T) {
	t.Helper()
	g.stop()
	<-g.done
	if g.err != nil {
		t.Error(g.err)
	}
	if g.looks == 0 {
		t.Error("nobody looked")
	}
}

// guarded is a node with the example and a counter, and an istiod that holds
// them.
func guarded(t *testing.T) (*hub.Hub, *istiod.Istiod, *guard) {
	h := example(t)
	path, body := numbered(t, 1)
	h.Put(t, path, body)
	i := istiod.Start(t, istiod.Config{ConfigSource: h.XDSAddr(2)})
	sameAsBundle(t, h, i, "edge/shop-1")
	return h, i, watch(t, i)
}

// reaches writes the counter and waits until istiod has it: the link works.
func reaches(t *testing.T, h *hub.Hub, i *istiod.Istiod, n int) {
	t.Helper()
	path, body := numbered(t, n)
	h.Put(t, path, body)
	wait.Within(t, 3*time.Minute, fmt.Sprintf("write %d to reach istiod", n), func() error {
		if got := counterOf(holds(t, i)); got != float64(n) {
			return fmt.Errorf("istiod holds write %v", got)
		}
		return nil
	})
}

// TestRestart holds that istiod keeps everything over our restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	h, i, g := guarded(t)
	for n := 2; n < 5; n++ {
		h.Stop(t)
		h.Launch(t)
		h.WaitReady(t)
		reaches(t, h, i, n)
	}
	g.end(t)
}

// TestRestartOnSlowDisk holds the same when each sync and write of the disk
// takes a third of a second, so that the node serves its ports long before it
// has its state.
func TestRestartOnSlowDisk(t *testing.T) {
	t.Parallel()
	strace := needStrace(t)
	h, i, g := guarded(t)
	h.Stop(t)
	h.LaunchUnder(t, strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync,pwrite64",
		"-e", "inject=fdatasync,fsync,pwrite64:delay_enter=300000")
	h.WaitReady(t)
	reaches(t, h, i, 2)
	g.end(t)
}

// needStrace finds strace, or installs it where that is possible.
func needStrace(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("strace"); err == nil {
		return path
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command("sh", "-c", "apt-get update -qq && apt-get install -y --no-install-recommends strace").CombinedOutput(); err != nil {
			t.Logf("install strace: %v\n%s", err, out)
		}
	}
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("this test slows the disk down with strace: install it (apt-get install strace)")
	}
	return path
}

// TestKillInMidWrite kills the node again and again while it takes writes.
// What it acknowledged is there afterwards, and istiod never goes back.
func TestKillInMidWrite(t *testing.T) {
	t.Parallel()
	h, i, g := guarded(t)
	acknowledged, next := 1, 2
	for round := range 6 {
		writes := make(chan int, 1)
		go func() {
			last := acknowledged
			defer func() { writes <- last }()
			for {
				path, body := numbered(t, next)
				status, _, err := h.Send("PUT", path, body)
				if err != nil || status/100 != 2 {
					return
				}
				last = next
				next++
			}
		}()
		timer := time.NewTimer(time.Duration(50+round*37) * time.Millisecond)
		<-timer.C
		h.Kill()
		acknowledged = <-writes
		next++ // the write under way may be there
		h.Launch(t)
		h.WaitReady(t)
		if got := counterOf(bundled(t, h)); got < float64(acknowledged) {
			t.Fatalf("write %d was acknowledged; after kill -9 the store holds write %v", acknowledged, got)
		}
	}
	reaches(t, h, i, next)
	g.end(t)
}

func bundled(t *testing.T, h *hub.Hub) map[string]held {
	t.Helper()
	out := map[string]held{}
	for _, o := range h.Bundle(t, "edge/shop-1") {
		out[o.ID()] = held{o.Metadata.Labels, o.Metadata.Annotations, o.Spec}
	}
	return out
}

// TestSilence holds that istiod keeps everything while the node is there and
// says nothing, and catches up afterwards. MESHWRIGHT_SILENCE sets how long:
// an hour shows no more than a minute, beyond which istiod's keepalive has
// given the connection up.
func TestSilence(t *testing.T) {
	t.Parallel()
	silence := time.Minute
	if s := os.Getenv("MESHWRIGHT_SILENCE"); s != "" {
		var err error
		if silence, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	h, i, g := guarded(t)
	h.Pause(t)
	timer := time.NewTimer(silence)
	<-timer.C
	h.Resume(t)
	reaches(t, h, i, 2)
	g.end(t)
}
