package server

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	streams     *prometheus.GaugeVec
	held        prometheus.Gauge
	unknown     *prometheus.CounterVec
	refused     *prometheus.CounterVec
	pushes      *prometheus.CounterVec
	bytes       *prometheus.CounterVec
	latency     prometheus.Histogram
	answers     *prometheus.CounterVec
	certificate prometheus.Gauge
	reloads     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "meshwright", Subsystem: "xds", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "meshwright", Subsystem: "xds", Name: name, Help: help}
	}
	m := &metrics{
		streams: prometheus.NewGaugeVec(gauge("streams", "Streams that are served, by protocol."), []string{"protocol"}),
		held:    prometheus.NewGauge(gauge("held_streams", "Streams that wait for their cluster to be known or to have room.")),
		unknown: counter("unknown_connections_total", "Streams of no known cluster, by what became of them: held, then served or refused; or refused at once.", "outcome"),
		refused: counter("refused_total", "Connections and streams refused for a limit, by limit.", "limit"),
		pushes:  counter("pushes_total", "Responses sent, by type and protocol.", "type", "protocol"),
		bytes:   counter("sent_bytes_total", "Bytes of responses sent, by protocol.", "protocol"),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "meshwright", Subsystem: "xds", Name: "push_seconds",
			Help:    "Time from the publication of new views to a stream's response in its transport.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		answers:     counter("client_answers_total", "What clients said to responses, by type: ack, nack, or stale when overtaken by a later response.", "type", "answer"),
		certificate: prometheus.NewGauge(gauge("certificate_not_after_seconds", "When the serving certificate ends, in Unix time.")),
		reloads:     counter("certificate_reloads_total", "Changed certificate files, by result.", "result"),
	}
	if reg != nil {
		reg.MustRegister(m.streams, m.held, m.unknown, m.refused, m.pushes, m.bytes, m.latency, m.answers, m.certificate, m.reloads)
	}
	return m
}
