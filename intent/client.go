package intent

import (
	"net/netip"
	"strings"
)

// ClientSpec is an app that calls an inbound service.
type ClientSpec struct {
	App            string    `json:"app"`
	AppLabel       string    `json:"appLabel"`
	ServiceName    string    `json:"serviceName,omitempty"`
	Namespaces     []string  `json:"namespaces"` // must be present, may be empty
	CIDRs          []string  `json:"cidrs"`      // must be present, may be empty
	ServiceAccount string    `json:"serviceAccount,omitempty"`
	Group          *GroupRef `json:"group,omitempty"` // when the app belongs to another group
}

// GroupRef names a deployment intent group.
type GroupRef struct {
	Project      string `json:"project"`
	CompositeApp string `json:"compositeApp"`
	Version      string `json:"version"`
	Group        string `json:"group"`
}

// Path is the path of the group that r names.
func (r GroupRef) Path() Path {
	return Path("/v2/projects/" + r.Project + "/composite-apps/" + r.CompositeApp + "/" + r.Version +
		"/deployment-intent-groups/" + r.Group)
}

func (c *ClientSpec) normalize() {
	if c.Namespaces == nil {
		c.Namespaces = []string{}
	}
	if c.CIDRs == nil {
		c.CIDRs = []string{}
	}
}

func (c *ClientSpec) validate(v *violations) {
	v.in("app").check(CheckName(c.App))
	v.in("appLabel").check(checkAppLabel(c.AppLabel))
	if c.ServiceName != "" {
		v.in("serviceName").check(checkDNSLabel(c.ServiceName))
	}
	for i, ns := range c.Namespaces {
		v.in("namespaces").at(i).check(checkDNSLabel(ns))
	}
	for i, s := range c.CIDRs {
		at := v.in("cidrs").at(i)
		prefix, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			at.add("%q is no CIDR such as 10.1.0.0/16", clip(s))
		case prefix.Masked() != prefix:
			at.add("%s has host bits set: write %s", s, prefix.Masked())
		}
	}
	if c.ServiceAccount != "" {
		v.in("serviceAccount").check(checkDNSName(c.ServiceAccount))
	}
	if g := c.Group; g != nil {
		at := v.in("group")
		at.in("project").check(CheckName(g.Project))
		at.in("compositeApp").check(CheckName(g.CompositeApp))
		at.in("version").check(CheckName(g.Version))
		at.in("group").check(CheckName(g.Group))
	}
}

// Action is what an access point does with a call that it matches.
type Action string

// The actions.
const (
	Allow Action = "ALLOW"
	Deny  Action = "DENY"
)

// AccessPointSpec is what a client may, or may not, call.
type AccessPointSpec struct {
	Action Action      `json:"action"`
	URL    []string    `json:"url"`             // paths
	Access []string    `json:"access"`          // methods, or *
	Ports  []int       `json:"ports,omitempty"` // of the workload
	Users  []User      `json:"users,omitempty"`
	When   []Condition `json:"when,omitempty"`
}

// User is an end user, known by a token.
type User struct {
	Issuer   string              `json:"issuer"`
	Subjects []string            `json:"subjects,omitempty"`
	Claims   map[string][]string `json:"claims,omitempty"`
}

// Condition is one of Istio's authorization conditions:
// https://istio.io/latest/docs/reference/config/security/conditions/
type Condition struct {
	Key       string   `json:"key"`
	Values    []string `json:"values,omitempty"`
	NotValues []string `json:"notValues,omitempty"`
}

// methods are those that RFC 9110 and RFC 5789 define, and all of them.
var methods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true,
	"DELETE": true, "CONNECT": true, "OPTIONS": true, "TRACE": true, "*": true,
}

func (a *AccessPointSpec) normalize() {
	a.Action = Action(strings.ToUpper(string(a.Action)))
	if a.URL == nil {
		a.URL = []string{}
	}
	if a.Access == nil {
		a.Access = []string{}
	}
	for i, m := range a.Access {
		if up := strings.ToUpper(m); methods[up] {
			a.Access[i] = up
		}
	}
}

func (a *AccessPointSpec) validate(v *violations) {
	v.in("action").oneOf(string(a.Action), string(Allow), string(Deny))
	for i, u := range a.URL {
		v.in("url").at(i).check(checkAuthorizationPath(u))
	}
	for i, m := range a.Access {
		if !methods[m] {
			v.in("access").at(i).check(checkToken(m))
		}
	}
	for i, p := range a.Ports {
		v.in("ports").at(i).check(checkPort(p))
	}
	for i, u := range a.Users {
		if u.Issuer == "" {
			v.in("users").at(i).in("issuer").add("must not be empty")
		}
	}
	for i, c := range a.When {
		if c.Key == "" {
			v.in("when").at(i).in("key").add("must not be empty")
		}
		if len(c.Values) == 0 && len(c.NotValues) == 0 {
			v.in("when").at(i).add("give values, notValues or both")
		}
	}
	a.notYet(v)
}
