package intentapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// create adds an object to a collection.
func create(r *request) (*answer, error) {
	collection, err := r.collection()
	if err != nil {
		return nil, err
	}
	return r.writeObject(intent.Create, collection, true)
}

// put creates or replaces an object.
func put(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	return r.writeObject(intent.Put, p, false)
}

// remove deletes an object, with cascade=true all that stands below it too.
func remove(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	op := intent.Op{Method: intent.Delete, Path: p}
	if op.Cascade, err = r.flag("cascade"); err != nil {
		return nil, err
	}
	done, err := r.commitOne(op)
	if err != nil || done.preview != nil {
		return previewed(done.preview), err
	}
	return &answer{status: http.StatusNoContent, revision: done.Revision}, nil
}

func (r *request) writeObject(method intent.Method, p intent.Path, isCollection bool) (*answer, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	o, err := r.document.decodeObject(r.route.kind, p, isCollection, body)
	if err != nil {
		return nil, err
	}
	done, err := r.commitOne(intent.Op{Method: method, Path: o.Path, Object: o})
	if err != nil || done.preview != nil {
		return previewed(done.preview), err
	}
	return written(done)
}

// writtenObject is an object as it was stored, and what is unwise about it.
type writtenObject struct {
	*intent.Object
	Warnings []string `json:"warnings,omitempty"`
}

// written is the answer to a write of one object.
func written(done committed) (*answer, error) {
	o := done.Objects[0]
	if o == nil {
		return nil, refuse(http.StatusGone, "this write was carried out before, at revision "+done.Revision.String()+", and the object has been deleted since")
	}
	ans := &answer{
		status: http.StatusOK, body: writtenObject{shown(o), done.warnings},
		etag: o.Metadata.ResourceVersion, revision: done.Revision,
	}
	if done.Effects[0] == intent.Created {
		ans.status, ans.location = http.StatusCreated, string(o.Path)
	}
	return ans, nil
}

func previewed(preview *snapshot.Diff) *answer {
	if preview == nil {
		return nil
	}
	return &answer{status: http.StatusOK, body: preview}
}

// committed is what became of a command: its result, or for a dry run what it
// would do.
type committed struct {
	intent.Result
	warnings []string // that its author should see
	preview  *snapshot.Diff
}

// commitOne carries out one operation under the request's conditions.
func (r *request) commitOne(op intent.Op) (committed, error) {
	header := r.gin.Request.Header
	var err error
	op.IfMatch = readIfMatch(strings.Join(header.Values("If-Match"), ","))
	if op.IfNoneMatch, err = readIfNoneMatch(header.Get("If-None-Match")); err != nil {
		return committed{}, refuse(http.StatusBadRequest, "If-None-Match: "+err.Error())
	}
	key, err := r.idempotencyKey()
	if err != nil {
		return committed{}, err
	}
	done, err := r.commit(intent.Command{ID: key, Ops: []intent.Op{op}})
	return done, locate(err, op.Path)
}

// readIfMatch reads entity tags as the store compares them: bare
// resourceVersions. Weak tags stay as they are, and match nothing.
func readIfMatch(text string) []string {
	list := tags(text)
	for i, tag := range list {
		list[i] = strings.Trim(tag, `"`)
	}
	return list
}

func readIfNoneMatch(text string) (bool, error) {
	switch text {
	case "":
		return false, nil
	case "*":
		return true, nil
	}
	return false, errors.New("a write takes * alone")
}

// commit proposes a command's operations as one transaction, under its ID
// unless that is empty; with dryRun=true it works out what they would do to
// each cluster, and commits nothing.
//
// A write that changes nothing, such as one that is sent again, is warned of
// as things stand now: what it found then is not kept.
func (r *request) commit(command intent.Command) (committed, error) {
	dryRun, err := r.flag("dryRun")
	if err != nil {
		return committed{}, err
	}
	command.Kind, command.At = intent.Transact, r.Now().UTC().Truncate(time.Millisecond)
	if dryRun {
		command.ID = ""
	}
	next, result, err := r.try(command)
	done := committed{Result: result}
	if err != nil {
		return done, err
	}
	if !result.Repeated && len(result.Changes) > 0 {
		if done.warnings, err = snapshot.Admit(r.set, next, result.Changes); err != nil {
			return done, err
		}
	} else {
		done.warnings = snapshot.Standing(next, pathsOf(command.Ops)...)
	}
	if dryRun {
		if done.preview, err = snapshot.Preview(r.set, next, result.Changes); err == nil {
			done.preview.Warnings = append(done.preview.Warnings, done.warnings...)
		}
		return done, err
	}
	done.Result, err = r.Store.Propose(r.ctx, command)
	var refusal *intent.Error
	if err != nil && !errors.As(err, &refusal) && !errors.Is(err, intent.ErrUnavailable) && !errors.Is(err, intent.ErrTooLarge) {
		err = errors.Join(intent.ErrUnknownOutcome, err)
	}
	return done, err
}

func pathsOf(ops []intent.Op) []intent.Path {
	var out []intent.Path
	for _, op := range ops {
		out = append(out, op.Path)
	}
	return out
}

// try applies a command to this replica's Set. A refusal counts only when the
// Set holds all that was committed before: what the client wrote by way of
// another replica may not be here yet.
func (r *request) try(command intent.Command) (*intent.Set, intent.Result, error) {
	next, result, err := r.set.Apply(command)
	if err == nil {
		return next, result, nil
	}
	if err := r.barrier(); err != nil {
		return nil, result, err
	}
	if current := r.Store.Set(); current != r.set {
		r.set = current
		next, result, err = current.Apply(command)
	}
	return next, result, err
}

// idempotencyKey reads the header by which a write may be sent again.
func (r *request) idempotencyKey() (string, error) {
	key := r.gin.GetHeader("Idempotency-Key")
	if len(key) > intent.MaxID || strings.IndexFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0 {
		return "", refuse(http.StatusBadRequest, "Idempotency-Key: must be 1 to "+strconv.Itoa(intent.MaxID)+" visible ASCII characters without spaces")
	}
	return key, nil
}

// locate makes a refusal's fields point into the body of the one object that
// was written: what is wrong with another object is told in the message.
func locate(err error, p intent.Path) error {
	var refusal *intent.Error
	if !errors.As(err, &refusal) || refusal.Path == "" || refusal.Path == p {
		return err
	}
	told := *refusal
	told.Violations = elsewhere(refusal, "")
	return &told
}

// elsewhere tells of violations in an object that the request did not write,
// at a field of the request.
func elsewhere(refusal *intent.Error, field string) []intent.Violation {
	var out []intent.Violation
	for _, v := range refusal.Violations {
		out = append(out, intent.Violation{Field: field, Message: string(refusal.Path) + "#" + v.Field + ": " + v.Message})
	}
	return out
}
