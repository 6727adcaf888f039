package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// WriteCSV writes who still tries as one table (RFC 4180, with a line for the names of the columns). A cell that a spreadsheet
// could take for a formula gets an apostrophe in front.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	head := []string{
		"device", "mac", "hostname", "address", "user", "sites", "persons", "relay", "serves", "vendor", "channels", "first_seen", "last_seen", "attempts",
		"blocked", "first_blocked", "last_blocked", "blocked_since", "cut", "passed_in_grace", "waived", "monitored",
	}
	for s := range states {
		head = append(head, "state_"+strings.ReplaceAll(s.String(), "-", "_"))
	}
	head = append(head, "trend", "first_half", "second_half", "waivers", "hosts", "more_hosts", "many_hosts", "bytes_in", "bytes_out")
	if err := out.Write(head); err != nil {
		return err
	}
	for i := range r.Attempts {
		cells := r.Attempts[i].cells()
		for j := range cells {
			cells[j] = audit.Cell(cells[j])
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (a *Attempt) cells() []string {
	d := &a.Device
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	since := ""
	if a.BlockedSince != nil {
		since = a.BlockedSince.RFC3339()
	}
	list := []string{
		d.Name, d.MAC, d.Hostname, d.Address, d.User, strings.Join(d.Sites, " "), strings.Join(d.Persons, " "), strconv.FormatBool(d.Relay), strings.Join(d.Serves, " "),
		a.Vendor, strings.Join(a.Channels, " "), rfc3339(&a.First), rfc3339(&a.Last), number(a.Flows),
		number(a.Blocked), rfc3339(a.FirstBlocked), rfc3339(a.LastBlocked), since, number(a.Cut), number(a.Grace), number(a.Waived), number(a.Monitored),
	}
	byState := map[string]int64{}
	for _, s := range a.States {
		byState[s.State] = s.Flows
	}
	for s := range states {
		list = append(list, number(byState[s.String()]))
	}
	hosts := make([]string, len(a.Hosts))
	for i, h := range a.Hosts {
		hosts[i] = h.Name
	}
	return append(list,
		a.Trend, number(a.Halves[0]), number(a.Halves[1]), strings.Join(a.Waivers, " "), strings.Join(hosts, " "), strconv.Itoa(a.MoreHosts),
		strconv.FormatBool(a.ManyHosts), number(a.BytesIn), number(a.BytesOut),
	)
}

func rfc3339(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
