package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshwright/meshwright/test/grpcecho"
	"github.com/meshwright/meshwright/test/hub"
	"github.com/meshwright/meshwright/test/istiod"
)

// BenchmarkFirstCall measures from the 2xx answer of a REST write to the call
// of a proxyless gRPC client that follows it, through a real istiod: with
// istiod's own hold-off of 100 ms, and with one of 5 ms.
func BenchmarkFirstCall(b *testing.B) {
	for _, debounce := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond} {
		b.Run(fmt.Sprint("debounce=", debounce), func(b *testing.B) {
			h := hub.Start(b)
			h.Run(b, "", "apply", "-f", exampleFile)
			a, z := grpcecho.StartServer(b, "a"), grpcecho.StartServer(b, "b")
			var path string
			for _, manifest := range []string{echoEntryManifest(a, z), echoRuleManifest, echoSplit(99, 1)} {
				name, body := hub.Raw(b, "edge/shop-1", manifest)
				path = webIntents + "/istio-resources/" + name
				h.Put(b, path, body)
			}
			i := istiod.Start(b, istiod.Config{ConfigSource: h.XDSAddr(2), DebounceAfter: debounce})
			client := grpcecho.Dial(b, i.XDSAddr(), echoHost+":7070")
			backends := []string{"a", "b"}
			untilFrom(b, client, backends[0])
			var took []time.Duration
			b.ResetTimer()
			for n := range b.N {
				to := backends[(n+1)%2]
				split := map[string]string{"a": echoSplit(99, 1), "b": echoSplit(1, 99)}[to]
				_, body := hub.Raw(b, "edge/shop-1", split)
				h.Put(b, path, body)
				written := time.Now()
				took = append(took, untilFrom(b, client, to).Sub(written))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
		})
	}
}

// untilFrom calls until three answers in a row come from one backend, and
// returns when the first of them did: one in a hundred goes to the other.
func untilFrom(b *testing.B, client *grpcecho.Client, backend string) time.Time {
	b.Helper()
	deadline := time.Now().Add(30 * time.Second)
	inRow, first := 0, time.Time{}
	for inRow < 3 {
		answer, err := client.Call()
		switch {
		case time.Now().After(deadline):
			b.Fatalf("no calls reach %s: last answer %q, %v", backend, answer, err)
		case err != nil || answer != backend:
			inRow = 0
		case inRow == 0:
			first = time.Now()
			inRow++
		default:
			inRow++
		}
	}
	return first
}
