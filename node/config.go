package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/meshwright/meshwright/intent"
)

// Config says how a node runs. Each field is a flag of the same name.
type Config struct {
	DataDir    string
	RESTAddr   string // host:port
	XDSAddr    string // plaintext xDS; several addresses are separated by commas
	XDSTLSAddr string // xDS over TLS; not opened without XDSCert
	RaftAddr   string

	RESTCert     string // file; with RESTKey the REST port speaks TLS
	RESTKey      string
	RESTClientCA string // file; REST clients must present a certificate from it
	XDSCert      string
	XDSKey       string
	XDSClientCA  string // file; edges must present a certificate from it

	DefaultCluster string // provider/cluster of connections under an unknown name
	Insecure       bool   // bind other addresses than loopback without TLS and authentication
	HostSuffix     string // of default global names
	VIPv4          string // range of the virtual addresses of global names
	VIPv6          string

	LogLevel     string // debug, info, warn, error
	OTLPEndpoint string // URL of an OTLP/gRPC collector; empty: no traces

	LogOutput io.Writer // nil: standard output
}

// DefaultConfig is a node for one machine: everything on loopback.
func DefaultConfig() Config {
	s := intent.DefaultSettings()
	return Config{
		DataDir:    "./data",
		RESTAddr:   "127.0.0.1:9018",
		XDSAddr:    "127.0.0.1:15010",
		XDSTLSAddr: "127.0.0.1:15012",
		RaftAddr:   "127.0.0.1:9019",
		HostSuffix: s.HostSuffix,
		VIPv4:      s.VIPv4.String(),
		VIPv6:      s.VIPv6.String(),
		LogLevel:   "info",
	}
}

// Validate names every field that can't be used, by its flag.
func (c Config) Validate() error {
	var errs []error
	bad := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	if c.DataDir == "" {
		bad("data-dir", "must not be empty")
	}
	for _, pair := range []struct{ certFlag, cert, keyFlag, key string }{
		{"rest-cert", c.RESTCert, "rest-key", c.RESTKey},
		{"xds-cert", c.XDSCert, "xds-key", c.XDSKey},
	} {
		if (pair.cert == "") != (pair.key == "") {
			bad(pair.certFlag, "belongs together with --%s: give both or none", pair.keyFlag)
		}
	}
	for _, ca := range []struct{ flag, ca, certFlag, cert string }{
		{"rest-client-ca", c.RESTClientCA, "rest-cert", c.RESTCert},
		{"xds-client-ca", c.XDSClientCA, "xds-cert", c.XDSCert},
	} {
		if ca.ca != "" && ca.cert == "" {
			bad(ca.flag, "needs --%s: clients show certificates over TLS alone", ca.certFlag)
		}
	}
	for _, l := range c.listeners() {
		if msg := l.refusal(c.Insecure); msg != "" {
			bad(l.flag, "%s", msg)
		}
	}
	if _, err := c.logLevel(); err != nil {
		bad("log-level", "%q is none of debug, info, warn, error", c.LogLevel)
	}
	if _, err := c.settings(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// listener is an address that the node binds, and what protects it.
type listener struct {
	flag, addr string
	protected  bool   // by TLS and authentication
	how        string // to protect it
}

func (c Config) listeners() []listener {
	out := []listener{
		{"rest-addr", c.RESTAddr, c.RESTCert != "" && c.RESTClientCA != "", "give --rest-cert, --rest-key and --rest-client-ca"},
		{"raft-addr", c.RaftAddr, false, "this release runs one node, which needs no other address"},
	}
	for _, addr := range splitAddrs(c.XDSAddr) {
		out = append(out, listener{"xds-addr", addr, false, "use --xds-tls-addr for other machines"})
	}
	if c.XDSCert != "" {
		out = append(out, listener{"xds-tls-addr", c.XDSTLSAddr, c.XDSClientCA != "", "give --xds-client-ca (a stock istiod can't present a certificate)"})
	}
	return out
}

// refusal says why an address must not be bound, or "".
func (l listener) refusal(insecure bool) string {
	host, _, err := net.SplitHostPort(l.addr)
	if err != nil {
		return fmt.Sprintf("%q is no host:port", l.addr)
	}
	if insecure || l.protected || isLoopback(host) {
		return ""
	}
	return fmt.Sprintf("%s is reachable from other machines, and would be served without TLS and authentication: %s, or accept it with --insecure", l.addr, l.how)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// settings are the decisions that the node puts into the replicated log.
func (c Config) settings() (intent.Settings, error) {
	var errs []error
	parse := func(flag, s string) netip.Prefix {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %q is no address range such as 240.240.0.0/16", flag, s))
		}
		return p.Masked()
	}
	s := intent.Settings{HostSuffix: c.HostSuffix, VIPv4: parse("vip-v4", c.VIPv4), VIPv6: parse("vip-v6", c.VIPv6)}
	var refusal *intent.Error
	if len(errs) == 0 && errors.As(s.Validate(), &refusal) {
		for _, v := range refusal.Violations {
			errs = append(errs, fmt.Errorf("--%s: %s", settingFlags[v.Field], v.Message))
		}
	}
	return s, errors.Join(errs...)
}

// settingFlags are the flags of the store's settings by their JSON pointers.
var settingFlags = map[string]string{"/hostSuffix": "host-suffix", "/vipv4": "vip-v4", "/vipv6": "vip-v6"}

func (c Config) logLevel() (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(c.LogLevel))
	return level, err
}

func (c Config) logOutput() io.Writer {
	if c.LogOutput != nil {
		return c.LogOutput
	}
	return os.Stdout
}
