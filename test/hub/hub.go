package hub

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshwright/meshwright/test/wait"
)

// Hub is a node at fixed addresses, running or not.
type Hub struct {
	Dir string // data

	rest, xds, tls, raft string
	wrap                 []string // a command that runs the node, such as strace
	flags                []string
	cmd                  *exec.Cmd
	exited               chan struct{}
	log                  logFile
}

// Binary is the meshwright binary: $MESHWRIGHT_BINARY, or bin/meshwright of
// the repository.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("MESHWRIGHT_BINARY")
	if path == "" {
		path = filepath.Join("..", "bin", "meshwright")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: build it with make build", err)
	}
	return path
}

// Start starts a node that serves xDS at 127.0.0.1 up to 127.0.0.9, all at one
// port, so that each cluster has an authority of its own. It is killed when
// the test ends.
func Start(t testing.TB, flags ...string) *Hub {
	t.Helper()
	h := &Hub{Dir: t.TempDir(), rest: freeAddr(t), xds: freeAddr(t), tls: freeAddr(t), raft: freeAddr(t), flags: flags}
	t.Cleanup(func() {
		h.Kill()
		if t.Failed() {
			t.Logf("the end of the node's log:\n%s", h.log.tail(40))
		}
	})
	h.Launch(t)
	h.WaitReady(t)
	return h
}

func freeAddr(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

// Launch starts the node's process at its addresses, on its data, and does not
// wait for it.
func (h *Hub) Launch(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(h.xds)
	if err != nil {
		t.Fatal(err)
	}
	var xds []string
	for n := 1; n < 10; n++ {
		xds = append(xds, fmt.Sprintf("127.0.0.%d:%s", n, port))
	}
	args := append(append([]string{}, h.wrap...), Binary(t), "server", "--data-dir", h.Dir, "--rest-addr", h.rest,
		"--xds-addr", strings.Join(xds, ","), "--xds-tls-addr", h.tls, "--raft-addr", h.raft)
	args = append(args, h.flags...)
	h.cmd = exec.Command(args[0], args[1:]...)
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	h.cmd.WaitDelay = 5 * time.Second // a child of a wrapper may hold the pipe
	// A group of its own, so that a signal reaches the node under a wrapper too.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := h.cmd.Start(); err != nil {
		t.Fatalf("start the node: %v", err)
	}
	h.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // how it ended is in the log
		close(exited)
	}(h.cmd, h.exited)
}

// LaunchUnder is Launch under another command, such as strace with its flags.
func (h *Hub) LaunchUnder(t testing.TB, wrap ...string) {
	t.Helper()
	h.wrap = wrap
	defer func() { h.wrap = nil }()
	h.Launch(t)
}

// WaitReady waits until the node serves.
func (h *Hub) WaitReady(t testing.TB) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	wait.Within(t, 2*time.Minute, "the node to be ready", func() error {
		select {
		case <-h.exited:
			t.Fatalf("the node exited (%v) before it was ready", h.cmd.ProcessState)
		default:
		}
		resp, err := client.Get(h.URL() + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz answers %s", resp.Status)
		}
		return nil
	})
}

// URL is the base of the REST interface.
func (h *Hub) URL() string { return "http://" + h.rest }

// XDSAddr is the address at which the n-th cluster's istiod dials, whose host
// is its authority: 127.0.0.n.
func (h *Hub) XDSAddr(n int) string {
	_, port, _ := net.SplitHostPort(h.xds) // it was split before
	return fmt.Sprintf("127.0.0.%d:%s", n, port)
}

// TLSAddr is where xDS is served over TLS, when a flag gives a certificate.
func (h *Hub) TLSAddr() string { return h.tls }

// Kill ends the node with SIGKILL and waits until it is gone.
func (h *Hub) Kill() { h.end(syscall.SIGKILL) }

// Stop ends the node with SIGTERM and waits until it is gone.
func (h *Hub) Stop(t testing.TB) {
	t.Helper()
	h.end(syscall.SIGTERM)
	if code := h.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the node stopped with exit code %d, want 0", code)
	}
}

func (h *Hub) end(signal syscall.Signal) {
	if h.cmd == nil {
		return
	}
	select {
	case <-h.exited: // the pid may be another's by now
	default:
		_ = syscall.Kill(-h.cmd.Process.Pid, signal) // fails only if it has gone meanwhile
		<-h.exited
	}
}

// Pause stops the process until Resume: it is there, and silent.
func (h *Hub) Pause(t testing.TB) { h.signal(t, syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (h *Hub) Resume(t testing.TB) { h.signal(t, syscall.SIGCONT) }

func (h *Hub) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-h.cmd.Process.Pid, s); err != nil {
		t.Fatalf("signal the node: %v", err)
	}
}

// Logs is everything the node has logged so far.
func (h *Hub) Logs() string { return h.log.String() }

// logFile is what a process wrote.
type logFile struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logFile) tail(lines int) string {
	all := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
