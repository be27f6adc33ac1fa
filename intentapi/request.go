package intentapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/meshwright/meshwright/intent"
)

// An endpoint answers one request. Its errors become problems.
type endpoint func(*request) (*answer, error)

// request is what an endpoint sees of one request.
type request struct {
	*API
	ctx   context.Context
	gin   *gin.Context
	route route
	id    string
	set   *intent.Set // what the request is answered from
	held  bool        // stays open for long: not in the latency histogram
}

// answer is what an endpoint makes.
type answer struct {
	status      int    // 0: the stream chooses it
	body        any    // written as JSON, unless raw is set
	raw         []byte // written as it is, as contentType
	contentType string
	etag        string // without quotes
	location    string
	link        string
	revision    intent.Revision                   // that the answer reflects; 0: that of the request's Set
	stream      func(w http.ResponseWriter) error // takes over after the header
}

// serve wraps an endpoint: whatever all requests have in common is here.
func (a *API) serve(rt route) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		r := &request{API: a, gin: c, route: rt, id: requestID(c.GetHeader("X-Request-Id"))}
		var end func(status int, err error)
		r.ctx, end = a.startSpan(c.Request, rt)
		ans, err := r.answer()
		if err != nil {
			ans = r.present(problemOf(err))
		}
		streamErr := r.write(ans)
		if err == nil {
			err = streamErr
		}
		end(ans.status, err)
		a.observe(r, ans.status, time.Since(start), err)
	}
}

// answer checks what concerns every request, then asks the endpoint. A panic
// becomes an error, its stack an event of the log.
func (r *request) answer() (ans *answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Logger.Error("request panicked", "request_id", r.id, "panic", p, "stack", string(debug.Stack()))
			ans, err = nil, errPanic
		}
	}()
	r.set = r.Store.Set()
	if r.route.open {
		return r.route.do(r)
	}
	if err := r.checkQuery(); err != nil {
		return nil, err
	}
	if !r.serving.Load() {
		if err := r.Store.Ready(); err != nil {
			return nil, r.notReady(err)
		}
		r.serving.Store(true)
	}
	if err := r.waitForSet(); err != nil {
		return nil, err
	}
	return r.route.do(r)
}

var errPanic = refuse(http.StatusInternalServerError, "an error that is not the request's; its details are in the server's log under the request id")

// present makes the answer that tells of a problem.
func (r *request) present(p *problem) *answer {
	told := *p
	told.RequestID = r.id
	if told.retryAfter != "" {
		r.gin.Header("Retry-After", told.retryAfter)
	}
	return &answer{status: told.Status, body: &told, contentType: "application/problem+json"}
}

// write sends an answer. The error is one of writing a stream.
func (r *request) write(ans *answer) error {
	raw, contentType := ans.raw, ans.contentType
	if raw == nil && ans.body != nil {
		var err error
		if raw, err = encodeJSON(ans.body); err != nil {
			*ans = *r.present(problemOf(err))
			contentType = ans.contentType
			raw, _ = encodeJSON(ans.body)
		}
		if contentType == "" {
			contentType = "application/json"
		}
	}
	h := r.gin.Writer.Header()
	for name, value := range map[string]string{"Content-Type": contentType, "Location": ans.location, "Link": ans.link} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if ans.etag != "" {
		h.Set("ETag", strconv.Quote(ans.etag))
	}
	h.Set("X-Request-Id", r.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Meshwright-Revision", max(ans.revision, r.revisionSeen()).String())
	if len(raw) > 0 {
		h.Set("Content-Length", strconv.Itoa(len(raw)))
	}
	if ans.status == 0 { // another handler chooses it
		err := ans.stream(r.gin.Writer)
		ans.status = r.gin.Writer.Status()
		return err
	}
	r.gin.Writer.WriteHeader(ans.status)
	r.gin.Writer.WriteHeaderNow()
	if ans.stream != nil {
		return ans.stream(r.gin.Writer)
	}
	if r.gin.Request.Method != http.MethodHead {
		_, _ = r.gin.Writer.Write(raw) // a client that has gone is no error of ours
	}
	return nil
}

func (r *request) revisionSeen() intent.Revision {
	if r.set == nil {
		return 0
	}
	return r.set.Revision()
}

// encodeJSON is the one way that values are written: no HTML escapes, keys of
// maps in order, a newline at the end.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// requestID takes the client's id when it is a short printable token, else it
// makes one.
func requestID(given string) string {
	if len(given) > 0 && len(given) <= 128 && strings.Trim(given, idCharacters) == "" {
		return given
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

const idCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+=@"

// path is the object that the request's URL names.
func (r *request) path() (intent.Path, error) { return r.pathOf(r.route.kind.Template()) }

// collection is the path of the collection that the request's URL names,
// without a trailing slash.
func (r *request) collection() (intent.Path, error) {
	item := r.route.kind.Template()
	return r.pathOf(item[:strings.LastIndexByte(item, '/')])
}

// pathOf fills a template with the names in the URL.
func (r *request) pathOf(template string) (intent.Path, error) {
	segments := strings.Split(template[1:], "/")
	for i, s := range segments {
		if !strings.HasPrefix(s, "{") {
			continue
		}
		segments[i] = r.gin.Param(strings.Trim(s, "{}"))
		if msg := intent.CheckName(segments[i]); msg != "" {
			return "", refuse(http.StatusBadRequest, "path segment "+s+": "+msg)
		}
	}
	return intent.Path("/" + strings.Join(segments, "/")), nil
}
