package console

import "github.com/prometheus/client_golang/prometheus"

// scrape collects what is asked for at every scrape instead of being counted.
type scrape struct {
	Sources
	revision func() *string
}

var (
	policyInfo    = desc("policy_info", "1 for the policy in force; revision is the digest of policy and catalogue.", "revision")
	nextBlock     = desc("next_block_timestamp_seconds", "When a restriction starts to block more than it does now.", "restriction")
	bundleVersion = desc("policy_bundle_version", "The version of the signed bundle in force.")
	bundleExpires = desc("policy_bundle_expires_timestamp_seconds", "When the signed bundle in force expires. It is enforced on after that.")
	bundleChecked = desc("policy_bundle_checked_timestamp_seconds", "When the signed bundle in force was last found to be the latest; 0 if not since the start.")
	clockTime     = desc("clock_timestamp_seconds", "The policy clock's time, which differs from real time where it is simulated.")
	clockTrusted  = desc("clock_trusted", "1 if the policy clock can be believed, else 0.")
	clockOffset   = desc("clock_offset_seconds", "By how much the policy clock is ahead of the machine's clock.")
	caNotAfter    = desc("ca_not_after_timestamp_seconds", "When the CA of interception ends, unless it is renewed.")
	queueLength   = desc("audit_queue_length", "Records that wait to be written.")
	lostRecords   = desc("audit_lost_total", "Records that were never written.")
	failing       = desc("audit_failing", "1 while records are being lost, else 0.")
	outletQueue   = desc("audit_outlet_queue_length", "Records that wait for one of the places where they go.", "outlet")
	outletLost    = desc("audit_outlet_lost_total", "Records that never reached one of the places where they go.", "outlet")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (s scrape) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		policyInfo, nextBlock, bundleVersion, bundleExpires, bundleChecked, clockTime, clockTrusted, clockOffset, caNotAfter, queueLength, lostRecords, failing, outletQueue, outletLost,
	} {
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
	if b := s.Bundle(); b != nil {
		gauge(bundleVersion, float64(b.Version))
		gauge(bundleExpires, seconds(b.Expires))
		var checked float64
		if b.Checked != nil {
			checked = seconds(*b.Checked)
		}
		gauge(bundleChecked, checked)
	}
	gauge(clockTime, seconds(s.PolicyTime()))
	gauge(clockTrusted, truth(s.ClockTrusted()))
	gauge(clockOffset, s.ClockOffset().Seconds())
	if end := s.CANotAfter(); !end.IsZero() {
		gauge(caNotAfter, seconds(end))
	}
	gauge(queueLength, float64(s.Records.Len()))
	gauge(failing, truth(s.Records.Failing()))
	lost := func(d *prometheus.Desc, q Queue, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(q.Lost()), labels...)
	}
	lost(lostRecords, s.Records)
	for outlet, q := range s.Outlets {
		gauge(outletQueue, float64(q.Len()), outlet)
		lost(outletLost, q, outlet)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
