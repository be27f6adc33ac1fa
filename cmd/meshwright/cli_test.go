package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// result is what one command line gave.
type result struct {
	Code           int
	Stdout, Stderr string
}

// meshwright runs a command line in this process.
func meshwright(stdin string, environ map[string]string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(args, strings.NewReader(stdin), &stdout, &stderr, env(environ))
	return result{code, stdout.String(), stderr.String()}
}

// refusing is a server that answers every request with one status and body.
func refusing(t *testing.T, status int, contentType, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestExitCodes holds the codes that help promises.
func TestExitCodes(t *testing.T) {
	const problemJSON = "application/problem+json"
	refused := refusing(t, 404, problemJSON, `{"title":"Not Found","status":404,"detail":"there is none"}`)
	for name, c := range map[string]struct {
		args []string
		want int
		says string
	}{
		"help":                {nil, exitOK, ""},
		"version":             {[]string{"version"}, exitOK, ""},
		"completion":          {[]string{"completion", "bash"}, exitOK, ""},
		"no such command":     {[]string{"aply"}, exitUsage, `unknown command "aply"`},
		"no such shell":       {[]string{"completion", "nosh"}, exitUsage, `unknown command "nosh"`},
		"no such flag":        {[]string{"get", "--x"}, exitUsage, "unknown flag: --x"},
		"no argument":         {[]string{"get"}, exitUsage, "accepts 1 arg(s)"},
		"too many":            {[]string{"status", "a/b", "c/d"}, exitUsage, "accepts at most 1 arg(s)"},
		"bad -o":              {[]string{"status", "-o", "xml"}, exitUsage, "must be yaml, json or table"},
		"no such path":        {[]string{"get", "/v2/nothing"}, exitUsage, `"/v2/nothing" is the path of no object`},
		"no cluster":          {[]string{"bundle", "a/b/c"}, exitUsage, `"a/b/c" names no cluster`},
		"no status":           {[]string{"status", "a"}, exitUsage, "neither PROVIDER/CLUSTER nor"},
		"no files":            {[]string{"apply"}, exitUsage, "which files?"},
		"absent file":         {[]string{"apply", "-f", "/nonexistent/x.yaml"}, exitUsage, "no such file"},
		"nothing to delete":   {[]string{"delete"}, exitUsage, "what to delete?"},
		"bad server":          {[]string{"status", "--server", "localhost:9018"}, exitUsage, "must be a URL"},
		"absent CA":           {[]string{"status", "--server", "https://127.0.0.1:1", "--ca-file", "/nonexistent/ca"}, exitUsage, "--ca-file"},
		"CA without TLS":      {[]string{"status", "--ca-file", "/nonexistent/ca"}, exitUsage, "--ca-file needs an https --server"},
		"server: bad flag":    {[]string{"server", "--rest-addr", "x"}, exitUsage, "--rest-addr"},
		"server: open":        {[]string{"server", "--rest-addr", "0.0.0.0:0"}, exitUsage, "--insecure"},
		"refused":             {[]string{"status", "--server", refused}, exitRefused, "GET /v2/status: 404 Not Found: there is none"},
		"failed":              {[]string{"status", "--server", refusing(t, 500, "text/plain", "oops")}, exitRefused, "500 Internal Server Error: oops"},
		"not understood":      {[]string{"status", "--server", refusing(t, 200, "text/plain", "hello")}, exitRefused, "answer is no status"},
		"unavailable":         {[]string{"status", "--server", refusing(t, 503, problemJSON, `{"title":"x","outcome":"unknown"}`)}, exitUnreachable, "run the same command again"},
		"no server":           {[]string{"status", "--server", "http://" + closedPort(t)}, exitUnreachable, "Start a server with `meshwright server`"},
		"timeout":             {[]string{"status", "--timeout", "1ms", "--server", "http://" + silentPort(t)}, exitUnreachable, "Timeout"},
		"timeout is no value": {[]string{"status", "--timeout", "soon"}, exitUsage, "--timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			got := meshwright("", nil, c.args...)
			if got.Code != c.want || !strings.Contains(got.Stderr, c.says) {
				t.Errorf("code %d, want %d; stderr %q, want %q", got.Code, c.want, got.Stderr, c.says)
			}
			if got.Code != exitOK && got.Stdout != "" {
				t.Errorf("stdout: %q", got.Stdout)
			}
		})
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silentPort is an address at which nobody answers.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// TestServerFromEnvironment holds that the connection's flags have variables.
func TestServerFromEnvironment(t *testing.T) {
	url := refusing(t, 200, "application/json", `{"clusters":{"total":1}}`)
	if got := meshwright("", map[string]string{"MESHWRIGHT_SERVER": url}, "status"); got.Code != exitOK {
		t.Errorf("%+v", got)
	}
	if got := meshwright("", map[string]string{"MESHWRIGHT_SERVER": url, "MESHWRIGHT_TIMEOUT": "soon"}, "status"); got.Code != exitUsage {
		t.Errorf("%+v", got)
	}
	if got := meshwright("", map[string]string{"MESHWRIGHT_SERVER": "http://" + closedPort(t)}, "status", "--server", url); got.Code != exitOK {
		t.Errorf("the flag must win: %+v", got)
	}
}

// TestTLS holds that the client trusts --ca-file alone, and shows --cert-file.
func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are meant to fail
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile := writePEM(t, "CERTIFICATE", pair.Certificate[0])
	keyFile := writePEM(t, "PRIVATE KEY", key)
	all := []string{"status", "--server", srv.URL, "--ca-file", certFile, "--cert-file", certFile, "--key-file", keyFile}
	for name, c := range map[string]struct {
		args []string
		want int
		says string
	}{
		"all":        {all, exitOK, ""},
		"no cert":    {all[:5], exitUnreachable, "certificate required"},
		"no CA":      {slices.Delete(slices.Clone(all), 3, 5), exitUnreachable, "with --ca-file"},
		"no key":     {all[:7], exitUsage, "--cert-file and --key-file"},
		"CA is none": {[]string{"status", "--server", srv.URL, "--ca-file", keyFile}, exitUsage, "holds no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := meshwright("", nil, c.args...); got.Code != c.want || !strings.Contains(got.Stderr, c.says) {
				t.Errorf("%+v, want code %d, %q", got, c.want, c.says)
			}
		})
	}
}

