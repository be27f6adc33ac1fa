package intent

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// KeptPrefix begins the names of generated objects. No intent may name another
// object so.
const KeptPrefix = "mw-"

// The checks below say what is wrong with one value, or return "" for a legal
// one. They never repeat a secret.

var (
	dnsLabelRE   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	versionRE    = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?([-.+][0-9A-Za-z.-]+)?$`)
	apiVersionRE = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?$`)
	kindRE       = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)
	tokenRE      = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

func checkNotEmpty(s string) string {
	if s == "" {
		return "must not be empty"
	}
	return ""
}

// checkPresent refuses a list that a body left out or gave as null: its author
// has to say that it is empty.
func checkPresent(list []string) string {
	if list == nil {
		return "must be there: write [] for none"
	}
	return ""
}

// checkDNSLabel is RFC 1123, section 2.1, as Kubernetes narrows it.
func checkDNSLabel(s string) string {
	switch {
	case s == "":
		return "must not be empty"
	case len(s) > 63:
		return fmt.Sprintf("must be at most 63 characters, has %d", len(s))
	case !dnsLabelRE.MatchString(s):
		return fmt.Sprintf("%q must be a DNS-1123 label: lower-case letters, digits and '-', starting and ending with a letter or digit", s)
	}
	return ""
}

// checkDNSName is a Kubernetes object name: DNS labels joined by dots.
func checkDNSName(s string) string {
	if s == "" {
		return "must not be empty"
	}
	if len(s) > 253 {
		return fmt.Sprintf("must be at most 253 characters, has %d", len(s))
	}
	for label := range strings.SplitSeq(s, ".") {
		if checkDNSLabel(label) != "" {
			return fmt.Sprintf("%q must be a DNS-1123 name: lower-case letters, digits, '-' and '.', each part starting and ending with a letter or digit", clip(s))
		}
	}
	return ""
}

// checkHost is a full host name without wildcards; a bare address is none.
func checkHost(s string) string {
	if msg := checkDNSName(s); msg != "" {
		return msg
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return fmt.Sprintf("%s is an IP address, a host name is wanted", s)
	}
	// No top-level domain is a number: 300.1.1.1 is a mistyped address.
	if last := s[strings.LastIndexByte(s, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return fmt.Sprintf("%q is no host name: its last part is a number", s)
	}
	return ""
}

// checkFullHost is a host that is no name inside a namespace.
func checkFullHost(s string) string {
	if msg := checkHost(s); msg != "" {
		return msg
	}
	if !strings.Contains(s, ".") {
		return fmt.Sprintf("%q must be a full host name: a single word is a name inside the cluster", s)
	}
	return ""
}

func checkHostOrIP(s string) string {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return fmt.Sprintf("%q has a zone: only addresses that mean the same everywhere can be used", s)
		}
		return ""
	}
	if checkHost(s) != "" {
		return fmt.Sprintf("%q is neither an IP address nor a host name", clip(s))
	}
	return ""
}

func checkPort(p int) string { return checkRange(p, 1, 65535) }

func checkRange(n, least, most int) string {
	if n < least || n > most {
		return fmt.Sprintf("must be from %d to %d, is %d", least, most, n)
	}
	return ""
}

func checkProtocol(p Protocol) string {
	if _, ok := protocols[p]; !ok {
		return fmt.Sprintf("%q is none of %s", clip(string(p)), strings.Join(sortedKeys(protocols), ", "))
	}
	return ""
}

func checkDuration(s string) string {
	if s == "" {
		return ""
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Sprintf("%q is no duration such as 1.5s or 2m", clip(s))
	}
	if d < time.Millisecond || d > 24*time.Hour || d%time.Millisecond != 0 {
		return fmt.Sprintf("must be from 1ms to 24h in whole milliseconds, is %s", d)
	}
	return ""
}

func checkAppLabel(s string) string {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Sprintf("%q must be a label as key=value", clip(s))
	}
	if msg := checkLabelKey(key); msg != "" {
		return msg
	}
	if value == "" {
		return fmt.Sprintf("%q has no value after the =", clip(s))
	}
	return checkLabelValue(value)
}

// checkLabelKey is a Kubernetes label key: an optional DNS prefix and a name.
func checkLabelKey(key string) string {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if checkDNSName(prefix) != "" {
			return fmt.Sprintf("label key %q: the part before / must be a DNS name", clip(key))
		}
		name = rest
	}
	if len(name) > 63 || !isName(name) {
		return fmt.Sprintf("label key %q: must be 1 to 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit", clip(key))
	}
	return ""
}

func checkLabelValue(value string) string {
	if value == "" {
		return ""
	}
	if len(value) > 63 || !isName(value) {
		return fmt.Sprintf("value %q must be at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit", clip(value))
	}
	return ""
}

// checkToken is a token of RFC 9110, section 5.6.2: a header's or method's name.
func checkToken(s string) string {
	if !tokenRE.MatchString(s) {
		return fmt.Sprintf("%q must be a token: letters, digits and !#$%%&'*+-.^_`|~", clip(s))
	}
	return ""
}

// checkAuthorizationPath is a path as Istio's AuthorizationPolicy takes it:
// exact, with a * at one end, or a template with {*} and {**}.
func checkAuthorizationPath(p string) string {
	switch {
	case p == "":
		return "must not be empty"
	case p == "*":
		return ""
	case !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*"):
		return fmt.Sprintf("%q must start with / or *", clip(p))
	case strings.ContainsAny(p, " ?#") || checkText(p) != "":
		return fmt.Sprintf("%q must be a path: no space, control character, query or fragment", clip(p))
	}
	if strings.ContainsAny(p, "{}") {
		return checkPathTemplate(p)
	}
	middle := strings.TrimSuffix(strings.TrimPrefix(p, "*"), "*")
	switch {
	case strings.Contains(middle, "*"):
		return fmt.Sprintf("%q: a * may stand at the start or the end only; use {*} for one segment", clip(p))
	case strings.HasPrefix(p, "*") && strings.HasSuffix(p, "*"):
		return fmt.Sprintf("%q: a * may stand at the start or at the end, not at both", clip(p))
	}
	return ""
}

func checkPathTemplate(p string) string {
	rest := false
	for segment := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		switch {
		case segment == "{*}" || segment == "{**}":
			if rest {
				return fmt.Sprintf("%q: nothing with a wildcard may follow {**}", clip(p))
			}
			rest = segment == "{**}"
		case strings.ContainsAny(segment, "{}*"):
			return fmt.Sprintf("%q: {*} and {**} must be whole segments", clip(p))
		}
	}
	return ""
}

// checkPEM checks base64 of PEM blocks whose type ends in want.
func checkPEM(s, want string) string {
	if s == "" {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "must be base64 of PEM"
	}
	if want == "CERTIFICATE" && strings.Contains(string(raw), "PRIVATE KEY") {
		return "holds a private key: certificates are shown to whoever may read the intent, so give the key in its own field and replace it, if this one was in use"
	}
	block, _ := pem.Decode(raw)
	if block == nil || !strings.HasSuffix(block.Type, want) {
		return fmt.Sprintf("must hold a PEM block of type %s", want)
	}
	if want == "CERTIFICATE" {
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "holds a certificate that can't be read"
		}
	}
	return ""
}

func checkHTTPURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Sprintf("%q is no http or https URL", clip(s))
	}
	return ""
}
