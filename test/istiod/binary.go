package istiod

import (
	"bufio"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	command = "istio.io/istio/pilot/cmd/pilot-discovery"
	module  = "module github.com/meshwright/meshwright/test"
)

// Build returns the path of an istiod binary. MESHWRIGHT_ISTIOD names one that
// is there; otherwise it is bin/istiod of the repository, built when it is
// missing or not of the version that test/go.mod requires. A cold build takes
// about ten CPU minutes: the Makefile does it before the tests.
func Build(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MESHWRIGHT_ISTIOD"); path != "" {
		return path
	}
	dir, err := moduleDir()
	if err != nil {
		t.Fatalf("finding the test module: %v", err)
	}
	path := filepath.Join(filepath.Dir(dir), "bin", "istiod")
	if err := build(dir, path); err != nil {
		t.Fatalf("building istiod: %v", err)
	}
	return path
}

// build makes path current. The lock keeps packages that are tested at the
// same time from building twice.
func build(dir, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close() // releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	if current(dir, path) {
		return nil
	}
	// The flags are those of the Makefile, so that the build cache is shared.
	fresh := path + ".new"
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", fresh, command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return os.Rename(fresh, path)
}

// current reports whether path is an istiod of the version in dir's go.mod.
func current(dir, path string) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return false
	}
	mods := info.Deps
	mods = append(mods, &info.Main)
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	for _, m := range mods {
		if m.Path == "istio.io/istio" {
			return strings.Contains(string(gomod), m.Path+" "+m.Version)
		}
	}
	return false
}

// moduleDir walks up from the working directory, which is that of the package
// under test, to this module's go.mod. (-trimpath hides the source's path.)
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if line, err := firstLine(filepath.Join(dir, "go.mod")); err == nil && line == module {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod with " + module + " above the working directory")
		}
		dir = parent
	}
}

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Scan()
	return s.Text(), s.Err()
}
