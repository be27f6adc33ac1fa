package node

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const clusterURL = "/v2/cluster-providers/edge/clusters/a"

// buffer takes a log while others read it.
type buffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func testConfig(t *testing.T) Config {
	t.Helper()
	c := DefaultConfig()
	c.DataDir, c.LogOutput = t.TempDir(), io.Discard
	c.RESTAddr, c.XDSAddr, c.XDSTLSAddr, c.RaftAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// start starts a node and waits until it serves. It is stopped with the test.
func start(t *testing.T, c Config) *Node {
	t.Helper()
	n, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := n.store.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// call sends a request and returns its status and body.
func call(t *testing.T, n *Node, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.RESTAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func putCluster(t *testing.T, n *Node) {
	t.Helper()
	if status, text := call(t, n, "PUT", clusterURL, `{"metadata":{"name":"a"},"spec":{"authorities":["127.0.0.1"]}}`); status != http.StatusCreated {
		t.Fatalf("PUT: %d %s", status, text)
	}
}

// TestRestartKeepsEverything holds that a stopped node comes back with what it
// had, to the byte.
func TestRestartKeepsEverything(t *testing.T) {
	c := testConfig(t)
	n := start(t, c)
	putCluster(t, n)
	_, before := call(t, n, "GET", clusterURL, "")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	_, after := call(t, start(t, c), "GET", clusterURL, "")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the object after a restart (-before +after):\n%s", diff)
	}
}

// TestEveryEventIsOneLineOfJSON holds the form of the log.
func TestEveryEventIsOneLineOfJSON(t *testing.T) {
	c := testConfig(t)
	log := &buffer{}
	c.LogOutput, c.LogLevel = log, "debug"
	n := start(t, c)
	putCluster(t, n)
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	components := map[string]bool{}
	written := false
	for line := range strings.Lines(log.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%v: %s", err, line)
			continue
		}
		for _, key := range []string{"time", "level", "message", "component"} {
			if s, ok := event[key].(string); !ok || s == "" {
				t.Errorf("no %s: %s", key, line)
			}
		}
		if _, err := time.Parse(time.RFC3339Nano, event["time"].(string)); err != nil {
			t.Error(err)
		}
		components[event["component"].(string)] = true
		if event["method"] == "PUT" {
			written = true
			if id, ok := event["request_id"].(string); !ok || id == "" {
				t.Errorf("a request without its id: %s", line)
			}
		}
	}
	for _, want := range []string{"node", "raftstore", "server", "intentapi"} {
		if !components[want] {
			t.Errorf("%s logged nothing", want)
		}
	}
	if !written {
		t.Error("the write left no event")
	}
}

// TestMetricsOfEachStage holds that each stage of the path counts.
func TestMetricsOfEachStage(t *testing.T) {
	n := start(t, testConfig(t))
	putCluster(t, n)
	status, text := call(t, n, "GET", "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics: %d", status)
	}
	for _, prefix := range []string{"meshwright_rest_", "meshwright_raftstore_", "meshwright_snapshot_", "meshwright_xds_", "go_", "process_"} {
		if !strings.Contains(text, "\n"+prefix) {
			t.Errorf("no metric starts with %s", prefix)
		}
	}
}

// TestStartFailsWhole holds that a node that can't start leaves nothing behind:
// the next one can have its directory and ports.
func TestStartFailsWhole(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"REST address taken":  {func(c *Config) { c.RESTAddr = c.XDSAddr }, "REST"},
		"REST without a cert": {func(c *Config) { c.RESTCert, c.RESTKey = "nowhere", "nowhere" }, "certificate"},
		"xDS without a cert":  {func(c *Config) { c.XDSCert, c.XDSKey = "nowhere", "nowhere" }, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			good := testConfig(t)
			good.RESTAddr, good.XDSAddr, good.RaftAddr = freeAddr(t), freeAddr(t), freeAddr(t)
			spoilt := good
			test.spoil(&spoilt)
			if _, err := Start(t.Context(), spoilt); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Start: %v", err)
			}
			start(t, good)
		})
	}
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

// TestConfigRefusals holds that each field that can't be used is named by its
// flag, and that nothing is opened to other machines unprotected.
func TestConfigRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		flag   string // "" when the configuration is legal
	}{
		"default":                  {func(*Config) {}, ""},
		"no data":                  {func(c *Config) { c.DataDir = "" }, "--data-dir"},
		"no port":                  {func(c *Config) { c.RESTAddr = "127.0.0.1" }, "--rest-addr"},
		"open REST":                {func(c *Config) { c.RESTAddr = "0.0.0.0:9018" }, "--rest-addr"},
		"open REST, every host":    {func(c *Config) { c.RESTAddr = ":9018" }, "--rest-addr"},
		"REST without clients' CA": {func(c *Config) { c.RESTAddr, c.RESTCert, c.RESTKey = "0.0.0.0:9018", "c", "k" }, "--rest-addr"},
		"REST protected": {func(c *Config) {
			c.RESTAddr, c.RESTCert, c.RESTKey, c.RESTClientCA = "0.0.0.0:9018", "c", "k", "ca"
		}, ""},
		"REST insecure":     {func(c *Config) { c.RESTAddr, c.Insecure = "0.0.0.0:9018", true }, ""},
		"open xDS":          {func(c *Config) { c.XDSAddr = "127.0.0.1:15010,192.0.2.1:15010" }, "--xds-addr"},
		"open xDS over TLS": {func(c *Config) { c.XDSTLSAddr, c.XDSCert, c.XDSKey = "0.0.0.0:15012", "c", "k" }, "--xds-tls-addr"},
		"open raft":         {func(c *Config) { c.RaftAddr = "[::]:9019" }, "--raft-addr"},
		"IPv6 loopback":     {func(c *Config) { c.RESTAddr = "[::1]:9018" }, ""},
		"key alone":         {func(c *Config) { c.RESTKey = "k" }, "--rest-cert"},
		"CA alone":          {func(c *Config) { c.XDSClientCA = "ca" }, "--xds-client-ca"},
		"log level":         {func(c *Config) { c.LogLevel = "loud" }, "--log-level"},
		"range":             {func(c *Config) { c.VIPv4 = "240.240.0.0" }, "--vip-v4"},
		"narrow range":      {func(c *Config) { c.VIPv6 = "2001:2::/120" }, "--vip-v6"},
		"suffix":            {func(c *Config) { c.HostSuffix = "-" }, "--host-suffix"},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			test.change(&c)
			err := c.Validate()
			switch {
			case test.flag == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.flag != "" && (err == nil || !strings.Contains(err.Error(), test.flag)):
				t.Errorf("error %v does not name %s", err, test.flag)
			}
		})
	}
}
