package snapshot

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

var fleetSeed = flag.Uint64("fleet-seed", 0, "the one seed of TestRandomFleets, to repeat a failure")

// TestSmallFleets holds what must be true of every fleet (see [checkFleet]) for
// small ones, of which rapid finds the least that fails.
func TestSmallFleets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := quiet{t, rt}
		d := randomFleet(tb, rapidDice(rt), fleetSize{clusters: 4, groups: 2, perGroup: 2, namespaces: 2}, newTally())
		checkFleet(tb, d.store.Set())
	})
}

// quiet lets rapid, which shrinks failing draws, hear the failures.
type quiet struct {
	testing.TB
	rt *rapid.T
}

func (q quiet) Helper()                           {}
func (q quiet) Errorf(format string, args ...any) { q.rt.Errorf(format, args...) }
func (q quiet) Fatal(args ...any)                 { q.rt.Fatal(args...) }
func (q quiet) Fatalf(format string, args ...any) { q.rt.Fatalf(format, args...) }

// TestRandomFleets holds for large random fleets what must be true of every
// fleet, that the order of writes which have nothing to do with each other does
// not matter, and that nothing is left when everything is deleted.
func TestRandomFleets(t *testing.T) {
	seeds := []uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}
	if *fleetSeed != 0 {
		seeds = []uint64{*fleetSeed}
	}
	tally := newTally()
	for _, seed := range seeds {
		t.Run(fmt.Sprint("fleet-seed=", seed), func(t *testing.T) {
			roll := seededDice(seed)
			d := randomFleet(t, roll, fleetSize{clusters: 24, groups: 8, perGroup: 10, namespaces: 4}, tally)
			set := d.store.Set()
			if n := intentsIn(set); n < 200 {
				t.Errorf("the fleet has %d intents, want 200 at least", n)
			}
			checkFleet(t, set)
			checkOrderOfWrites(t, d, roll)
			checkNothingLeft(t, d, roll)
		})
	}
	if *fleetSeed == 0 {
		tally.check(t)
	}
}

func intentsIn(set *intent.Set) int {
	n := 0
	for _, kind := range intent.Kinds {
		if kind != intent.KindCluster && kind != intent.KindGroup && kind != intent.KindTrafficGroup {
			n += set.Len(kind)
		}
	}
	return n
}

// checkOrderOfWrites sends the writes of a fleet to another store in another
// order. Those of one object keep theirs; one that comes before what it needs
// is refused, and sent again later. In the end every cluster gets the same, but
// for the virtual addresses, which are given away in the order of the writes.
func checkOrderOfWrites(t *testing.T, d *draw, roll dice) {
	t.Helper()
	other := newMemory()
	pending := slices.Clone(d.writes)
	for len(pending) > 0 {
		shuffled := shuffle(pending, roll)
		var later []intent.Op
		for _, op := range shuffled {
			if other.apply(op) != nil {
				later = append(later, op)
			}
		}
		if len(later) == len(pending) {
			t.Fatalf("%d writes are refused in another order, for one %s: %v", len(later), later[0].Path, other.apply(later[0]))
		}
		pending = later
	}
	for cluster := range d.store.Set().List(intent.KindCluster, "") {
		want, got := withoutVIPs(t, d.store.Set(), cluster), withoutVIPs(t, other.Set(), cluster)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("cluster %s gets something else after the same writes in another order (-first +other):\n%s", cluster.Path, diff)
		}
	}
}

// shuffle puts operations in a random order in which those of one path keep
// theirs.
func shuffle(ops []intent.Op, roll dice) []intent.Op {
	byPath := map[intent.Path][]intent.Op{}
	out := slices.Clone(ops)
	for _, op := range ops {
		byPath[op.Path] = append(byPath[op.Path], op)
	}
	for i := range out {
		j := i + roll("shuffle", len(out)-i)
		out[i], out[j] = out[j], out[i]
	}
	for i, op := range out {
		out[i], byPath[op.Path] = byPath[op.Path][0], byPath[op.Path][1:]
	}
	return out
}

// withoutVIPs is what a cluster gets and what it can't be given, as text in
// which the virtual addresses are written as their hosts.
func withoutVIPs(t *testing.T, set *intent.Set, cluster *intent.Object) []string {
	t.Helper()
	hosts := map[string]string{}
	for in := range set.List(intent.KindInbound, "") {
		vip := set.VIP(set.Host(in))
		hosts[vip.V4.String()] = "v4 of " + set.Host(in)
		hosts[vip.V6.String()] = "v6 of " + set.Host(in)
	}
	resources, problems := generated(set, set.Get(cluster.Path))
	var out []string
	for i := range resources {
		o, err := newObject(&resources[i])
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := o.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(manifest)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(vipRE.ReplaceAllFunc(text, func(a []byte) []byte { return []byte(hosts[string(a)]) })))
	}
	for _, p := range problems {
		out = append(out, string(p.Intent)+": "+p.Message)
	}
	return out
}

var vipRE = regexp.MustCompile(`240\.240\.[0-9]+\.[0-9]+|2001:2:0:f0f0:[0-9a-f:]+`)

// checkNothingLeft deletes everything, in a random order, while views follow.
func checkNothingLeft(t *testing.T, d *draw, roll dice) {
	t.Helper()
	full := d.store.Set()
	v := newViews(d.store)
	v.build(t.Context(), full)
	var pending []intent.Op
	for _, kind := range []intent.Kind{intent.KindInbound, intent.KindClient, intent.KindIstioResource, intent.KindGroup, intent.KindCluster} {
		for o := range full.List(kind, "") {
			pending = append(pending, removeOp(o.Path))
		}
	}
	for len(pending) > 0 {
		var later []intent.Op
		for _, op := range shuffle(pending, roll) {
			if d.store.Set().Get(op.Path) != nil && d.store.apply(op) != nil {
				later = append(later, op)
			}
			if roll("build", 10) == 0 {
				v.build(t.Context(), d.store.Set())
			}
		}
		if len(later) == len(pending) {
			t.Fatalf("%d objects can't be deleted, for one %s: %v", len(later), later[0].Path, d.store.apply(later[0]))
		}
		pending = later
	}
	v.build(t.Context(), d.store.Set())

	empty := d.store.Set()
	records := 0
	for _, err := range empty.Records() { // the header, objects and addresses
		if err != nil {
			t.Fatal(err)
		}
		records++
	}
	if records != 1 {
		t.Errorf("the empty store is written in %d records, want its header alone", records)
	}
	for o := range full.List(intent.KindInbound, "") {
		if vip := empty.VIP(full.Host(o)); vip != (intent.VIP{}) {
			t.Errorf("host %s still has the address %v", full.Host(o), vip)
		}
	}
	s := v.state
	if left := len(s.views) + len(s.units) + len(s.clusters) + len(v.clusters); left > 0 {
		t.Errorf("of the views, %d entries are left", left)
	}
	for name, value := range gauges(t, v.metrics) {
		if name != "meshwright_snapshot_revision" && value != 0 {
			t.Errorf("%s is %v, want 0", name, value)
		}
	}
}
