package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshwright/meshwright/intent"
)

// TestAccessPointWarnings says of the access points of one client, name: spec,
// what is unwise.
func TestAccessPointWarnings(t *testing.T) {
	const (
		group = "/v2/projects/p/composite-apps/a/v1/deployment-intent-groups/g"
		tg    = group + "/traffic-group-intents/tg"
		in    = tg + "/inbound-intents/in"
		jwt   = `,"jwt":[{"issuer":"i","jwksUri":"https://i.example/keys"}]`
		http  = `"protocol":"HTTP"` + jwt
		tcp   = `"protocol":"TCP"`
		mixed = `"protocol":"HTTP","targetPort":8080,"ports":[{"port":9000,"protocol":"TCP","targetPort":19000}]` + jwt
		users = `,"users":[{"issuer":"i","subjects":["s"]}]`
	)
	ap := func(action, url, access, more string) string {
		return fmt.Sprintf(`{"action":%q,"url":[%s],"access":[%s]%s}`, action, url, access, more)
	}
	for _, test := range []struct {
		name, inbound string
		points        map[string]string
		want          []string
	}{
		{"nothing unwise", http, map[string]string{
			"read": ap("ALLOW", `"/a/*"`, `"GET"`, ""), "more": ap("ALLOW", `"/b"`, `"GET"`, users), "never": ap("DENY", `"/a/x"`, `"*"`, ""),
		}, nil},
		{"HTTP fields on a TCP service", tcp, map[string]string{
			"a": ap("ALLOW", `"/a"`, `"*"`, ""), "b": ap("ALLOW", `"/a"`, `"*"`, `,"ports":[80]`),
			"c": ap("ALLOW", "", "", `,"when":[{"key":"request.headers[x]","values":["y"]}]`), "d": ap("DENY", `"/a"`, "", `,"ports":[80]`),
		}, []string{
			"a: methods and paths are HTTP fields, which mean nothing to a TCP or TLS service, so this access point allows nothing: give ports, or no more than * for url and access",
			"b: every call that it allows is denied by access point d",
			"b: methods and paths are HTTP fields, which mean nothing on TCP and TLS ports: on ports 80 every call is allowed",
			"c: conditions on requests are about HTTP, and mean nothing to a TCP or TLS service, so this access point allows nothing: take them out of when",
			"d: methods and paths are HTTP fields, which mean nothing on TCP and TLS ports: every call is denied there",
		}},
		{"users on a TCP port", mixed, map[string]string{
			"a": ap("ALLOW", "", "", users), "b": ap("ALLOW", `"/b"`, "", `,"ports":[9000]`+users), "c": ap("DENY", "", "", `,"ports":[80]`+users),
		}, []string{
			"a: users and conditions on requests can't be told on TCP and TLS ports: on ports 19000 it allows nothing",
			"b: users and conditions on requests can't be told on TCP and TLS ports: on ports 19000 it allows nothing",
		}},
		{"open", http + `,"authorization":"open"`, map[string]string{"a": ap("ALLOW", "", "", users), "b": ap("DENY", "", "", "")}, []string{
			"a: authorization of the service is open, so this access point changes nothing: everyone may call",
			"b: authorization of the service is open, so this access point changes nothing: everyone may call",
		}},
		{"clients", http + `,"authorization":"clients"`, map[string]string{"a": ap("ALLOW", "", "", users), "b": ap("DENY", "", "", users)}, []string{
			"a: authorization of the service is clients, so this access point changes nothing: the client may call what no DENY access point names, with or without users",
			"b: its users may call as soon as they show no token: allow the client what it may call with users of its own",
		}},
		{"denied after all", mixed, map[string]string{
			"a": ap("ALLOW", `"/a/b", "/a/c/*"`, `"GET"`, ""), "b": ap("ALLOW", `"/a/b", "/b"`, `"GET"`, ""), "c": ap("ALLOW", "", "", `,"ports":[9000]`),
			"d": ap("DENY", `"/a/*"`, `"GET","POST"`, ""), "e": ap("DENY", "", "", `,"ports":[19000]`),
		}, []string{"a: every call that it allows is denied by access point d", "c: every call that it allows is denied by access point e"}},
		{"conditions for nothing", http, map[string]string{
			"a": ap("ALLOW", `"/a/b.png"`, `"GET"`, users), "b": ap("ALLOW", `"*.png"`, "", ""), "c": ap("ALLOW", `"/c"`, "", `,"when":[{"key":"request.auth.claims[g]","notValues":["guest"]},{"key":"source.ip","notValues":["10.0.0.1"]}]`),
		}, []string{
			"a: access point b allows the same calls without its users and conditions, so these change nothing",
			`c: the condition on request.auth.claims[g] has notValues alone, so calls without it meet the condition: add "*" to values to demand that it is there`,
		}},
		{"users who escape", http, map[string]string{
			"a": ap("ALLOW", `"/a/*"`, "", ""), "b": ap("ALLOW", `"/b"`, "", users), "c": ap("DENY", `"/a/x", "/b"`, "", users), "d": ap("DENY", `"/d"`, "", users),
		}, []string{"c: its users may call what access point a allows as soon as they show no token: give that one users too"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := intent.NewSet()
			set = stored(t, set, 0, group, []byte(`{"spec":{"namespace":"shop"}}`))
			set = stored(t, set, 1, tg, []byte(`{"spec":{}}`))
			set = stored(t, set, 2, in, []byte(`{"spec":{"app":"s","appLabel":"app=s","serviceName":"s","port":80,`+test.inbound+`}}`))
			set = stored(t, set, 3, in+"/clients/c", []byte(`{"spec":{"app":"c","appLabel":"app=c","namespaces":[],"cidrs":[]}}`))
			for name, spec := range test.points {
				set = stored(t, set, 4, in+"/clients/c/access-points/"+name, []byte(`{"spec":`+spec+`}`))
			}
			var got []string
			for _, p := range accessPointWarnings(set, set.Get(in)) {
				got = append(got, p.Intent.Name()+": "+strings.ReplaceAll(p.Message, in+"/clients/c/access-points/", ""))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
