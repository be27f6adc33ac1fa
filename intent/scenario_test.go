package intent

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestApply runs the scenarios in testdata/apply. A line is a command:
//
//	PUT|POST PATH [if=VERSION]… [if-none] [id=KEY] BODY   BODY is YAML: a spec, or metadata and spec
//	DELETE PATH [if=VERSION]… [cascade] [id=KEY]
//	TXN [id=KEY]                                          operations, one a line, up to END
//	CONFIGURE [id=KEY] SETTINGS
//	CONFIRM PATH TYPE VERSION REVISION
//	AT TIME            the proposer's clock; it goes on by a second with each command
//	RESTORE            the set is written out and read again
//	LIST, VIPS, CONFIRMED PATH, CLUSTER-OF NAME
//
// The indented lines below it are what came of it.
func TestApply(t *testing.T) {
	eachFile(t, "testdata/apply/*.txt", func(t *testing.T, file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := &scenario{t: t, set: NewSet(), at: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)}
		var out strings.Builder
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "\t") {
				continue // what came of it last time
			}
			out.WriteString(line)
			out.WriteString(s.line(strings.TrimSpace(line)))
		}
		golden(t, file, out.String())
	})
}

type scenario struct {
	t   *testing.T
	set *Set
	at  time.Time
	txn *Command // being read
}

// line runs one line and returns what came of it.
func (s *scenario) line(line string) string {
	s.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
		return ""
	case "AT":
		at, err := time.Parse("15:04:05", rest)
		s.must(err)
		s.at = time.Date(2026, 1, 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC).In(time.FixedZone("", 3600)) // as if proposed elsewhere
		return ""
	case "TXN":
		s.txn = &Command{Kind: Transact, ID: strings.TrimPrefix(rest, "id=")}
		return ""
	case "END":
		c := *s.txn
		s.txn = nil
		return s.apply(c)
	case "PUT", "POST", "DELETE":
		op, id := s.op(word, rest)
		if s.txn != nil {
			s.txn.Ops = append(s.txn.Ops, op)
			return ""
		}
		return s.apply(Command{Kind: Transact, ID: id, Ops: []Op{op}})
	case "CONFIGURE":
		c := Command{Kind: Configure, Settings: &Settings{}}
		if id, body, ok := strings.Cut(rest, " {"); ok {
			c.ID, rest = strings.TrimPrefix(id, "id="), "{"+body
		}
		*c.Settings = s.set.Settings()
		s.must(yaml.Unmarshal([]byte(rest), c.Settings))
		return s.apply(c)
	case "CONFIRM":
		f := strings.Fields(rest)
		rev, err := strconv.ParseUint(f[3], 10, 64)
		s.must(err)
		return s.apply(Command{Kind: Confirm, Confirmations: []Confirmation{{Cluster: lengthen(f[0]), Type: f[1], Version: f[2], Revision: Revision(rev), At: s.at}}})
	case "RESTORE":
		s.set = restore(s.t, s.set)
		return ""
	}
	return s.ask(word, rest)
}

// op reads an operation. Its object has to be a legal one.
func (s *scenario) op(method, rest string) (Op, string) {
	s.t.Helper()
	short, rest, _ := strings.Cut(rest, " ")
	op, id := Op{Method: Method(method), Path: lengthen(short)}, ""
	for rest != "" && rest[0] != '{' {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		switch {
		case word == "cascade":
			op.Cascade = true
		case word == "if-none":
			op.IfNoneMatch = true
		case strings.HasPrefix(word, "if="):
			op.IfMatch = append(op.IfMatch, word[3:])
		case strings.HasPrefix(word, "id="):
			id = word[3:]
		default:
			s.t.Fatalf("%s %s: what is %q?", method, short, word)
		}
	}
	if rest == "" {
		return op, id
	}
	body := map[string]any{}
	s.must(yaml.Unmarshal([]byte(rest), &body))
	if body["metadata"] == nil && body["spec"] == nil {
		body = map[string]any{"spec": body}
	}
	if body["metadata"] == nil {
		body["metadata"] = map[string]any{}
	}
	body["metadata"].(map[string]any)["name"] = op.Path.Name()
	data, err := json.Marshal(body)
	s.must(err)
	op.Object, err = DecodeObject(op.Path, data)
	s.must(err)
	op.Object.Normalize()
	s.must(op.Object.Validate())
	return op, id
}

