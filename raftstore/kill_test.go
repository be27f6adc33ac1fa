package raftstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// childEnv names the data directory to the process that is to be killed.
const childEnv = "RAFTSTORE_TEST_CHILD"

// killConfig makes snapshots, too, fall between the kills.
func killConfig(dir string) Config {
	c := testConfig(dir)
	c.SnapshotThreshold, c.SnapshotInterval = 20, 5*time.Millisecond
	return c
}

// child writes clusters from several goroutines until it is killed, and prints
// "name revision" once each is acknowledged.
func child(dir string) {
	die := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s, err := Open(killConfig(dir))
	if err != nil {
		die(err)
	}
	fmt.Println("opened 0")
	if err := s.WaitReady(context.Background()); err != nil {
		die(err)
	}
	var mu sync.Mutex // whole lines
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("p%d-w%d-%d", os.Getpid(), w, i)
				r, err := s.Propose(context.Background(), cluster(name))
				if err != nil {
					die(err)
				}
				mu.Lock()
				fmt.Println(name, r.Revision)
				mu.Unlock()
			}
		}()
	}
	die(<-s.Failed())
}

// Whenever the process is killed, each write that it acknowledged is there,
// at the revision that it was told, and the store opens again.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]string{} // name → revision
	for round := range 24 {
		// From "killed at once" to "after a few snapshots".
		lines := []int{0, 1, 2 + rand.IntN(20), rand.IntN(200)}[round%4]
		killChild(t, dir, lines, acknowledged)
		c := killConfig(dir)
		c.SnapshotInterval = time.Hour
		s, err := Open(c)
		if err != nil {
			t.Fatalf("round %d, killed after %d lines: %v", round, lines, err)
		}
		waitReady(t, s)
		set := s.Set()
		for name, revision := range acknowledged {
			o := set.Get(clusterPath(name))
			if o == nil || o.Metadata.ResourceVersion != revision {
				t.Fatalf("round %d, killed after %d lines: %s, acknowledged at revision %s, is %v", round, lines, name, revision, o)
			}
		}
		if int(set.Revision()) != set.Len(intent.KindCluster) {
			t.Fatalf("round %d: revision %d, but %d clusters: a write was applied twice or not at all",
				round, set.Revision(), set.Len(intent.KindCluster))
		}
		mustClose(t, s)
	}
	t.Logf("%d acknowledged writes survived", len(acknowledged))
}

// killChild starts a child, kills it once it has printed some lines, and notes
// all that it had acknowledged until then.
func killChild(t *testing.T, dir string, lines int, acknowledged map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	killed := false
	for n := 0; ; n++ {
		if n >= lines && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break // what stands there without its newline was not told whole
		}
		if err != nil {
			t.Fatal(err)
		}
		name, revision, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "error":
			t.Fatalf("child: %s", revision)
		case "opened":
		default:
			acknowledged[name] = revision
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended before it was killed")
	}
}
