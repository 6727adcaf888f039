package console

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gracegate/gracegate/policy"
)

// Queue is a recorder as the metrics see it.
type Queue interface {
	Len() int      // records that wait
	Lost() uint64  // records that were never written
	Failing() bool // records are being lost
}

// Sources are asked at every scrape. All are required, and may be called by several goroutines at a time.
type Sources struct {
	Records Queue
	Outlets map[string]Queue // by the name of where records go besides
	// NextBlocks gives, by id of restriction, the first instant at which it starts to block anything more. Zero instants and
	// restrictions that are left out are not shown.
	NextBlocks   func() map[string]time.Time
	ClockTrusted func() bool
	ClockOffset  func() time.Duration // by how much the policy clock is ahead of the machine's
	PolicyTime   func() time.Time
	Bundle       func() *Bundle   // the signed bundle in force; nil: there is none, and nothing is shown
	CANotAfter   func() time.Time // when the CA's intermediate ends; zero: there is none, and nothing is shown
}

// Metrics counts what the road does. No label ever holds a host or a client: verdicts, states and modes are policy's
// words, restrictions come from the catalogue, and kinds, guards, limits and reasons are constants of the caller. Its methods
// may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	decisions   *prometheus.CounterVec
	took        prometheus.Histogram
	guarded     *prometheus.CounterVec
	limited     *prometheus.CounterVec
	active      *prometheus.GaugeVec
	closed      *prometheus.CounterVec
	dialErrors  *prometheus.CounterVec
	reloadOK    prometheus.Gauge
	reloadStamp prometheus.Gauge
	revision    atomic.Pointer[string] // of the policy in force; nil before the first
}

// NewMetrics makes metrics with a registry of their own, in which the Go runtime and the process are too.
func NewMetrics(sources Sources) *Metrics {
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		decisions: counters("decisions_total", "Flows by their last decision.", "verdict", "state", "restriction", "mode"),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "decision_duration_seconds", Help: "How long a flow's last decision took.",
			Buckets: []float64{1e-7, 2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2},
		}),
		guarded: counters("guarded_total", "Flows that a guard refused before or beside the policy.", "guard"),
		limited: counters("limited_total", "Connections and requests that a limit refused, or kept waiting where descriptors ran out.", "limit"),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "flows_active", Help: "Flows that are open.",
		}, []string{"kind"}),
		closed:      counters("flows_closed_total", "Flows that ended, by what ended them.", "reason"),
		dialErrors:  counters("dial_errors_total", "Connections to destinations that could not be made.", "reason"),
		reloadOK:    gauge("policy_last_reload_successful", "1 if the last load of policy and catalogue succeeded, else 0."),
		reloadStamp: gauge("policy_last_reload_success_timestamp_seconds", "When policy and catalogue were last loaded with success."),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.decisions, m.took, m.guarded, m.limited, m.active, m.closed, m.dialErrors, m.reloadOK, m.reloadStamp,
		scrape{sources, m.revision.Load},
	)
	return m
}

const namespace = "gracegate"

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

// Decided counts a flow by its last decision; it is called once a flow. The restriction and its mode are labels only
// where a restriction was the cause.
func (m *Metrics) Decided(d *policy.Decision, c policy.Cause, took time.Duration) {
	var restriction, mode string
	if c.Kind == "restriction" {
		restriction, mode = c.ID, c.Mode.String()
	}
	m.decisions.WithLabelValues(d.Verdict.String(), d.State.String(), restriction, mode).Inc()
	m.took.Observe(took.Seconds())
}

// Guarded counts a flow that a guard refused.
func (m *Metrics) Guarded(guard string) { m.guarded.WithLabelValues(guard).Inc() }

// Limited counts what a limit refused: connections, client, destination, rate or descriptors.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// FlowOpened counts a flow in. Each is followed by one FlowClosed with the same kind.
func (m *Metrics) FlowOpened(kind string) { m.active.WithLabelValues(kind).Inc() }

// FlowClosed counts a flow out.
func (m *Metrics) FlowClosed(kind, reason string) {
	m.active.WithLabelValues(kind).Dec()
	m.closed.WithLabelValues(reason).Inc()
}

// DialFailed counts a connection that could not be made.
func (m *Metrics) DialFailed(reason string) { m.dialErrors.WithLabelValues(reason).Inc() }

// Reloaded notes that policy and catalogue were loaded at an instant of real time, or, if err is not nil, that they could
// not be and what was running stays; then revision and at do not count.
func (m *Metrics) Reloaded(revision string, at time.Time, err error) {
	if err != nil {
		m.reloadOK.Set(0)
		return
	}
	m.revision.Store(&revision)
	m.reloadOK.Set(1)
	m.reloadStamp.Set(seconds(at))
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
