package console

import "github.com/prometheus/client_golang/prometheus"

// scrape collects what is asked for at every scrape instead of being counted.
type scrape struct {
	Sources
	revision func() *string
}

var (
	policyInfo   = desc("policy_info", "1 for the policy in force; revision is the digest of policy and catalogue.", "revision")
	nextBlock    = desc("next_block_timestamp_seconds", "When a restriction starts to block more than it does now.", "restriction")
	clockTrusted = desc("clock_trusted", "1 if the policy clock can be believed, else 0.")
	caNotAfter   = desc("ca_not_after_timestamp_seconds", "When the CA of interception ends, unless it is renewed.")
	queueLength  = desc("audit_queue_length", "Records that wait to be written.")
	lostRecords  = desc("audit_lost_total", "Records that were never written.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (s scrape) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{policyInfo, nextBlock, clockTrusted, caNotAfter, queueLength, lostRecords} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s scrape) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if revision := s.revision(); revision != nil {
		gauge(policyInfo, 1, *revision)
	}
	for restriction, at := range s.NextBlocks() {
		if !at.IsZero() {
			gauge(nextBlock, seconds(at), restriction)
		}
	}
	trusted := 0.0
	if s.ClockTrusted() {
		trusted = 1
	}
	gauge(clockTrusted, trusted)
	if end := s.CANotAfter(); !end.IsZero() {
		gauge(caNotAfter, seconds(end))
	}
	gauge(queueLength, float64(s.Queue.Len()))
	out <- prometheus.MustNewConstMetric(lostRecords, prometheus.CounterValue, float64(s.Queue.Lost()))
}
