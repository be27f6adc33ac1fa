package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/meshwright/meshwright/node"
)

// env makes a lookupEnv of pairs.
func env(pairs map[string]string) lookupEnv {
	return func(name string) (string, bool) {
		v, ok := pairs[name]
		return v, ok
	}
}

// configure is how `meshwright server` comes to its configuration.
func configure(args []string, environ map[string]string) (node.Config, error) {
	cfg := node.DefaultConfig()
	flags := serverFlags(&cfg)
	var file string
	fileFlag := pflag.NewFlagSet("file", pflag.ContinueOnError)
	fileFlag.StringVar(&file, "config", "", "")
	all := pflag.NewFlagSet("all", pflag.ContinueOnError)
	all.AddFlagSet(flags)
	all.AddFlagSet(fileFlag)
	if err := all.Parse(args); err != nil {
		return cfg, err
	}
	err := readServerConfig(flags, fileFlag, env(environ), &file)
	return cfg, err
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence holds that a flag wins over the environment, that over the
// file, and that over the default.
func TestPrecedence(t *testing.T) {
	file := writeFile(t, "data-dir: from-file\nrest-addr: 127.0.0.1:1\nxds-addr: [127.0.0.1:5, '[::1]:5']\ninsecure: true\nlog-level: warn\n")
	got, err := configure(
		[]string{"--data-dir", "from-flag"},
		map[string]string{"MESHWRIGHT_CONFIG": file, "MESHWRIGHT_DATA_DIR": "from-env", "MESHWRIGHT_REST_ADDR": "127.0.0.1:2", "MESHWRIGHT_LOG_LEVEL": ""},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := node.DefaultConfig()
	want.DataDir = "from-flag"
	want.RESTAddr = "127.0.0.1:2"
	want.XDSAddr = "127.0.0.1:5,[::1]:5"
	want.Insecure = true
	want.LogLevel = "" // set, and empty
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEverySetting holds that each flag of the server can be given in each way.
func TestEverySetting(t *testing.T) {
	cfg := node.DefaultConfig()
	flags := serverFlags(&cfg)
	flags.VisitAll(func(f *pflag.Flag) {
		value := "x"
		if f.Value.Type() == "bool" {
			value = "true"
		}
		byFlag, err1 := configure([]string{"--" + f.Name + "=" + value}, nil)
		byEnv, err2 := configure(nil, map[string]string{envName(f.Name): value})
		byFile, err3 := configure([]string{"--config", writeFile(t, f.Name+": "+value+"\n")}, nil)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("%s: %v, %v, %v", f.Name, err1, err2, err3)
		}
		if byFlag == node.DefaultConfig() || byFlag != byEnv || byFlag != byFile {
			t.Errorf("%s: flag, environment and file don't say the same", f.Name)
		}
		if !strings.Contains(f.Usage, envName(f.Name)) {
			t.Errorf("%s: help does not name the environment variable", f.Name)
		}
	})
}

func TestIllegalSettings(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  map[string]string
		want string
	}{
		"unknown key":  {"data-dri: x\n", nil, "unknown setting data-dri; the settings are data-dir, default-cluster,"},
		"the file":     {"config: x\n", nil, "unknown setting config"},
		"no YAML":      {"a: [\n", nil, "settings.yaml: "},
		"twice":        {"data-dir: a\ndata-dir: b\n", nil, "settings.yaml: "},
		"object":       {"data-dir: {a: b}\n", nil, "settings.yaml: data-dir: must be a text"},
		"bad boolean":  {"insecure: maybe\n", nil, "settings.yaml: insecure: "},
		"bad variable": {"", map[string]string{"MESHWRIGHT_INSECURE": "maybe"}, "environment variable MESHWRIGHT_INSECURE: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := configure([]string{"--config", writeFile(t, c.file)}, c.env)
			if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := configure([]string{"--config", "/nonexistent/x"}, nil); exitCode(err) != exitUsage {
		t.Errorf("absent file: %v", err)
	}
}
