package raftstore

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger turns raft's log lines into slog records. What raft says at debug
// and trace level is for raft's own developers and is dropped.
type raftLogger struct {
	hclog.Logger // a null logger, for the methods that raft does not call
	log          *slog.Logger
}

func newRaftLogger(log *slog.Logger) hclog.Logger {
	return &raftLogger{Logger: hclog.NewNullLogger(), log: log}
}

func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	var to slog.Level
	switch level {
	case hclog.Info:
		to = slog.LevelInfo
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	default:
		return
	}
	if !l.log.Enabled(context.Background(), to) {
		return
	}
	l.log.Log(context.Background(), to, msg, slogArgs(args)...)
}

// slogArgs renders the values that slog would otherwise take apart, such as
// raft's own types, as raft means them to be read.
func slogArgs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case hclog.Format:
			if len(v) > 0 {
				out[i] = fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...)
			}
		case error:
			out[i] = v.Error()
		case fmt.Stringer:
			out[i] = v.String()
		case bool, string, int, int64, uint64, float64:
			out[i] = v
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}

func (l *raftLogger) Trace(string, ...any)           {}
func (l *raftLogger) Debug(string, ...any)           {}
func (l *raftLogger) Info(msg string, args ...any)   { l.Log(hclog.Info, msg, args...) }
func (l *raftLogger) Warn(msg string, args ...any)   { l.Log(hclog.Warn, msg, args...) }
func (l *raftLogger) Error(msg string, args ...any)  { l.Log(hclog.Error, msg, args...) }
func (l *raftLogger) IsInfo() bool                   { return true }
func (l *raftLogger) IsWarn() bool                   { return true }
func (l *raftLogger) IsError() bool                  { return true }
func (l *raftLogger) Named(string) hclog.Logger      { return l }
func (l *raftLogger) ResetNamed(string) hclog.Logger { return l }

func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{Logger: l.Logger, log: l.log.With(slogArgs(args)...)}
}