func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// apply sends a command through the log's encoding into the set, and holds the
// set before it and the one after it to what must always be true.
func (s *scenario) apply(c Command) string {
	s.t.Helper()
	c.At = s.at
	s.at = s.at.Add(time.Second)
	entry, err := c.Encode()
	s.must(err)
	c, err = DecodeCommand(entry)
	s.must(err)
	before := dump(s.t, s.set)
	next, r, err := s.set.Apply(c)
	if after := dump(s.t, s.set); before != after {
		s.t.Fatalf("the base set was changed:\n%s\nis now\n%s", before, after)
	}
	checkWhole(s.t, next)
	if err != nil && next != s.set {
		s.t.Fatal("a refused command made another set")
	}
	s.set = next
	return shorten(outcome(r, err))
}

func outcome(r Result, err error) string {
	var b strings.Builder
	if e, ok := err.(*Error); ok {
		kind := map[ErrorKind]string{Malformed: "malformed", NotFound: "not found", Conflict: "conflict", Precondition: "precondition", Invalid: "invalid"}[e.Kind]
		fmt.Fprintf(&b, "\t%s, op %d %s: %s\n", kind, e.Op, e.Path, e.Detail)
		for _, v := range e.Violations {
			fmt.Fprintf(&b, "\t\t%s: %s\n", v.Field, v.Message)
		}
		return b.String()
	}
	if err != nil {
		return "\t" + err.Error() + "\n"
	}
	fmt.Fprintf(&b, "\tr%s", r.Revision)
	for _, e := range r.Effects {
		fmt.Fprintf(&b, " %s", e)
	}
	if r.Repeated {
		b.WriteString(" (repeated)")
	}
	b.WriteString("\n")
	for _, c := range r.Changes {
		switch {
		case c.Old == nil:
			fmt.Fprintf(&b, "\t+ %s\n", c.Path)
		case c.New == nil:
			fmt.Fprintf(&b, "\t- %s\n", c.Path)
		default:
			fmt.Fprintf(&b, "\t~ %s\n", c.Path)
		}
	}
	return b.String()
}

// ask answers a line that changes nothing.
func (s *scenario) ask(word, rest string) string {
	s.t.Helper()
	var b strings.Builder
	switch word {
	case "LIST":
		for _, k := range Kinds {
			for o := range s.set.List(k, "") {
				m := o.Metadata
				fmt.Fprintf(&b, "\t%s r%s gen %d, %s to %s", o.Path, m.ResourceVersion, m.Generation, m.CreatedAt.Format(time.TimeOnly), m.UpdatedAt.Format(time.TimeOnly))
				if k == KindInbound {
					fmt.Fprintf(&b, " %s %s", s.set.Host(o), s.set.VIP(s.set.Host(o)).V4)
				}
				for _, g := range o.LastGateways {
					fmt.Fprintf(&b, " last %s %v", g.Name, g.Addresses)
				}
				b.WriteString("\n")
			}
		}
	case "VIPS":
		s.set.vips.Scan(func(host string, vip VIP) bool {
			fmt.Fprintf(&b, "\t%s %s %s\n", host, vip.V4, vip.V6)
			return true
		})
	case "CONFIRMED":
		confirmed := s.set.Confirmed(lengthen(rest))
		for _, typ := range sortedKeys(confirmed) {
			c := confirmed[typ]
			fmt.Fprintf(&b, "\t%s %s r%s at %s\n", typ, c.Version, c.Revision, c.At.Format(time.TimeOnly))
		}
	case "CLUSTER-OF":
		fmt.Fprintf(&b, "\t%s\n", s.set.ClusterOf(rest))
	default:
		s.t.Fatalf("what is %q?", word)
	}
	return shorten(b.String())
}
