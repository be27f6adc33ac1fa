package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// connection is what the flags of a client command say about the server.
type connection struct {
	flags   *pflag.FlagSet
	env     lookupEnv
	server  string
	caFile  string
	cert    string
	key     string
	timeout time.Duration
}

func newConnection(env lookupEnv) *connection {
	c := &connection{env: env, flags: pflag.NewFlagSet("connection", pflag.ContinueOnError)}
	c.flags.StringVar(&c.server, "server", "http://127.0.0.1:9018", "URL of the server's REST address")
	c.flags.StringVar(&c.caFile, "ca-file", "", "PEM file of the authorities that may vouch for an https server, instead of the system's")
	c.flags.StringVar(&c.cert, "cert-file", "", "PEM certificate to show to an https server that asks for one")
	c.flags.StringVar(&c.key, "key-file", "", "PEM key of --cert-file")
	c.flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for each answer")
	nameEnv(c.flags)
	return c
}

// client talks HTTP to one server.
type client struct {
	base *url.URL
	http *http.Client
}

// open makes the client that the flags and the environment describe. It sends
// nothing yet.
func (c *connection) open() (*client, error) {
	if err := fillFlags(c.flags, c.env, settingsFile{}); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSuffix(c.server, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usagef("--server %q: must be a URL such as http://127.0.0.1:9018", c.server)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = c.tls(base); err != nil {
		return nil, &usageError{err}
	}
	return &client{base: base, http: &http.Client{Transport: transport, Timeout: c.timeout}}, nil
}

// tls is whom the client trusts and what it shows of itself.
func (c *connection) tls(base *url.URL) (*tls.Config, error) {
	config := &tls.Config{}
	if base.Scheme != "https" {
		for _, flag := range []struct{ name, value string }{{"ca-file", c.caFile}, {"cert-file", c.cert}, {"key-file", c.key}} {
			if flag.value != "" {
				return nil, fmt.Errorf("--%s needs an https --server, is %s", flag.name, c.server)
			}
		}
		return config, nil
	}
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file %s holds no PEM certificate", c.caFile)
		}
	}
	if c.cert != "" || c.key != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("--cert-file and --key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// request is one HTTP request; path is a REST path from the root of the tree.
type request struct {
	method string
	path   string
	query  url.Values
	accept string // default application/json
	body   []byte // JSON, or nil
}

// do sends a request and returns the body of a 2xx answer. The error is a
// *[problem] for any other answer and an *[unreachableError] for none.
func (c *client) do(ctx context.Context, r request) ([]byte, error) {
	target := *c.base
	target.Path += r.path
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.noAnswer(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.noAnswer(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, readProblem(r.method+" "+r.path, resp.StatusCode, body)
	}
	return body, nil
}

func (c *client) noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) { // it repeats method and URL
		err = wrapped.Err
	}
	hint := ""
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "\nStart a server with `meshwright server`, or name another with --server or MESHWRIGHT_SERVER."
	case errors.As(err, &untrusted):
		hint = "\nName the authority that vouches for the server with --ca-file or MESHWRIGHT_CA_FILE."
	}
	return &unreachableError{fmt.Errorf("no answer from %s: %w%s", c.base, err, hint)}
}

// getJSON reads what stands at a path into answer.
func (c *client) getJSON(ctx context.Context, path string, query url.Values, answer any) error {
	body, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("answer to GET %s: %w", path, err)
	}
	return nil
}

// notFound reports whether err is the server's 404.
func notFound(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}
