package snapshot

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	builds   *prometheus.CounterVec
	duration prometheus.Histogram
	units    prometheus.Counter
	rebuilt  prometheus.Counter
	clusters prometheus.Gauge
	objects  prometheus.Gauge
	problems prometheus.Gauge
	revision prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		builds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "meshwright_snapshot_builds_total", Help: "Builds of views, by scope: all of them, or what a change concerned.",
		}, []string{"scope"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "meshwright_snapshot_build_seconds", Help: "Time to build the views after a change.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}),
		units: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "meshwright_snapshot_intents_built_total", Help: "Intents whose objects were generated anew, per cluster.",
		}),
		rebuilt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "meshwright_snapshot_views_changed_total", Help: "Views that a build changed.",
		}),
		clusters: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meshwright_snapshot_clusters", Help: "Clusters that have a view.",
		}),
		objects: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meshwright_snapshot_objects", Help: "Istio objects in all views, shared ones counted in each.",
		}),
		problems: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meshwright_snapshot_problems", Help: "Reasons why an intent could not be given to a cluster in full.",
		}),
		revision: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "meshwright_snapshot_revision", Help: "Store revision up to which all views are built.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.builds, m.duration, m.units, m.rebuilt, m.clusters, m.objects, m.problems, m.revision)
	}
	return m
}
