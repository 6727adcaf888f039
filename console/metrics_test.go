package console

import (
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/gracegate/gracegate/policy"
)

type queue struct {
	length int
	lost   uint64
}

func (q queue) Len() int      { return q.length }
func (q queue) Lost() uint64  { return q.lost }
func (q queue) Failing() bool { return q.lost > 0 }

func testMetrics() *Metrics {
	return NewMetrics(Sources{
		Records:    queue{3, 7},
		Outlets:    map[string]Queue{"file": queue{3, 0}, "syslog": queue{1, 7}},
		PolicyTime: func() time.Time { return time.Unix(1727500000, 0) },
		NextBlocks: func() map[string]time.Time {
			return map[string]time.Time{"us-icts-2021-002": time.Unix(1727582400, 500e6), "never": {}}
		},
		ClockTrusted: func() bool { return true },
		ClockOffset:  func() time.Duration { return -1500 * time.Millisecond },
		CANotAfter:   func() time.Time { return time.Unix(1800000000, 0) },
		Bundle: func() *Bundle {
			checked := time.Unix(1727499000, 0)
			return &Bundle{Version: 12, Expires: time.Unix(1735000000, 0), Checked: &checked}
		},
	})
}

// ours returns the metrics of the product without comments, in the order of a scrape.
func ours(t *testing.T, m *Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return regexp.MustCompile(`(?m)^gracegate_.*$`).FindAllString(w.Body.String(), -1)
}

