package node

import (
	"encoding/json"
	"testing"
)

// TestConfirmationsSurviveRestart holds that what an edge acknowledged is
// known after a restart, before the edge is back.
func TestConfirmationsSurviveRestart(t *testing.T) {
	c := testConfig(t)
	n := start(t, c)
	putCluster(t, n)
	acknowledge(t, n, "networking.istio.io/v1alpha3/VirtualService")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	status, text := call(t, start(t, c), "GET", clusterURL+"/status", "")
	var got struct {
		Connectivity string
		Types        []struct {
			Type         string
			Acknowledged *struct{ Version string }
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	if got.Connectivity != "Disconnected" {
		t.Errorf("connectivity = %q, want Disconnected", got.Connectivity)
	}
	for _, typ := range got.Types {
		if typ.Type == "networking.istio.io/VirtualService" {
			if typ.Acknowledged == nil || typ.Acknowledged.Version == "" {
				t.Errorf("the acknowledgement is forgotten: %s", text)
			}
			return
		}
	}
	t.Errorf("the type is not in the status: %s", text)
}
