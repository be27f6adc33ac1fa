package intentapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshwright/meshwright/clusters"
	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// Store is the replicated log and the Set that it makes.
type Store interface {
	// Set is the current Set of this replica.
	Set() *intent.Set
	// Propose returns once the command is committed and applied here, or with
	// the refusal, an *intent.Error, or with an error that wraps one of
	// intent's. Any other one means that the outcome is unknown.
	Propose(context.Context, intent.Command) (intent.Result, error)
	// Barrier returns once this replica has all that was committed before.
	Barrier(context.Context) error
	// Changed is closed at the next change of Set.
	Changed() <-chan struct{}
	// Since lists the transactions after a revision, in order; false when they
	// are no longer all known.
	Since(intent.Revision) ([]intent.Transaction, bool)
	// Ready is nil once the Set holds everything that was committed, else it
	// says what is missing.
	Ready() error
}

// Views are what each cluster gets.
type Views interface {
	View(cluster intent.Path) *snapshot.View
	Revision() intent.Revision
	Advanced() <-chan struct{}
	Ready() bool
}

// Tracker knows what each cluster's edges were sent and confirmed.
type Tracker interface {
	Status(cluster intent.Path) clusters.Status
}

// Config says what the API needs. All but the fields after Now must be set.
type Config struct {
	Store      Store
	Views      Views
	Tracker    Tracker
	Metrics    http.Handler // serves /metrics
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time

	MaxBody      int64         // bytes of a request body
	MaxPage      int           // objects on one page of a list
	MaxWatchers  int           // watches and held requests at once
	RevisionWait time.Duration // how long minRevision may take
	HoldLimit    time.Duration // how long a bundle request with watch=true is held
	KeepAlive    time.Duration // between the comments on a silent event stream
	WriteLimit   time.Duration // for one write on an event stream
}

// DefaultConfig returns the limits; the parts are the caller's to set.
func DefaultConfig() Config {
	return Config{
		Now:          time.Now,
		MaxBody:      1 << 20,
		MaxPage:      1000,
		MaxWatchers:  4096,
		RevisionWait: 10 * time.Second,
		HoldLimit:    55 * time.Second,
		KeepAlive:    15 * time.Second,
		WriteLimit:   30 * time.Second,
	}
}

// Validate names the first field that is missing or out of its range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"Store", c.Store != nil},
		{"Views", c.Views != nil},
		{"Tracker", c.Tracker != nil},
		{"Metrics", c.Metrics != nil},
		{"Registerer", c.Registerer != nil},
		{"Logger", c.Logger != nil},
		{"Now", c.Now != nil},
		{"MaxBody", c.MaxBody > 0},
		{"MaxPage", c.MaxPage > 0},
		{"MaxWatchers", c.MaxWatchers > 0},
		{"RevisionWait", c.RevisionWait > 0},
		{"HoldLimit", c.HoldLimit > 0},
		{"KeepAlive", c.KeepAlive > 0},
		{"WriteLimit", c.WriteLimit > 0},
	} {
		if !f.ok {
			return fmt.Errorf("intentapi config: %s is missing or not positive", f.name)
		}
	}
	return nil
}

// API answers REST requests. It is an http.Handler.
type API struct {
	Config
	metrics  *metrics
	document *document
	engine   *gin.Engine
	serving  atomic.Bool  // the store has been ready once
	watchers atomic.Int64 // held requests
}

// New builds the API. The error names a field of the config, or what is wrong
// with the embedded OpenAPI document.
func New(config Config) (*API, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	doc, err := loadDocument()
	if err != nil {
		return nil, err
	}
	a := &API{Config: config, metrics: newMetrics(config.Registerer), document: doc}
	a.engine = a.newEngine()
	return a, nil
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if canonical := canonicalURLPath(r.URL.EscapedPath()); canonical != "" {
		u := *r.URL
		u.RawPath = canonical
		u.Path, _ = url.PathUnescape(canonical) // the server has unescaped it before
		clone := *r
		clone.URL = &u
		r = &clone
	}
	a.engine.ServeHTTP(w, r)
}

// newEngine turns the routes into gin's.
func (a *API) newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.UseRawPath, e.UnescapePathValues = true, true
	e.RedirectTrailingSlash = false
	e.HandleMethodNotAllowed = true
	for _, r := range routes() {
		e.Handle(r.method, ginPath(r.template), a.serve(r))
		if r.method == http.MethodGet && !r.stream {
			e.HEAD(ginPath(r.template), a.serve(r))
		}
	}
	e.NoRoute(a.serve(route{template: "unknown", do: noSuchPath, open: true}))
	e.NoMethod(a.serve(route{template: "unknown", do: noSuchMethod, open: true}))
	return e
}
