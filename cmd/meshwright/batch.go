package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// The most that one transaction takes.
const (
	maxOperations = intent.MaxOps
	maxBodyBytes  = 1 << 20
)

// operation is one change of a transaction, as POST /v2/transactions takes it.
type operation struct {
	Method  intent.Method   `json:"method"`
	Path    string          `json:"path"`
	Body    json.RawMessage `json:"body,omitempty"`
	Cascade bool            `json:"cascade,omitempty"`

	place *place // where it is described, if in a file
}

// transaction is as many operations as the server takes at once.
type transaction struct {
	operations []operation
	encoded    bytes.Buffer // the operations as JSON, apart by commas
}

const transactionHead, transactionTail = `{"operations":[`, `]}`

// batch cuts operations into transactions, in order. An operation that is too
// large by itself goes alone: the server's refusal says it best.
func batch(ops []operation) []*transaction {
	var out []*transaction
	var last *transaction
	for _, op := range ops {
		text, err := json.Marshal(op)
		if err != nil { // the body was encoded by us
			panic("encode operation: " + err.Error())
		}
		room := maxBodyBytes - len(transactionHead) - len(transactionTail) - len(",") - len(text)
		if last == nil || len(last.operations) == maxOperations || last.encoded.Len() > room {
			last = &transaction{}
			out = append(out, last)
		} else {
			last.encoded.WriteByte(',')
		}
		last.operations = append(last.operations, op)
		last.encoded.Write(text)
	}
	return out
}

// body is the transaction as the body of a request.
func (t *transaction) body() []byte {
	return []byte(transactionHead + t.encoded.String() + transactionTail)
}

// locate is the transaction's [locator]: of /operations/3/body/spec/port, it
// tells the port in the fourth operation's document.
func (t *transaction) locate(field string) (place, own string) {
	rest, ok := strings.CutPrefix(field, "/operations/")
	if !ok {
		return nowhere(field)
	}
	index, rest, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(t.operations) {
		return nowhere(field)
	}
	op := t.operations[i]
	own, inBody := strings.CutPrefix("/"+rest, "/body")
	if !inBody { // about the operation: path, method, ifMatch
		own = ""
	}
	if op.place == nil {
		return op.Path, own
	}
	return op.place.locate(own)
}

// topDown orders documents as the server must see them: clusters first, then
// by depth in the tree; otherwise as the files have them.
func topDown(docs []document) []document {
	out := slices.Clone(docs)
	slices.SortStableFunc(out, func(a, b document) int { return cmp.Compare(depth(a.path), depth(b.path)) })
	return out
}

// depth counts the segments of a path. A cluster's has the fewest.
func depth(p intent.Path) int { return strings.Count(string(p), "/") }
