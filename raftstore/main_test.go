package raftstore

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// TestMain lets the test binary be the process that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Dir = dir
	c.ElectionTimeout = 20 * time.Millisecond
	return c
}

// mustOpen opens a store and closes it when the test ends.
func mustOpen(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mustBeReady opens a store and waits until it may serve.
func mustBeReady(t testing.TB, c Config) *Store {
	t.Helper()
	s := mustOpen(t, c)
	waitReady(t, s)
	return s
}

func waitReady(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// waitFailed returns the error that Failed gives.
func waitFailed(t testing.TB, s *Store) error {
	t.Helper()
	select {
	case err := <-s.Failed():
		return err
	case <-time.After(time.Minute):
		t.Fatal("the store did not fail")
		return nil
	}
}

// clusterPath is where cluster writes.
func clusterPath(name string) intent.Path { return intent.ClusterPath("acme", name) }

// cluster is a command that creates clusters.
func cluster(names ...string) intent.Command {
	c := intent.Command{Kind: intent.Transact, At: time.Now().UTC()}
	for _, name := range names {
		o := &intent.Object{Metadata: intent.Metadata{Name: name}, Spec: &intent.ClusterSpec{Network: "net-" + name}}
		o.Normalize()
		c.Ops = append(c.Ops, intent.Op{Method: intent.Create, Path: clusterPath(name), Object: o})
	}
	return c
}

func mustPropose(t testing.TB, s *Store, c intent.Command) intent.Result {
	t.Helper()
	r, err := s.Propose(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// records is a Set as plain values that can be compared.
func records(t testing.TB, set *intent.Set) []string {
	t.Helper()
	var out []string
	for r, err := range set.Records() {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Header != nil:
			out = append(out, fmt.Sprintf("header %+v", *r.Header))
		case r.Object != nil:
			out = append(out, fmt.Sprintf("object %s %s", r.Object.Path, r.Object.Body))
		case r.VIP != nil:
			out = append(out, fmt.Sprintf("vip %+v", *r.VIP))
		}
	}
	return out
}

func names(set *intent.Set) []string {
	var out []string
	for o := range set.List(intent.KindCluster, "") {
		out = append(out, o.Metadata.Name)
	}
	slices.Sort(out)
	return out
}
