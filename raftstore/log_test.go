package raftstore

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

func TestRaftLogger(t *testing.T) {
	var b bytes.Buffer
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	l := newRaftLogger(slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: drop})))
	l.Trace("noise")
	l.Debug("noise")
	l.Info("initial configuration", "servers", hclog.Fmt("%+v", []int{1, 2}))
	l.Named("sub").With("id", uint64(7)).Warn("slow", "took", time.Second, "what", struct{ A int }{1})
	l.Error("failed", "error", errors.New("no disk"))
	want := []string{
		`{"level":"INFO","msg":"initial configuration","servers":"[1 2]"}`,
		`{"level":"WARN","msg":"slow","id":7,"took":"1s","what":"{1}"}`,
		`{"level":"ERROR","msg":"failed","error":"no disk"}`,
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(b.String()), "\n")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
