package clock

import (
	"context"
	"net"
	"time"

	"github.com/beevik/ntp"
)

// NTP is a time server as a second source, HOST:PORT: asked with one packet of SNTP (RFC 5905, section 14), which nothing
// proves to be the server's.
type NTP string

// String is the server as the setting has it.
func (n NTP) String() string { return "ntp://" + string(n) }

// Ask asks the server. An answer that no clock should be set by (the server is not synchronised, say) is an error.
func (n NTP) Ask(ctx context.Context) (time.Time, error) {
	// Not by the wall clock, which may be set meanwhile.
	start := time.Now()
	steady := func() time.Time { return start.Round(0).Add(time.Since(start)) }
	limit := time.Minute
	if end, limited := ctx.Deadline(); limited {
		limit = time.Until(end)
	}
	answer, err := ntp.QueryWithOptions(string(n), ntp.QueryOptions{
		Timeout:       limit,
		GetSystemTime: steady,
		Dialer: func(_, to string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", to)
		},
	})
	if err == nil {
		err = answer.Validate()
	}
	if err != nil {
		return time.Time{}, err
	}
	return steady().Add(answer.ClockOffset).UTC(), nil
}
