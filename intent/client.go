package intent

import (
	"fmt"
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

func (c *ClientSpec) normalize() {}

func (c *ClientSpec) validate(v *violations) {
	v.in("app").check(CheckName(c.App))
	v.in("appLabel").check(checkAppLabel(c.AppLabel))
	if c.ServiceName != "" {
		v.in("serviceName").check(checkDNSLabel(c.ServiceName))
	}
	v.in("namespaces").check(checkPresent(c.Namespaces))
	for i, ns := range c.Namespaces {
		v.in("namespaces").at(i).check(checkDNSLabel(ns))
	}
	v.in("cidrs").check(checkPresent(c.CIDRs))
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

// User is an end user, known by a token: of this issuer, for one of the
// subjects if there are any, with one of the values for each of the claims.
// Several users of an access point are alternatives.
type User struct {
	Issuer   string              `json:"issuer"`
	Subjects []string            `json:"subjects,omitempty"`
	Claims   map[string][]string `json:"claims,omitempty"` // by name, or [name][name] for one within another
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

// upperMethods writes the standard methods as they are defined. Others keep
// their spelling: methods are case-sensitive.
func upperMethods(list []string) {
	for i, m := range list {
		if up := strings.ToUpper(m); methods[up] {
			list[i] = up
		}
	}
}

// checkAccess is a method, or * for all. Istio reads a * at either end of a
// longer one as a pattern.
func checkAccess(m string) string {
	if m != "*" && strings.Contains(m, "*") {
		return fmt.Sprintf("%q must be a method in full, or * for all", clip(m))
	}
	return checkToken(m)
}

func (a *AccessPointSpec) normalize() {
	a.Action = Action(strings.ToUpper(string(a.Action)))
	upperMethods(a.Access)
}

func (a *AccessPointSpec) validate(v *violations) {
	v.in("action").oneOf(string(a.Action), string(Allow), string(Deny))
	v.in("url").check(checkPresent(a.URL))
	for i, u := range a.URL {
		v.in("url").at(i).check(checkAuthorizationPath(u))
	}
	v.in("access").check(checkPresent(a.Access))
	for i, m := range a.Access {
		v.in("access").at(i).check(checkAccess(m))
	}
	for i, p := range a.Ports {
		v.in("ports").at(i).check(checkPort(p))
	}
	for i, u := range a.Users {
		u.validate(v.in("users").at(i))
	}
	for i, c := range a.When {
		c.validate(v.in("when").at(i))
	}
}

func (u *User) validate(v *violations) {
	v.in("issuer").check(checkIdentity(u.Issuer))
	for i, s := range u.Subjects {
		v.in("subjects").at(i).check(checkIdentity(s))
	}
	for _, name := range sortedKeys(u.Claims) {
		at := v.in("claims").in(name)
		at.check(checkClaimName(name))
		if len(u.Claims[name]) == 0 {
			at.add("must hold at least one value")
		}
		eachNotEmpty(at, u.Claims[name])
	}
}

func (c *Condition) validate(v *violations) {
	v.in("key").check(checkConditionKey(c.Key))
	if len(c.Values) == 0 && len(c.NotValues) == 0 {
		v.add("give values, notValues or both")
	}
	eachNotEmpty(v.in("values"), c.Values)
	eachNotEmpty(v.in("notValues"), c.NotValues)
}
