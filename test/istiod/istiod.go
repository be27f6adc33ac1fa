package istiod

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/meshwright/meshwright/test/wait"
)

// tailLines is how much of the log a failure shows.
const tailLines = 40

// Istiod is a running istiod.
type Istiod struct {
	// Config is what it was started with, defaults filled in.
	Config Config

	cmd    *exec.Cmd
	log    output
	exited chan struct{} // closed when the process is gone
}

// Start starts an istiod and waits until it is ready. It is killed when the
// test ends.
func Start(t testing.TB, config Config) *Istiod {
	t.Helper()
	i := Launch(t, config)
	i.WaitReady(t)
	return i
}

// Launch starts an istiod without waiting for it: for tests of what it does
// when its source is away.
func Launch(t testing.TB, config Config) *Istiod {
	t.Helper()
	binary := Build(t)
	config = config.withDefaults()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatalf("preparing istiod: %v", err)
		}
		return path
	}
	mesh, err := config.mesh()
	if err != nil {
		t.Fatalf("preparing istiod: %v", err)
	}
	networks := filepath.Join(dir, "nonexistent")
	if config.MeshNetworks != "" {
		networks = file("networks.yaml", []byte(config.MeshNetworks))
	}
	i := &Istiod{Config: config, exited: make(chan struct{})}
	i.cmd = exec.Command(binary, config.flags(file("mesh.yaml", mesh), networks,
		file("kubeconfig", []byte(startKube(t))))...)
	i.cmd.Dir = dir
	i.cmd.Env = append(config.env(), "HOME="+dir)
	i.cmd.Stdout, i.cmd.Stderr = &i.log, &i.log
	// Should the test binary be killed, so is its istiod.
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		t.Fatalf("starting istiod: %v", err)
	}
	go func() {
		_ = i.cmd.Wait() // how it ended is in the log
		close(i.exited)
	}()
	t.Cleanup(func() {
		i.Stop()
		if t.Failed() {
			t.Logf("the end of istiod's log:\n%s", i.log.tail(tailLines))
		}
	})
	return i
}

// WaitReady waits until istiod has its whole configuration and serves proxies.
func (i *Istiod) WaitReady(t testing.TB) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	wait.Until(t, "istiod to be ready", func() error {
		select {
		case <-i.exited:
			t.Fatalf("istiod exited (%v) before it was ready", i.cmd.ProcessState)
		default:
		}
		if i.httpAddr() == "" || i.XDSAddr() == "" {
			return fmt.Errorf("it does not listen yet")
		}
		resp, err := client.Get(i.MonitoringURL() + "/ready")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/ready answers %s", resp.Status)
		}
		return nil
	})
}

// XDSAddr is the host:port where proxies get their configuration, without TLS.
func (i *Istiod) XDSAddr() string {
	return i.log.after("starting gRPC discovery service at ")
}

// MonitoringURL is the base of /ready, /metrics and /debug/….
func (i *Istiod) MonitoringURL() string { return "http://" + i.httpAddr() }

func (i *Istiod) httpAddr() string { return i.log.after("starting HTTP service at ") }

// Logs is everything istiod has logged so far.
func (i *Istiod) Logs() string { return i.log.String() }

// PID is the process, for tests that measure or pause it.
func (i *Istiod) PID() int { return i.cmd.Process.Pid }

// Exited is closed when the process is gone.
func (i *Istiod) Exited() <-chan struct{} { return i.exited }

// Stop kills istiod and waits until it is gone. It can be called again.
func (i *Istiod) Stop() {
	select {
	case <-i.exited: // the pid may be another's by now
	default:
		_ = i.cmd.Process.Kill() // fails only if it has gone meanwhile
		<-i.exited
	}
}
