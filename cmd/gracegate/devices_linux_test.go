package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const devicesPolicy = `version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
waivers:
  - {id: CHG-7, clients: ["mac:00:16:3e:aa:bb:cc"], vendor: kaspersky, until: 2024-12-31T00:00:00Z, owner: ops@example.org, reason: "to be replaced"}
`

// A device with a waiver keeps it, past the deadline, when its IPv6 address gives way to another in the same network. Another device
// on the same link is refused. The report knows them as two devices, under however many addresses they came.
func TestDevicesByMAC(t *testing.T) {
	t.Parallel()
	needNamespaces(t, "curl")
	gate, laptop, other := newNamespace(t, "gate"), newNamespace(t, "laptop"), newNamespace(t, "other")
	gate.ip("link", "add", "br0", "type", "bridge")
	gate.address("br0", "10.81.0.1/24", "2001:db8:81::1/64")
	for _, m := range []struct {
		at        *namespace
		port, mac string
	}{{laptop, "port1", "00:16:3e:aa:bb:cc"}, {other, "port2", "00:16:3e:aa:bb:cd"}} {
		m.at.link("eth0", gate, m.port)
		m.at.ip("link", "set", "eth0", "address", m.mac)
		gate.ip("link", "set", m.port, "master", "br0")
	}
	gate.ip("link", "set", "br0", "up")

	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	policy := file("policy.yaml", devicesPolicy)
	leases := file("dnsmasq.leases", fmt.Sprintf("%d 00:16:3e:aa:bb:cc 10.81.0.100 laptop-7 *\n", time.Now().Add(time.Hour).Unix()))
	records, data := filepath.Join(dir, "records.jsonl"), filepath.Join(dir, "data")
	binary := buildGateway(t)
	origin := gate.command(binary, "demo", "--origin", "127.0.0.1:8080")
	said, err := origin.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := origin.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); !strings.HasPrefix(line, "origin on ") {
		t.Fatalf("the origin says %q, %v", line, err)
	}
	t.Cleanup(func() { _ = origin.Wait() }) // it was killed when the test was over
	gateway := launchBy(t, []string{"ip", "netns", "exec", gate.name, binary}, nil, "--listen-proxy", "[2001:db8:81::1]:3128", "--policy-file", policy, "--devices-leases", leases,
		"--audit-file", records, "--data-dir", data, "--clock-at", "2024-10-01T00:00:00Z",
		"--upstream-hosts", `[{"name": "dnl-01.geo.kaspersky.com", "address": "127.0.0.1:8080"}]`)

	get := func(m *namespace) string {
		t.Helper()
		status, _ := m.run("curl", "--silent", "--max-time", "20", "--proxy", "http://[2001:db8:81::1]:3128", "--output", "/dev/null", "--write-out", "%{http_code}",
			"http://dnl-01.geo.kaspersky.com/index/u1313g.xml")
		return status
	}
	for _, step := range []struct {
		who           *namespace
		drops, adds   string
		status, about string
	}{
		{laptop, "", "2001:db8:81::a1", "200", "the device with the waiver"},
		{laptop, "2001:db8:81::a1", "2001:db8:81::a2", "200", "the same under another address"},
		{other, "", "2001:db8:81::b1", "451", "another device"},
		{laptop, "2001:db8:81::a2", "2001:db8:81::a3", "200", "the same under a third address"},
	} {
		if step.drops != "" {
			step.who.ip("address", "del", step.drops+"/64", "dev", "eth0")
		}
		step.who.address("eth0", step.adds+"/64")
		if got := get(step.who); got != step.status {
			t.Errorf("%s, at %s: %s, want %s\n%s", step.about, step.adds, got, step.status, gateway.log())
		}
	}
	if err := gateway.stop(); err != nil {
		t.Fatal(err)
	}
	checkDeviceRecords(t, records)
	report := exec.CommandContext(t.Context(), binary, "report", "--data-dir", data, "--policy-file", policy, "--since", "2024-10-01T00:00:00Z",
		"--until", "2024-10-01T02:00:00Z", "--at", "2024-10-01T02:00:00Z", "--format", "json")
	out, err := report.Output()
	if err != nil {
		t.Fatal(err)
	}
	checkDeviceReport(t, out)
}

func checkDeviceRecords(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(rec["client.ip"], " ", rec["source.mac"], " ", rec["source.domain"], " ", rec["gracegate.state"]))
	}
	want := []string{
		"2001:db8:81::a1 00-16-3E-AA-BB-CC laptop-7 waived", "2001:db8:81::a2 00-16-3E-AA-BB-CC laptop-7 waived",
		"2001:db8:81::b1 00-16-3E-AA-BB-CD <nil> blocked", "2001:db8:81::a3 00-16-3E-AA-BB-CC laptop-7 waived",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func checkDeviceReport(t *testing.T, text []byte) {
	t.Helper()
	var report struct {
		Attempts []struct {
			Device   struct{ MAC, Hostname, Address string }
			Attempts int
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	const want = "[{{00:16:3e:aa:bb:cd  2001:db8:81::b1} 1} {{00:16:3e:aa:bb:cc laptop-7 2001:db8:81::a3} 3}]"
	if got := fmt.Sprint(report.Attempts); got != want {
		t.Errorf("the report has %s, want %s", got, want)
	}
}
