package raftstore

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	proposals       *prometheus.CounterVec // by outcome
	propose         prometheus.Histogram
	append          prometheus.Histogram
	revision        prometheus.Gauge
	ready           prometheus.Gauge
	snapshotBytes   prometheus.Gauge
	snapshotSeconds prometheus.Histogram
}

// newMetrics registers the store's metrics; reg may be nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	const namespace, subsystem = "meshwright", "raftstore"
	make := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return make.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return make.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets})
	}
	disk := prometheus.ExponentialBuckets(0.0001, 2, 18) // 0.1 ms to 13 s
	return &metrics{
		proposals: make.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "proposals_total",
			Help: "Commands proposed, by outcome: applied, refused, unavailable, unknown, too_large.",
		}, []string{"outcome"}),
		propose:         histogram("propose_seconds", "Time from a proposal to its outcome.", disk),
		append:          histogram("log_append_seconds", "Time to write and sync one batch of log entries.", disk),
		revision:        gauge("revision", "Revision of the set that this node has applied."),
		ready:           gauge("ready", "1 once this node has applied everything committed before it started, else 0."),
		snapshotBytes:   gauge("snapshot_bytes", "Size of the last snapshot that this node wrote."),
		snapshotSeconds: histogram("snapshot_seconds", "Time to write a snapshot.", prometheus.ExponentialBuckets(0.001, 2, 16)),
	}
}
