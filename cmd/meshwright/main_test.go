package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"github.com/meshwright/meshwright/node"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"meshwright": main})
}

// TestScripts runs each testdata/script/*.txtar against a node of its own.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../deploy/example")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			n, err := startNode(t.Context(), filepath.Join(e.WorkDir, ".data"))
			if err != nil {
				return err
			}
			e.Defer(func() {
				if err := n.Stop(); err != nil {
					t.Errorf("stop node: %v", err)
				}
			})
			e.Setenv("MESHWRIGHT_SERVER", "http://"+n.RESTAddr())
			e.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// startNode starts a node on free ports and waits until it serves.
func startNode(ctx context.Context, dir string) (*node.Node, error) {
	cfg := node.DefaultConfig()
	cfg.DataDir = dir
	cfg.RESTAddr, cfg.XDSAddr, cfg.XDSTLSAddr, cfg.RaftAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.LogOutput = io.Discard
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx, "http://"+n.RESTAddr()); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// TestReadme runs the commands that the README shows, in its order, as they
// stand there. The server's own is TestServerProcess's.
func TestReadme(t *testing.T) {
	n, err := startNode(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Chdir("../..")
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(readme)) {
		shown, ok := strings.CutPrefix(line, "$ meshwright ")
		if !ok {
			continue
		}
		command, _, _ := strings.Cut(shown, "#")
		args := strings.Fields(command)
		if args[0] == "server" {
			continue
		}
		ran++
		if got := meshwright("", map[string]string{"MESHWRIGHT_SERVER": "http://" + n.RESTAddr()}, args...); got.Code != exitOK {
			t.Errorf("meshwright %s: %+v", command, got)
		}
	}
	if ran == 0 {
		t.Error("the README shows no command")
	}
}

// ready returns once a server says that it is.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	conn := connection{server: url, timeout: time.Minute, flags: pflag.NewFlagSet("", pflag.ContinueOnError)}
	client, err := conn.open()
	if err != nil {
		return err
	}
	for {
		_, err := client.do(ctx, request{method: http.MethodGet, path: "/readyz"})
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("server is not ready: %w", err)
		}
	}
}

// exits runs a command and checks its exit code: exits 3 meshwright status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// TestServerProcess starts the server as a process of its own, from a file of
// settings, asks it for its status, and ends it with SIGTERM.
func TestServerProcess(t *testing.T) {
	settings := writeFile(t, "data-dir: "+t.TempDir()+"\nrest-addr: 127.0.0.1:0\nxds-addr: 127.0.0.1:0\nxds-tls-addr: 127.0.0.1:0\nraft-addr: 127.0.0.1:0\n")
	cmd := exec.CommandContext(t.Context(), "meshwright", "server", "--config", settings)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	addr := ""
	for addr == "" && lines.Scan() {
		var event struct{ Message, REST string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Errorf("log line %s: %v", lines.Bytes(), err)
		}
		if event.Message == "node started" {
			addr = event.REST
		}
	}
	if err := ready(t.Context(), "http://"+addr); err != nil {
		t.Error(err)
	}
	if got := meshwright("", nil, "status", "--server", "http://"+addr); got.Code != exitOK {
		t.Errorf("status: %+v; server's stderr: %s", got, stderr.String())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // Wait closes the pipe: read it to its end first
		continue
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("server: %v: %s", err, stderr.String())
	}
}
