package console

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Flow is an open flow as /debug/flows shows it. It is the one place where the console names hosts and clients. What is
// empty, zero or not valid is shown as null, except for bytes.
type Flow struct {
	Kind       string // plain, intercepted, websocket or tunnel
	State      string // of its last decision, in policy's words
	Client     netip.AddrPort
	User       string
	MAC        string
	Hostname   string // of the device
	Host       string // that the client named
	Port       uint16
	SNI        string         // of the hello, once there was one
	Upstream   netip.AddrPort // once it is connected
	Since      time.Time      // in real time
	BytesIn    int64          // from the client
	BytesOut   int64          // to the client
	NextChange time.Time      // when it is judged again, in policy time
}

const (
	usualFlows = 1000
	mostFlows  = 100000
)

// flowPage is the body of /debug/flows.
type flowPage struct {
	Total int       `json:"total"` // of those that are open
	Shown int       `json:"shown"`
	Order string    `json:"order"`
	Flows []flowRow `json:"flows"`
}

type flowRow struct {
	Kind       string  `json:"kind"`
	State      *string `json:"state"`
	Client     *string `json:"client"`
	User       *string `json:"user"`
	MAC        *string `json:"mac"`
	Hostname   *string `json:"hostname"`
	Host       *string `json:"host"`
	Port       *uint16 `json:"port"`
	SNI        *string `json:"sni"`
	Upstream   *string `json:"upstream"`
	Since      *string `json:"since"`
	BytesIn    int64   `json:"bytes_in"`
	BytesOut   int64   `json:"bytes_out"`
	NextChange *string `json:"next_change"`
}

func openFlows(flows func(limit int) ([]Flow, int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := usualFlows
		if text := r.URL.Query().Get("limit"); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil || n > mostFlows {
				refuse(w, http.StatusBadRequest, "limit is a whole number from 0 to "+strconv.Itoa(mostFlows))
				return
			}
			limit = int(n)
		}
		open, total := flows(limit)
		page := flowPage{Total: total, Shown: len(open), Order: "oldest first", Flows: make([]flowRow, len(open))}
		for i := range open {
			page.Flows[i] = open[i].row()
		}
		writeJSON(w, http.StatusOK, page)
	})
}

func (f *Flow) row() flowRow {
	return flowRow{
		Kind: f.Kind, State: orNull(f.State, f.State), Client: endpoint(f.Client), User: orNull(f.User, f.User),
		MAC: orNull(f.MAC, f.MAC), Hostname: orNull(f.Hostname, f.Hostname), Host: orNull(f.Host, f.Host), Port: orNull(f.Port, f.Port), SNI: orNull(f.SNI, f.SNI), Upstream: endpoint(f.Upstream),
		Since: instant(f.Since), BytesIn: f.BytesIn, BytesOut: f.BytesOut, NextChange: instant(f.NextChange),
	}
}

// orNull returns shown, unless of is the zero value of its type.
func orNull[T comparable, S any](of T, shown S) *S {
	var zero T
	if of == zero {
		return nil
	}
	return &shown
}

func endpoint(a netip.AddrPort) *string { return orNull(a, a.String()) }

func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(t, t.UTC().Format(time.RFC3339Nano))
}
