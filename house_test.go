package meshwright_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/meshwright/meshwright"

// arrows is the house's plan: which of our packages each one may import.
var arrows = map[string][]string{
	"intent":         {},
	"clusters":       {"intent"},
	"raftstore":      {"intent"},
	"snapshot":       {"intent", "clusters"},
	"server":         {"intent", "snapshot", "clusters"},
	"intentapi":      {"intent", "clusters", "snapshot"},
	"node":           {"intent", "clusters", "raftstore", "snapshot", "server", "intentapi"},
	"cmd/meshwright": {"node", "intent"},
}

// secluded third parties stay behind one package's door.
var secluded = map[string]string{
	"github.com/hashicorp/raft":         "raftstore",
	"github.com/hashicorp/raft-boltdb/": "raftstore",
	"github.com/gin-gonic/gin":          "intentapi",
	"istio.io/istio/":                   "snapshot",
}

// impure lists what the pure packages must do without: the clock, chance, the
// environment, the file system and the log.
var impure = []string{"os", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "net/http"}

type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
	Error      *struct{ Err string }
}

func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Doc,Imports,Error", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module {
			found[strings.TrimPrefix(p.ImportPath, module+"/")] = p
		}
	}
}

// TestArrows holds that packages import only what the plan lets them.
func TestArrows(t *testing.T) {
	for name, p := range packages(t) {
		allowed, planned := arrows[name]
		if !planned {
			t.Errorf("package %s is not in the plan: find its room among %s, or add it to arrows with its reason", name, rooms())
			continue
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s must not import %s: it may import %v", name, ours, allowed)
			}
			for prefix, room := range secluded {
				if strings.HasPrefix(path+"/", strings.TrimSuffix(prefix, "/")+"/") && room != name {
					t.Errorf("%s must not import %s: only %s may", name, path, room)
				}
			}
			if name == "intent" && slices.Contains(impure, path) {
				t.Errorf("%s must not import %s: it is pure", name, path)
			}
		}
	}
}

// TestPackageComments holds that every package says what it is for.
func TestPackageComments(t *testing.T) {
	for name, p := range packages(t) {
		if p.Error != nil {
			t.Errorf("%s: %s", name, p.Error.Err)
		}
		if len(p.Doc) < 20 {
			t.Errorf("package %s has no comment: say in its doc.go what it is for", name)
		}
	}
}

func rooms() string {
	var names []string
	for name := range arrows {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
