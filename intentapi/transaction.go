package intentapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/meshwright/meshwright/intent"
)

// transactionAnswer tells what each operation did.
type transactionAnswer struct {
	Revision intent.Revision   `json:"revision"`
	Results  []operationResult `json:"results"`
	Warnings []string          `json:"warnings,omitempty"`
}

type operationResult struct {
	Path   intent.Path    `json:"path"`
	Effect intent.Effect  `json:"effect"`
	Object *intent.Object `json:"object,omitempty"` // not when deleted
}

// transact carries out many operations, all or nothing.
func transact(r *request) (*answer, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	ops, err := r.document.decodeTransaction(body)
	if err != nil {
		return nil, err
	}
	key, err := r.idempotencyKey()
	if err != nil {
		return nil, err
	}
	done, err := r.commit(intent.Command{ID: key, Ops: ops})
	if err != nil || done.preview != nil {
		return previewed(done.preview), locateOperation(err, ops)
	}
	out := transactionAnswer{Revision: done.Revision, Results: []operationResult{}, Warnings: done.warnings}
	for i, op := range ops {
		out.Results = append(out.Results, operationResult{op.Path, done.Effects[i], shown(done.Objects[i])})
	}
	return &answer{status: http.StatusOK, body: out, revision: done.Revision}, nil
}

// decodeTransaction reads all operations. The error has every violation of
// shape, or when there is none every one of value, below /operations/{index}.
func (d *document) decodeTransaction(body any) ([]intent.Op, error) {
	if bad := checkShape(d.shapes["Transaction"], body); len(bad) > 0 {
		return nil, malformed(bad...)
	}
	list := body.(map[string]any)["operations"].([]any)
	if len(list) == 0 || len(list) > intent.MaxOps {
		return nil, malformed(intent.Violation{Field: "/operations", Message: "must hold 1 to " + strconv.Itoa(intent.MaxOps) + " operations, has " + strconv.Itoa(len(list))})
	}
	var ops []intent.Op
	var shape, value []intent.Violation
	for i, item := range list {
		op, err := d.decodeOperation(item.(map[string]any))
		ops = append(ops, op)
		if err == nil {
			continue
		}
		p := problemOf(err)
		into := &shape
		if p.Status == http.StatusUnprocessableEntity {
			into = &value
		}
		at := "/operations/" + strconv.Itoa(i)
		for _, v := range p.Errors {
			*into = append(*into, intent.Violation{Field: at + v.Field, Message: v.Message})
		}
		if len(p.Errors) == 0 {
			*into = append(*into, intent.Violation{Field: at + "/path", Message: p.Detail})
		}
	}
	switch {
	case len(shape) > 0:
		return nil, malformed(shape...)
	case len(value) > 0:
		return nil, refuse(http.StatusUnprocessableEntity, "the transaction holds objects that are not legal", value...)
	}
	return ops, nil
}

// decodeOperation reads one operation whose shape has been checked. The fields
// of its errors point into the operation.
func (d *document) decodeOperation(item map[string]any) (intent.Op, error) {
	op := intent.Op{Method: intent.Method(item["method"].(string))}
	ifMatch, _ := item["ifMatch"].(string)
	ifNoneMatch, _ := item["ifNoneMatch"].(string)
	op.Cascade, _ = item["cascade"].(bool)
	op.IfMatch = readIfMatch(ifMatch)
	var err error
	if op.IfNoneMatch, err = readIfNoneMatch(ifNoneMatch); err != nil {
		return op, malformed(intent.Violation{Field: "/ifNoneMatch", Message: err.Error()})
	}
	text := item["path"].(string)
	path, kind, err := intent.ParsePath(text)
	isCollection := false
	if err != nil && op.Method == intent.Create {
		var in intent.Path
		if in, kind, err = intent.ParsePath(text + "/" + placeholder); err == nil {
			path, isCollection = intent.Path(in.Collection()), true
		}
	}
	if err != nil {
		return op, err
	}
	op.Path = path
	body, ok := item["body"]
	switch op.Method {
	case intent.Delete:
		if ok {
			return op, malformed(intent.Violation{Field: "/body", Message: "must be absent for a DELETE"})
		}
		return op, nil
	case intent.Create, intent.Put:
		if !ok {
			return op, malformed(intent.Violation{Field: "/body", Message: "is missing"})
		}
	default:
		return op, malformed(intent.Violation{Field: "/method", Message: "is none of POST, PUT, DELETE"})
	}
	op.Object, err = d.decodeObject(kind, path, isCollection, body)
	if op.Object != nil {
		op.Path = op.Object.Path
	}
	if err != nil {
		p := *problemOf(err)
		for i, v := range p.Errors {
			p.Errors[i].Field = "/body" + v.Field
		}
		return op, &p
	}
	return op, nil
}

// locateOperation makes a refusal of a whole transaction say which operation
// it is about.
func locateOperation(err error, ops []intent.Op) error {
	var refusal *intent.Error
	if !errors.As(err, &refusal) || refusal.Op >= len(ops) {
		return err
	}
	op := ops[refusal.Op]
	for i := range ops { // Istio's refusals know the path alone
		if ops[i].Path == refusal.Path {
			if op.Path != refusal.Path {
				op, refusal.Op = ops[i], i
			}
			break
		}
	}
	at := "/operations/" + strconv.Itoa(refusal.Op)
	told := *refusal
	told.Detail = "operation " + strconv.Itoa(refusal.Op) + ", " + string(op.Method) + " " + string(op.Path) + ": " + refusal.Detail
	told.Violations = nil
	switch {
	case refusal.Path != "" && refusal.Path != op.Path:
		told.Violations = elsewhere(refusal, at)
	default:
		for _, v := range refusal.Violations {
			told.Violations = append(told.Violations, intent.Violation{Field: at + "/body" + v.Field, Message: v.Message})
		}
	}
	if len(told.Violations) == 0 {
		field := at + "/path"
		if refusal.Kind == intent.Precondition {
			field = at + "/ifMatch"
			if op.IfNoneMatch {
				field = at + "/ifNoneMatch"
			}
		}
		told.Violations = []intent.Violation{{Field: field, Message: refusal.Detail}}
	}
	return &told
}
