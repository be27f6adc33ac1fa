package intent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSizes holds that lists, maps and texts are bounded, wherever they stand,
// and that nothing else is said of what is too large.
func TestSizes(t *testing.T) {
	many := func(n int, entry string) string {
		return strings.TrimSuffix(strings.Repeat(entry+",", n), ",")
	}
	long := strings.Repeat("x", maxText+1)
	for _, test := range []struct {
		path Path
		spec string
		want []string
	}{
		{"/v2/projects/p/composite-apps/c/v1/deployment-intent-groups/g", `{"logicalCloud":"` + long + `"}`, []string{"/spec/logicalCloud must be at most 1024 bytes, has 1025"}},
		{inboundAt + "/clients/x", `{"namespaces":[` + many(65, `"."`) + `],"cidrs":[` + many(256, `"."`) + `]}`, []string{"/spec/namespaces must be at most 64 entries, are 65"}},
		{inboundAt + "/clients/x/access-points/x", `{"users":[` + many(65, `{}`) + `]}`, []string{"/spec/users must be at most 64 entries, are 65"}},
		{
			inboundAt + "/clients/x/access-points/x", `{"users":[{"claims":{"a":["` + long + `"],"` + long + `":[]}}]}`,
			[]string{"/spec/users/0/claims/a/0 must be at most 1024 bytes, has 1025", "/spec/users/0/claims must be at most 1024 bytes, has 1025"},
		},
		{inboundAt, `{"jwt":[{"jwks":"` + strings.Repeat("x", 65537) + `"}]}`, []string{"/spec/jwt/0/jwks must be at most 65536 bytes, has 65537"}},
		{inboundAt, `{"ports":[` + many(33, `{}`) + `]}`, []string{"/spec/ports must be at most 32 entries, are 33"}},
		{inboundAt + "/routing-rules/x", `{"match":[{"methods":[` + many(257, `""`) + `]}]}`, []string{"/spec/match/0/methods must be at most 256 entries, are 257"}},
	} {
		o, err := DecodeObject(test.path, []byte(`{"metadata":{"name":"`+test.path.Name()+`"},"spec":`+test.spec+`}`))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := o.Validate(); err != nil {
			for _, v := range err.(*Error).Violations {
				got = append(got, v.Field+" "+v.Message)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
}

const inboundAt = Path("/v2/projects/p/composite-apps/c/v1/deployment-intent-groups/g/traffic-group-intents/t/inbound-intents/i")

// TestProgramSize holds the bound of regular expressions to those that people
// write, and to those that are short and compile to very much.
func TestProgramSize(t *testing.T) {
	for expression, want := range map[string]bool{
		`/items/[0-9]+(/.*)?`:             true,
		`.*\.(png|jpe?g|gif|svg)`:         true,
		`/[a-f0-9]{64}/[\p{L}\p{N}]{0,8}`: true,
		`(a{1,100}){1,10}`:                true,
		strings.Repeat(`a{1000}`, 20):     false,
		`\pL{200}`:                        false,
		`(.{500}){2}.{1000}`:              false,
	} {
		size, err := programSize(expression)
		if got := size <= maxProgram; err != nil || got != want {
			t.Errorf("%s compiles to %d (%v), want within the bound: %v", fmt.Sprintf("%.40s", expression), size, err, want)
		}
	}
}

// TestRoom holds that a client has so many access points at most, and another
// client has its own.
func TestRoom(t *testing.T) {
	set, at := NewSet(), inboundAt.Group()
	put := func(p Path, spec string) error {
		o, err := DecodeObject(p, []byte(`{"metadata":{"name":"`+p.Name()+`"},"spec":`+spec+`}`))
		if err != nil {
			t.Fatal(err)
		}
		next, _, err := set.Apply(Command{Kind: Transact, Ops: []Op{{Method: Put, Path: p, Object: o}}})
		set = next
		return err
	}
	for _, err := range []error{
		put(at, `{"namespace":"shop"}`),
		put(at+"/traffic-group-intents/t", `{}`),
		put(inboundAt, `{"app":"a","appLabel":"a=b","serviceName":"i","port":80,"protocol":"HTTP"}`),
		put(inboundAt+"/clients/a", `{"app":"a"}`),
		put(inboundAt+"/clients/b", `{"app":"b"}`),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		if err := put(inboundAt+Path(fmt.Sprint("/clients/a/access-points/", i)), `{"action":"ALLOW"}`); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(inboundAt+"/clients/a/access-points/7", `{"action":"DENY"}`); err != nil {
		t.Errorf("one that is there can't be replaced: %v", err)
	}
	if err := put(inboundAt+"/clients/b/access-points/x", `{"action":"ALLOW"}`); err != nil {
		t.Errorf("another client has no room: %v", err)
	}
	want := "there are 200 below the client already, the most there may be"
	if err := put(inboundAt+"/clients/a/access-points/x", `{"action":"ALLOW"}`); err == nil || err.(*Error).Detail != want || err.(*Error).Kind != Conflict {
		t.Errorf("one too many: %v, want %s", err, want)
	}
}
