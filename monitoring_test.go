package gracegate_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy"
)

const (
	alertsFile    = "docs/alerts.yml"
	dashboardFile = "docs/grafana-dashboard.json"
)

// idle is a queue with nothing in it.
type idle struct{}

func (idle) Len() int      { return 0 }
func (idle) Lost() uint64  { return 0 }
func (idle) Failing() bool { return false }

// exported returns the names of all metrics that a gateway exports, ours and those of the process.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	m := console.NewMetrics(console.Sources{
		Records: idle{}, Outlets: map[string]console.Queue{"file": idle{}}, PolicyTime: time.Now, CANotAfter: time.Now,
		NextBlocks: func() map[string]time.Time { return map[string]time.Time{"us-icts-2021-002": time.Now()} },
		Bundle: func() *console.Bundle {
			now := time.Now()
			return &console.Bundle{Version: 1, Expires: now, Checked: &now}
		},
		ClockTrusted: func() bool { return true }, ClockOffset: func() time.Duration { return 0 },
	})
	m.Decided(&policy.Decision{}, policy.Cause{}, 0)
	m.Guarded("port")
	m.Limited("rate")
	m.FlowOpened("plain")
	m.FlowClosed("plain", "complete")
	m.DialFailed("timeout")
	m.Reloaded("3f2a", time.Now(), nil)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(`(?m)^[a-z_]+`).FindAllString(w.Body.String(), -1) {
		names[name] = true
	}
	return names
}

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

func readRules(t *testing.T) (all rules) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readText(t, alertsFile)), &all); err != nil || len(all.Groups) == 0 {
		t.Fatal(err)
	}
	return all
}

type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               struct{ Type, UID string }
		Targets                  []struct{ RefID, Expr, LegendFormat string }
		FieldConfig              struct {
			Defaults struct {
				Unit       string
				Thresholds struct{ Steps []any }
			}
		}
	}
	Templating struct{ List []struct{ Name, Type string } }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(readText(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions returns everything that dashboard and alerts ask Prometheus for, by where it stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			all[alertsFile+": "+r.Alert] = r.Expr
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all[dashboardFile+": "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

// What is asked for is there.
func TestMonitoringAsksForWhatIsExported(t *testing.T) {
	t.Parallel()
	names := exported(t)
	asked := regexp.MustCompile(`\b(gracegate|process|go)_[a-z_]+`)
	count := 0
	for where, expr := range expressions(t) {
		for _, name := range asked.FindAllString(expr, -1) {
			count++
			if !names[name] {
				t.Errorf("%s asks for %s, which no gateway exports", where, name)
			}
		}
	}
	if count < 30 {
		t.Errorf("%d names were found", count)
	}
}

// Each alert says what it means, and monitoring.md what to do.
func TestAlertsAreDocumented(t *testing.T) {
	t.Parallel()
	manual := readText(t, "docs/monitoring.md")
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			for _, key := range []string{"summary", "description", "runbook_url"} {
				if r.Annotations[key] == "" {
					t.Errorf("%s has no %s", r.Alert, key)
				}
			}
			if want := "docs/monitoring.md#" + strings.ToLower(r.Alert); !strings.HasSuffix(r.Annotations["runbook_url"], want) {
				t.Errorf("%s: the runbook is %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
			}
			if !strings.Contains(manual, "\n### "+r.Alert+"\n") {
				t.Errorf("monitoring.md has no heading %s", r.Alert)
			}
		}
	}
}

// The dashboard is what Grafana imports: panels of known types that do not overlap, each with a source and with targets.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) < 10 {
		t.Fatalf("%+v", d)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID < 1 || !slices.Contains([]string{"stat", "bargauge", "timeseries"}, p.Type) || p.Title == "" || p.Description == "" {
			t.Errorf("panel %d, %s %q: its id, type or texts", p.ID, p.Type, p.Title)
		}
		ids[p.ID] = true
		if p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" || p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
			t.Errorf("%s: its source, unit or thresholds", p.Title)
		}
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s: %+v", p.Title, g)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, is := taken[at]; is {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.Expr == "" || target.LegendFormat == "" || refs[target.RefID] {
				t.Errorf("%s: target %q", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(variables, v[1]) && v[1] != "__rate_interval" {
					t.Errorf("%s: no variable is called %s", p.Title, v[1])
				}
			}
		}
		if len(refs) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
	}
}

// promtool is the checker of Prometheus itself.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool, of Debian's package prometheus, is not here")
	}
	check := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	check("check", "rules", alertsFile)
	check("test", "rules", "docs/alerts_test.yml")

	// The configuration of docker-compose.yml, with the rules where that puts them.
	dir := t.TempDir()
	for from, to := range map[string]string{"docs/monitoring/prometheus.yml": "prometheus.yml", alertsFile: "alerts.yml"} {
		if err := os.WriteFile(filepath.Join(dir, to), []byte(readText(t, from)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("check", "config", filepath.Join(dir, "prometheus.yml"))

	// What the panels ask for, as rules.
	var text strings.Builder
	text.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for where, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(expr)
		fmt.Fprintf(&text, "  - {record: a, labels: {where: %q}, expr: %q}\n", where, expr)
	}
	panels := filepath.Join(dir, "panels.yml")
	if err := os.WriteFile(panels, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	check("check", "rules", panels)
}
