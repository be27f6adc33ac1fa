package intentapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	watchers prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "meshwright", Subsystem: "rest", Name: "requests_total",
			Help: "REST requests by route, method and status.",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "meshwright", Subsystem: "rest", Name: "request_seconds",
			Help:    "Time to answer a REST request. Watches and held requests are left out.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"route", "method"}),
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "meshwright", Subsystem: "rest", Name: "watchers",
			Help: "Event streams and held requests that are open.",
		}),
	}
	reg.MustRegister(m.requests, m.seconds, m.watchers)
	return m
}

// methodLabel keeps the label's values few: a method is the client's word.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return method
	}
	return "other"
}

// startSpan begins the request's span, under the caller's when it names one,
// and returns the function that ends it.
func (a *API) startSpan(req *http.Request, rt route) (context.Context, func(status int, err error)) {
	ctx := otel.GetTextMapPropagator().Extract(req.Context(), propagation.HeaderCarrier(req.Header))
	method := methodLabel(req.Method)
	ctx, span := otel.Tracer("github.com/meshwright/meshwright/intentapi").Start(ctx, method+" "+rt.template,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", rt.template)))
	return ctx, func(status int, err error) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= 500 && err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}

// observe counts the request and writes its one event: writes and errors as
// info, reads as debug, our own failures as errors.
func (a *API) observe(r *request, status int, took time.Duration, err error) {
	req := r.gin.Request
	method := methodLabel(req.Method)
	a.metrics.requests.WithLabelValues(r.route.template, method, strconv.Itoa(status)).Inc()
	if !r.held {
		a.metrics.seconds.WithLabelValues(r.route.template, method).Observe(took.Seconds())
	}
	level := slog.LevelInfo
	switch {
	case status == http.StatusInternalServerError:
		level = slog.LevelError
	case status < 400 && (method == http.MethodGet || method == http.MethodHead):
		level = slog.LevelDebug
	case r.route.open: // probes of a node that is not ready
		level = slog.LevelDebug
	}
	if !a.Logger.Enabled(r.ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", r.id), slog.String("method", method), slog.String("path", req.URL.Path),
		slog.Int("status", status), slog.Duration("took", took), slog.String("peer", req.RemoteAddr),
	}
	if span := trace.SpanContextFromContext(r.ctx); span.HasTraceID() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	a.Logger.LogAttrs(r.ctx, level, "request", attrs...)
}
