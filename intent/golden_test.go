package intent

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files in testdata with what the code answers")

// golden compares an answer with a file, or rewrites the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// eachFile runs a test for each file that a pattern matches.
func eachFile(t *testing.T, pattern string, test func(t *testing.T, file string)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { test(t, file) })
	}
}

const testGroup = "/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/"

// The test files write paths short: G/web/T/t/I/cart is an inbound intent.
var (
	shortPairs = []string{
		"C/", "/v2/cluster-providers/", "G/", testGroup, "/T/", "/traffic-group-intents/", "/I/", "/inbound-intents/",
		"/K/", "/clients/", "/A/", "/access-points/", "/R/", "/routing-rules/", "/O/", "/outbound-intents/", "/X/", "/istio-resources/",
	}
	shortener  = strings.NewReplacer(reversed(shortPairs)...)
	longMember = regexp.MustCompile(`(/v2/cluster-providers/[^/ ]+)/clusters/`)
)

// shorten writes the paths in a text short.
func shorten(text string) string {
	return shortener.Replace(longMember.ReplaceAllString(text, "$1/"))
}

func reversed(pairs []string) []string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i+1], pairs[i])
	}
	return out
}

// lengthen reads a short path.
func lengthen(short string) Path {
	if rest, ok := strings.CutPrefix(short, "C/"); ok {
		provider, cluster, _ := strings.Cut(rest, "/")
		return ClusterPath(provider, cluster)
	}
	long := short
	for i := 0; i < len(shortPairs); i += 2 {
		if i < 4 {
			if rest, ok := strings.CutPrefix(long, shortPairs[i]); ok {
				long = shortPairs[i+1] + rest
			}
			continue
		}
		long = strings.ReplaceAll(long, shortPairs[i], shortPairs[i+1])
	}
	return Path(long)
}
