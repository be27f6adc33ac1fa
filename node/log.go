package node

import (
	"context"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// newLogger writes one JSON event a line: time, level, message, component, and
// trace_id when the event belongs to a trace. Fluentd's JSON parser takes it
// as it is.
func newLogger(c Config) *slog.Logger {
	level, err := c.logLevel()
	if err != nil {
		level = slog.LevelInfo // Validate refuses it before
	}
	return slog.New(tracedHandler{slog.NewJSONHandler(c.logOutput(), &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.MessageKey:
				a.Key = "message"
			case slog.LevelKey:
				a.Value = slog.StringValue(strings.ToLower(a.Value.String()))
			}
			return a
		},
	})})
}

func component(log *slog.Logger, name string) *slog.Logger { return log.With("component", name) }

// tracedHandler adds the id of the trace that an event belongs to.
type tracedHandler struct{ slog.Handler }

func (h tracedHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedHandler{h.Handler.WithAttrs(attrs)}
}

func (h tracedHandler) WithGroup(name string) slog.Handler {
	return tracedHandler{h.Handler.WithGroup(name)}
}
