package intent

// RoutingRuleSpec is how clients' traffic to a service is routed.
type RoutingRuleSpec struct {
	Priority int            `json:"priority,omitempty"`
	Match    []RouteMatch   `json:"match,omitempty"`
	Split    []RouteSplit   `json:"split,omitempty"`
	Timeout  string         `json:"timeout,omitempty"`
	Retries  *RouteRetries  `json:"retries,omitempty"`
	Fault    *RouteFault    `json:"fault,omitempty"`
	Mirror   *RouteMirror   `json:"mirror,omitempty"`
	Rewrite  *RouteRewrite  `json:"rewrite,omitempty"`
	Redirect *RouteRedirect `json:"redirect,omitempty"`
	Headers  *RouteHeaders  `json:"headers,omitempty"`
	CORS     *RouteCORS     `json:"cors,omitempty"`
}

// StringMatch is one way to match a string.
type StringMatch struct {
	Exact  string `json:"exact,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	Regex  string `json:"regex,omitempty"` // RE2
}

// RouteMatch holds conditions that must all be met.
type RouteMatch struct {
	Path        *StringMatch           `json:"path,omitempty"`
	Headers     map[string]StringMatch `json:"headers,omitempty"`
	QueryParams map[string]StringMatch `json:"queryParams,omitempty"`
	Methods     []string               `json:"methods,omitempty"`
	Clients     []string               `json:"clients,omitempty"` // names of clients of the inbound
}

// RouteSplit is the share of traffic that goes to one version or cluster.
type RouteSplit struct {
	Weight  int           `json:"weight"`
	Version *RouteVersion `json:"version,omitempty"`
	Cluster string        `json:"cluster,omitempty"` // provider/cluster
}

// RouteVersion picks instances by their labels.
type RouteVersion struct {
	Labels map[string]string `json:"labels"`
}

// RouteRetries says when a call is tried again.
type RouteRetries struct {
	Attempts      int    `json:"attempts"`
	PerTryTimeout string `json:"perTryTimeout,omitempty"`
	On            string `json:"on,omitempty"`
}

// RouteFault injects delays and errors.
type RouteFault struct {
	Delay *FaultDelay `json:"delay,omitempty"`
	Abort *FaultAbort `json:"abort,omitempty"`
}

// FaultDelay holds a share of calls back.
type FaultDelay struct {
	Percent  float64 `json:"percent"`
	Duration string  `json:"duration"`
}

// FaultAbort answers a share of calls with a status.
type FaultAbort struct {
	Percent float64 `json:"percent"`
	Status  int     `json:"status"`
}

// RouteMirror copies a share of calls elsewhere.
type RouteMirror struct {
	Version *RouteVersion `json:"version,omitempty"`
	Inbound string        `json:"inbound,omitempty"`
	Percent float64       `json:"percent,omitempty"` // default 100
}

// RouteRewrite changes a call before it is passed on.
type RouteRewrite struct {
	URI       string `json:"uri,omitempty"`
	Authority string `json:"authority,omitempty"`
}

// RouteRedirect answers a call with a redirection.
type RouteRedirect struct {
	URI       string `json:"uri,omitempty"`
	Authority string `json:"authority,omitempty"`
	Scheme    string `json:"scheme,omitempty"`
	Status    int    `json:"status,omitempty"`
}

// RouteHeaders changes the headers of requests and responses.
type RouteHeaders struct {
	Request  *HeaderChange `json:"request,omitempty"`
	Response *HeaderChange `json:"response,omitempty"`
}

// HeaderChange sets, adds and removes headers.
type HeaderChange struct {
	Set    map[string]string `json:"set,omitempty"`
	Add    map[string]string `json:"add,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// RouteCORS is a cross-origin policy.
type RouteCORS struct {
	AllowOrigins     []StringMatch `json:"allowOrigins,omitempty"`
	AllowMethods     []string      `json:"allowMethods,omitempty"`
	AllowHeaders     []string      `json:"allowHeaders,omitempty"`
	ExposeHeaders    []string      `json:"exposeHeaders,omitempty"`
	MaxAge           string        `json:"maxAge,omitempty"`
	AllowCredentials bool          `json:"allowCredentials,omitempty"`
}
