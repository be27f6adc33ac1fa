package intentapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/meshwright/meshwright/intent"
)

// checkQuery refuses query parameters that the OpenAPI document does not list
// for the route, and repeated ones: a misspelt dryRun must not commit.
func (r *request) checkQuery() error {
	query, err := url.ParseQuery(r.gin.Request.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "the query string can't be read: "+err.Error())
	}
	known := r.document.query[r.route.method+" "+r.route.template]
	var bad []intent.Violation
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			bad = append(bad, intent.Violation{Field: "?" + name, Message: "is no query parameter of this path"})
		case len(values) > 1:
			bad = append(bad, intent.Violation{Field: "?" + name, Message: "is given more than once"})
		}
	}
	if len(bad) > 0 {
		sortViolations(bad)
		return malformed(bad...)
	}
	return nil
}

// flag reads a query parameter that is true or false.
func (r *request) flag(name string) (bool, error) {
	switch v := r.gin.Query(name); v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badQuery(name, "must be true or false")
	}
}

// revisionParameter reads a query parameter that is a revision; ok is false
// when it is not there.
func (r *request) revisionParameter(name string) (rev intent.Revision, ok bool, err error) {
	text, ok := r.gin.GetQuery(name)
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, true, badQuery(name, "must be a revision: a whole number from 0")
	}
	return intent.Revision(n), true, nil
}

func badQuery(name, message string) *problem {
	return malformed(intent.Violation{Field: "?" + name, Message: message})
}

// waitForSet picks the Set that the request is answered from: the replica's
// own, or by ?consistency=linearizable one that holds all that was committed
// before, or by ?minRevision=N one that is not older.
func (r *request) waitForSet() error {
	switch v := r.gin.Query("consistency"); v {
	case "", "local":
	case "linearizable":
		if err := r.barrier(); err != nil {
			return err
		}
	default:
		return badQuery("consistency", "must be local or linearizable")
	}
	want, _, err := r.revisionParameter("minRevision")
	if err != nil {
		return err
	}
	err = r.wait(r.Store.Changed, func() bool {
		r.set = r.Store.Set()
		return r.set.Revision() >= want
	})
	return err
}

// barrier returns once this replica has all that was committed before.
func (r *request) barrier() error {
	if err := r.Store.Barrier(r.ctx); err != nil {
		return errors.Join(intent.ErrUnavailable, err) // it changes nothing, whatever went wrong
	}
	return nil
}

// wait returns once done, judged again at each change; a problem of 504 after
// the bound.
func (r *request) wait(changed func() <-chan struct{}, done func() bool) error {
	if done() {
		return nil
	}
	limit := time.NewTimer(r.RevisionWait)
	defer limit.Stop()
	for {
		next := changed()
		if done() {
			return nil
		}
		select {
		case <-next:
		case <-limit.C:
			return refuse(http.StatusGatewayTimeout, "this replica is at revision "+r.Store.Set().Revision().String()+" and did not reach the asked one in time: ask again or another replica")
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
}

// waitForViews waits until every cluster's view holds a revision.
func (r *request) waitForViews(want intent.Revision) error {
	return r.wait(r.Views.Advanced, func() bool { return r.Views.Ready() && r.Views.Revision() >= want })
}
