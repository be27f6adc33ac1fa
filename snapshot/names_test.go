package snapshot

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshwright/meshwright/intent"
)

const namedGroup = "/v2/projects/shop/composite-apps/store/v1/deployment-intent-groups/prod/traffic-group-intents/main"

func TestObjectName(t *testing.T) {
	long := strings.Repeat("Long_name.", 6) + "end"
	var got []string
	for _, n := range []struct {
		path intent.Path
		role role
	}{
		{namedGroup + "/inbound-intents/reviews", roleMain},
		{namedGroup + "/inbound-intents/reviews", roleGateway},
		{namedGroup + "/inbound-intents/Reviews_v1.2", roleMain},
		{namedGroup + "/inbound-intents/reviews/clients/web", roleAllow},
		{intent.Path(strings.ReplaceAll(namedGroup+"/inbound-intents/x/clients/web", "shop", long)), roleDeny},
	} {
		got = append(got, objectName(n.path, n.role))
	}
	want := []string{
		"mw-shop-prod-reviews-vvasrh6vufzwmr5t",
		"mw-shop-prod-reviews-gateway-uk5dl4tl4l5nd7sb",
		"mw-shop-prod-reviews-v1-2-6ghdxvplycas6epq",
		"mw-shop-prod-reviews-web-allow-kwh7n3jk2ucq6jif",
		"mw-long-na-prod-x-web-deny-wf3yrmjiijklqeu4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
}

// TestObjectNamesAreUnique draws paths that are made to be mistaken for each
// other: of few words, that differ in case and in characters that names lose.
func TestObjectNamesAreUnique(t *testing.T) {
	legal := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	word := rapid.SampledFrom([]string{"a", "A", "a-b", "a.b", "a_b", "a-", "b", "allow", "gateway", strings.Repeat("x", 62) + "y", strings.Repeat("x", 62) + "z"})
	roles := rapid.SampledFrom([]role{roleMain, roleService, roleOldName, roleGateway, roleAllow, roleDeny})
	seen := map[string][2]string{} // over all draws
	rapid.Check(t, func(rt *rapid.T) {
		w := rapid.SliceOfN(word, 7, 7).Draw(rt, "words")
		path := "/v2/projects/" + w[0] + "/composite-apps/" + w[1] + "/" + w[2] + "/deployment-intent-groups/" + w[3] +
			"/traffic-group-intents/" + w[4] + "/inbound-intents/" + w[5]
		if rapid.Bool().Draw(rt, "client") {
			path += "/clients/" + w[6]
		}
		r := roles.Draw(rt, "role")
		name := objectName(intent.Path(path), r)
		if !legal.MatchString(name) {
			rt.Fatalf("%q is no DNS-1123 label", name)
		}
		key := [2]string{path, string(r)}
		if other, ok := seen[name]; ok && other != key {
			rt.Fatalf("%v and %v share the name %s", key, other, name)
		}
		seen[name] = key
	})
}
