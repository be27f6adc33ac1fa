package intent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/tidwall/btree"
)

// MaxRepeats is how many identified commands a Set remembers. One that is sent
// again after that many others is applied again.
const MaxRepeats = 10_000

// MaxID bounds a command's ID.
const MaxID = 200

// Effect is what one operation did.
type Effect string

// The effects.
const (
	Created   Effect = "created"
	Replaced  Effect = "replaced"
	Unchanged Effect = "unchanged" // a PUT of what was there already
	Deleted   Effect = "deleted"
)

// remembered is what a Set keeps of an identified command: enough to tell
// whether another one is the same, and to answer it the same.
type remembered struct {
	Seq      uint64 // order of arrival; not stored, records stand in it
	Digest   string
	Revision Revision
	Effects  string // the first letter of each operation's
}

// ids are the identified commands by ID and in the order of their arrival.
type (
	idTree  = btree.Map[string, remembered]
	seqTree = btree.Map[uint64, string]
)

// effects are the effects by their first letter.
var effects = map[byte]Effect{'c': Created, 'r': Replaced, 'u': Unchanged, 'd': Deleted}

// digest identifies what a command asks for, without when or by whom.
func (c Command) digest() (string, error) {
	data, err := json.Marshal(Command{Kind: c.Kind, Ops: c.Ops, Settings: c.Settings})
	if err != nil {
		return "", fmt.Errorf("digest command: %w", err)
	}
	sum := sha256.Sum256(data)
	return base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// identified returns the command with its digest, if it has an ID. A command
// from the log brings its digest along: all replicas must compare the same
// one, whatever release computed it.
func (c Command) identified() (Command, error) {
	if c.ID == "" || c.Digest != "" {
		return c, nil
	}
	var err error
	c.Digest, err = c.digest()
	return c, err
}

// repeated answers a command whose ID was applied before. It reports false for
// any other.
func (s *Set) repeated(c Command) (Result, bool, error) {
	refused := Result{Revision: s.revision}
	if c.ID == "" {
		return refused, false, nil
	}
	if len(c.ID) > MaxID {
		return refused, false, Errorf(Malformed, "an idempotency key takes at most %d bytes, has %d", MaxID, len(c.ID))
	}
	was, ok := s.byID.Get(c.ID)
	if !ok {
		return refused, false, nil
	}
	if was.Digest != c.Digest || len(was.Effects) != len(c.Ops) {
		return refused, false, Errorf(Conflict, "the idempotency key %q was used for another request, at revision %s: take a new key for each request", c.ID, was.Revision)
	}
	r := Result{Revision: was.Revision, Repeated: true}
	for i, op := range c.Ops {
		r.Objects = append(r.Objects, s.Get(op.Path))
		r.Effects = append(r.Effects, effects[was.Effects[i]])
	}
	return r, true, nil
}

// remember keeps what became of an identified command, in place of the oldest
// one when there are too many.
func (d *draft) remember(c Command, r Result) {
	if c.ID == "" {
		return
	}
	letters := make([]byte, len(r.Effects))
	for i, e := range r.Effects {
		letters[i] = e[0]
	}
	d.keep(c.ID, remembered{Digest: c.Digest, Revision: r.Revision, Effects: string(letters)})
}

func (d *draft) keep(id string, m remembered) {
	byID, bySeq := writable(d, &d.next.byID), writable(d, &d.next.bySeq)
	if last, _, ok := bySeq.Max(); ok {
		m.Seq = last + 1
	}
	byID.Set(id, m)
	bySeq.Set(m.Seq, id)
	if bySeq.Len() > MaxRepeats {
		_, oldest, _ := bySeq.PopMin()
		byID.Delete(oldest)
	}
}