func writePEM(t *testing.T, block string, der []byte) string {
	t.Helper()
	return writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})))
}

// TestRefusalsNamePlaces holds that a server's violations lead to lines of the
// user's file.
func TestRefusalsNamePlaces(t *testing.T) {
	url := refusing(t, 422, "application/problem+json", `{"title":"Unprocessable Entity","status":422,"detail":"the transaction holds objects that are not legal",
		"errors":[{"field":"/operations/0/body/spec/network","message":"is no label value"},{"field":"/operations/1/path","message":"is in the way"},{"field":"/else","message":"is odd"}],"requestId":"r1"}`)
	dir := t.TempDir()
	file := filepath.Join(dir, "in.yaml")
	if err := os.WriteFile(file, []byte("anchor: "+group+"\n---\nanchor: /v2/cluster-providers/edge/clusters/c1\nspec:\n  network: '-'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := meshwright("", nil, "apply", "-f", dir, "--server", url)
	want := result{exitRefused, "", "meshwright: POST /v2/transactions: 422 Unprocessable Entity: the transaction holds objects that are not legal\n" +
		"  " + file + ":5 (document 2): /spec/network: is no label value\n" +
		"  " + file + ":1 (document 1): is in the way\n" +
		"  /else: is odd\n" +
		"(request id r1)\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPreview prints each sort of change.
func TestPreview(t *testing.T) {
	url := refusing(t, 200, "application/json", `{"revision":1,"clusters":[{"cluster":"edge/c1",
		"added":[{"apiVersion":"v1","kind":"Gateway","metadata":{"namespace":"ns","name":"a"},"spec":{}}],
		"changed":[{"kind":"VirtualService","namespace":"ns","name":"b","patch":{"spec":{"http":[{"timeout":"1s"}]}}}],
		"removed":[{"kind":"DestinationRule","namespace":"ns","name":"c"}]}],"warnings":["mind the gap"]}`)
	got := meshwright("anchor: "+group+"\n", nil, "apply", "--dry-run", "-f", "-", "--server", url)
	want := result{exitOK, `cluster edge/c1
  + Gateway ns/a
  ~ VirtualService ns/b
      spec:
        http:
        - timeout: 1s
  - DestinationRule ns/c
`, "warning: mind the gap\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestManyTransactions holds that a large apply says that it is not one.
func TestManyTransactions(t *testing.T) {
	var sizes []int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		sizes = append(sizes, strings.Count(body.String(), `"method":"PUT"`))
		if len(sizes) == 2 {
			w.WriteHeader(http.StatusConflict)
			return
		}
		fmt.Fprint(w, `{"results":[{"path":"/v2/x","effect":"replaced"}]}`)
	}))
	t.Cleanup(srv.Close)
	var in strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&in, "---\nanchor: /v2/cluster-providers/edge/clusters/c%d\n", i)
	}
	got := meshwright(in.String(), nil, "apply", "-f", "-", "-o", "json", "--server", srv.URL)
	want := result{
		exitRefused, "[\n  {\n    \"path\": \"/v2/x\",\n    \"effect\": \"updated\"\n  }\n]\n",
		"1500 objects go as 2 transactions: each is applied as a whole or not at all, all of them together are not\n" +
			"meshwright: POST /v2/transactions: 409 Conflict\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1000, 500}, sizes); diff != "" {
		t.Error(diff)
	}
}
