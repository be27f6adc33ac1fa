package raftstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDirectoryInUse(t *testing.T) {
	c := testConfig(t.TempDir())
	mustBeReady(t, c)
	_, err := Open(c)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("error %v, want that the directory is in use", err)
	}
}

func TestNodeIDStays(t *testing.T) {
	c := testConfig(t.TempDir())
	read := func() string {
		s := mustBeReady(t, c)
		mustClose(t, s)
		data, err := os.ReadFile(filepath.Join(c.Dir, idFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := read()
	if again := read(); again != first || len(first) != 32 {
		t.Errorf("node id %q, then %q", first, again)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	if diff := cmp.Diff([]string{"node-id", "raft.db", "snapshots"}, files); diff != "" {
		t.Errorf("data directory (-want +got):\n%s", diff)
	}

	path := filepath.Join(c.Dir, idFile)
	for name, damage := range map[string]func() error{
		"missing": func() error { return os.Remove(path) },
		"empty":   func() error { return os.WriteFile(path, nil, 0o600) },
		"other":   func() error { return os.WriteFile(path, []byte("node one"), 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), idFile) {
			t.Errorf("id file %s: error %v, want one that names the file", name, err)
		}
	}
}

// A node that died after bootstrap's first write, the term, starts all the same.
func TestUnfinishedBootstrap(t *testing.T) {
	c := testConfig(t.TempDir())
	bolt, err := openLog(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := bolt.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		t.Fatal(err)
	}
	if err := bolt.Close(); err != nil {
		t.Fatal(err)
	}
	mustPropose(t, mustBeReady(t, c), cluster("a"))
}

func TestUnfinishedSnapshotIsRemoved(t *testing.T) {
	c := testConfig(t.TempDir())
	left := filepath.Join(c.Dir, "snapshots", "1-2-3.tmp")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	mustBeReady(t, c)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("an unfinished snapshot was left: %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	s := mustBeReady(t, testConfig(t.TempDir()))
	addr, _ := s.raft.LeaderWithID()
	c := testConfig(t.TempDir())
	c.Addr = string(addr)
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), c.Addr) {
		t.Errorf("error %v, want one that names the address", err)
	}
	c.Addr = "127.0.0.1:0"
	mustBeReady(t, c) // the failed Open let go of the directory
}

func TestConfigValidate(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"Dir":               func(c *Config) { c.Dir = "" },
		"Addr":              func(c *Config) { c.Addr = "" },
		"ElectionTimeout":   func(c *Config) { c.ElectionTimeout = 0 },
		"ProposeTimeout":    func(c *Config) { c.ProposeTimeout = 0 },
		"SnapshotInterval":  func(c *Config) { c.SnapshotInterval = 0 },
		"SnapshotThreshold": func(c *Config) { c.SnapshotThreshold = 0 },
		"TrailingLogs":      func(c *Config) { c.TrailingLogs = minTrailingLogs - 1 },
		"FeedTransactions":  func(c *Config) { c.FeedTransactions = 0 },
		"FeedChanges":       func(c *Config) { c.FeedChanges = 0 },
		"Settings":          func(c *Config) { c.Settings.HostSuffix = "-" },
	} {
		c := testConfig(t.TempDir())
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v, want one that names the field", field, err)
		}
	}
}