func TestMetricsAtStart(t *testing.T) {
	t.Parallel()
	var got []string
	for _, line := range ours(t, testMetrics()) {
		if !strings.Contains(line, "_duration_seconds") {
			got = append(got, line)
		}
	}
	want := []string{
		"gracegate_audit_failing 1",
		"gracegate_audit_lost_total 7",
		`gracegate_audit_outlet_lost_total{outlet="file"} 0`,
		`gracegate_audit_outlet_lost_total{outlet="syslog"} 7`,
		`gracegate_audit_outlet_queue_length{outlet="file"} 3`,
		`gracegate_audit_outlet_queue_length{outlet="syslog"} 1`,
		"gracegate_audit_queue_length 3",
		"gracegate_ca_not_after_timestamp_seconds 1.8e+09",
		"gracegate_clock_offset_seconds -1.5",
		"gracegate_clock_timestamp_seconds 1.7275e+09",
		"gracegate_clock_trusted 1",
		`gracegate_next_block_timestamp_seconds{restriction="us-icts-2021-002"} 1.7275824005e+09`,
		"gracegate_policy_bundle_checked_timestamp_seconds 1.727499e+09",
		"gracegate_policy_bundle_expires_timestamp_seconds 1.735e+09",
		"gracegate_policy_bundle_version 12",
		"gracegate_policy_last_reload_success_timestamp_seconds 0",
		"gracegate_policy_last_reload_successful 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := testMetrics()
	restriction := policy.Cause{Kind: "restriction", ID: "us-icts-2021-002", Mode: policy.Monitor}
	for range 2 {
		m.Decided(&policy.Decision{Verdict: policy.Allow, State: policy.Monitored}, restriction, 150*time.Nanosecond)
	}
	m.Decided(&policy.Decision{Verdict: policy.Block, State: policy.RuleBlocked}, policy.Cause{Kind: "rule", ID: "no-codebase"}, 3*time.Microsecond)
	m.Guarded("loopback")
	m.Limited("client")
	m.Limited("rate")
	m.Limited("rate")
	m.FlowOpened("tunnel")
	m.FlowOpened("tunnel")
	m.FlowOpened("plain")
	m.FlowClosed("tunnel", "drain")
	m.DialFailed("timeout")
	m.Reloaded("aaaa", time.Unix(1700000000, 0), nil)
	m.Reloaded("bbbb", time.Unix(1800000000, 0), nil)

	want := []string{
		"gracegate_audit_failing 1",
		"gracegate_audit_lost_total 7",
		`gracegate_audit_outlet_lost_total{outlet="file"} 0`,
		`gracegate_audit_outlet_lost_total{outlet="syslog"} 7`,
		`gracegate_audit_outlet_queue_length{outlet="file"} 3`,
		`gracegate_audit_outlet_queue_length{outlet="syslog"} 1`,
		"gracegate_audit_queue_length 3",
		"gracegate_ca_not_after_timestamp_seconds 1.8e+09",
		"gracegate_clock_offset_seconds -1.5",
		"gracegate_clock_timestamp_seconds 1.7275e+09",
		"gracegate_clock_trusted 1",
		`gracegate_decision_duration_seconds_bucket{le="1e-07"} 0`,
		`gracegate_decision_duration_seconds_bucket{le="2e-07"} 2`,
		`gracegate_decision_duration_seconds_bucket{le="5e-07"} 2`,
		`gracegate_decision_duration_seconds_bucket{le="1e-06"} 2`,
		`gracegate_decision_duration_seconds_bucket{le="2e-06"} 2`,
		`gracegate_decision_duration_seconds_bucket{le="5e-06"} 3`,
		`gracegate_decision_duration_seconds_bucket{le="1e-05"} 3`,
		`gracegate_decision_duration_seconds_bucket{le="0.0001"} 3`,
		`gracegate_decision_duration_seconds_bucket{le="0.001"} 3`,
		`gracegate_decision_duration_seconds_bucket{le="0.01"} 3`,
		`gracegate_decision_duration_seconds_bucket{le="+Inf"} 3`,
		"gracegate_decision_duration_seconds_sum 3.3e-06",
		"gracegate_decision_duration_seconds_count 3",
		`gracegate_decisions_total{mode="",restriction="",state="rule-blocked",verdict="block"} 1`,
		`gracegate_decisions_total{mode="monitor",restriction="us-icts-2021-002",state="monitored",verdict="allow"} 2`,
		`gracegate_dial_errors_total{reason="timeout"} 1`,
		`gracegate_flows_active{kind="plain"} 1`,
		`gracegate_flows_active{kind="tunnel"} 1`,
		`gracegate_flows_closed_total{reason="drain"} 1`,
		`gracegate_guarded_total{guard="loopback"} 1`,
		`gracegate_limited_total{limit="client"} 1`,
		`gracegate_limited_total{limit="rate"} 2`,
		`gracegate_next_block_timestamp_seconds{restriction="us-icts-2021-002"} 1.7275824005e+09`,
		"gracegate_policy_bundle_checked_timestamp_seconds 1.727499e+09",
		"gracegate_policy_bundle_expires_timestamp_seconds 1.735e+09",
		"gracegate_policy_bundle_version 12",
		`gracegate_policy_info{revision="bbbb"} 1`,
		"gracegate_policy_last_reload_success_timestamp_seconds 1.8e+09",
		"gracegate_policy_last_reload_successful 1",
	}
	if diff := cmp.Diff(want, ours(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestFailedReloadKeepsWhatIsInForce(t *testing.T) {
	t.Parallel()
	m := testMetrics()
	m.Reloaded("aaaa", time.Unix(1700000000, 0), nil)
	m.Reloaded("bbbb", time.Unix(1800000000, 0), errors.New("policy.yaml:3:1: unknown key"))
	got := strings.Join(ours(t, m), "\n")
	for _, want := range []string{
		`gracegate_policy_info{revision="aaaa"} 1`,
		"gracegate_policy_last_reload_success_timestamp_seconds 1.7e+09",
		"gracegate_policy_last_reload_successful 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "bbbb") {
		t.Errorf("the refused revision is in\n%s", got)
	}
}

func TestNoCAAndNoBundle(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Sources{
		Records: queue{}, PolicyTime: time.Now, NextBlocks: func() map[string]time.Time { return nil }, ClockTrusted: func() bool { return true },
		ClockOffset: func() time.Duration { return 0 }, CANotAfter: func() time.Time { return time.Time{} }, Bundle: func() *Bundle { return nil },
	})
	if got := strings.Join(ours(t, m), "\n"); strings.Contains(got, "gracegate_ca_") || strings.Contains(got, "_bundle_") {
		t.Errorf("a CA or a bundle that is not there is in\n%s", got)
	}
}
