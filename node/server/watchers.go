package server

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ordeal/node/server/metrics"
)

// The ports for those who watch over the server: the AdminServer and Prometheus' metrics.

// openWatchersPorts opens them. A server whose AdminServer's port is taken, 8080 by default, serves
// without it, as Apache's members of an ensemble do; the metrics' port was asked for.
func (s *shell) openWatchersPorts(ctx context.Context) error {
	var err error
	if admin := s.config.tuning.admin; admin.enabled {
		if s.adminListener, err = listenTCP(ctx, "admin.serverPort", admin.address()); err != nil {
			s.log.Warn("serving without the AdminServer", "error", err)
			s.adminListener = nil
		}
	}
	if m := s.config.tuning.metrics; m.enabled {
		if s.metricsListener, err = listenTCP(ctx, "metricsProvider.httpPort", m.address()); err != nil {
			s.metricsListener = nil
			return err
		}
	}
	return nil
}

// serveWatchers serves them until ctx is done.
func (s *shell) serveWatchers(ctx context.Context) {
	if s.adminListener != nil {
		handler := &adminServer{words: s.client.words, url: s.config.tuning.adminURL}
		s.group.Go(func() error { return serveHTTP(ctx, s.adminListener, handler, s.log) })
	}
	if s.metricsListener != nil {
		s.group.Go(func() error { return serveHTTP(ctx, s.metricsListener, metricsHandler(s.client.words), s.log) })
	}
}

// metricsHandler serves /metrics, under the names of Apache's PrometheusMetricsProvider, and what is
// known of the process.
func metricsHandler(w *words) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&exporter{words: w},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: httpConnectionsMax}))
	return mux
}

// exporter shows the numbers of mntr to Prometheus.
type exporter struct{ words *words }

// Describe says nothing: which numbers there are depends on the server's role.
func (e *exporter) Describe(chan<- *prometheus.Desc) {}

// Collect shows all numbers as they are now.
func (e *exporter) Collect(out chan<- prometheus.Metric) {
	describe := func(name string) *prometheus.Desc { return prometheus.NewDesc(name, name, nil, nil) }
	for _, g := range e.words.gauges(e.words.core.state()) {
		out <- prometheus.MustNewConstMetric(describe(g.name), prometheus.GaugeValue, g.value)
	}
	e.words.metrics.Counters(func(name string, value int64) {
		out <- prometheus.MustNewConstMetric(describe(name), prometheus.CounterValue, float64(value))
	})
	e.words.metrics.Summaries(func(name string, v metrics.Values) {
		quantiles := map[float64]float64{}
		if v.Detailed {
			quantiles = map[float64]float64{0.5: float64(v.P50), 0.95: float64(v.P95), 0.99: float64(v.P99), 0.999: float64(v.P99_9)}
		}
		out <- prometheus.MustNewConstSummary(describe(name), uint64(v.Count), float64(v.Total), quantiles)
	})
}
