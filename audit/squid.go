package audit

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"github.com/gracegate/gracegate/policy/host"
)

// NewSquidSink returns a sink that writes a line of Squid's native access.log to out for each flow that was refused or is
// over. Its fields are those of Squid's logformat "squid":
//
//	%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt
//
// that is, when it ended in real time, the milliseconds it took, the client, what was done and the status, the bytes to the
// client, method, URL, user, the way to the origin and its address, and the type, which is always "-". What is absent is "-".
//
// A line is printable ASCII: each other byte of a text, each blank and each quote is escaped as %XX, and of a user's name the
// percent sign too. Texts are cut at 2 KiB. URLs are those of [NewLogSink]; a query leaves its question mark, as in Squid.
func NewSquidSink(out io.Writer) Sink { return &lineSink{out: out, append: appendSquid} }

func appendSquid(to []byte, r *Record) []byte {
	if !Counts(r) {
		return to
	}
	l := fmt.Appendf(to, "%d.%03d %6d ", r.Time.Unix(), r.Time.Nanosecond()/1e6, r.Duration.Milliseconds())
	l = appendAddr(l, r.Client.Addr())
	l = fmt.Appendf(l, " %s/%03d %d ", squidResult(r), r.Status, r.BytesOut)
	l = appendField(l, r.Method, false)
	l = append(l, ' ')
	l = appendSquidURL(l, r)
	l = append(l, ' ')
	l = appendField(l, r.User, true)
	if r.Upstream.IsValid() {
		l = appendAddr(append(l, " HIER_DIRECT/"...), r.Upstream.Addr())
	} else {
		l = append(l, " HIER_NONE/-"...)
	}
	return append(l, " -\n"...)
}

// squidResult is the word for what was done, as Squid has it for a proxy without a cache: NONE_NONE is a tunnel that never
// came about.
func squidResult(r *Record) string {
	switch {
	case r.Event == Refused:
		return "TCP_DENIED"
	case r.Kind == "tunnel" && !r.Upstream.IsValid():
		return "NONE_NONE"
	case r.Kind == "tunnel" && (r.Ended == "cut" || r.Ended == "drain" || r.Ended == "logged-out"):
		return "TCP_TUNNEL_ABORTED"
	case r.Kind == "tunnel":
		return "TCP_TUNNEL"
	}
	switch r.Ended {
	case "client", "cut", "drain", "logged-out":
		return "TCP_MISS_ABORTED"
	case "idle", "lifetime":
		return "TCP_MISS_TIMEDOUT"
	}
	return "TCP_MISS"
}

// appendSquidURL appends the URL of a request, of a tunnel HOST:PORT, and where nothing was asked for the name in the hello
// or the address.
func appendSquidURL(to []byte, r *Record) []byte {
	switch url, hadQuery := withoutSecrets(r.URL); {
	case url != "" && r.Method != "CONNECT":
		to = appendField(to, url, false)
		if hadQuery {
			to = append(to, '?')
		}
		return to
	case !r.Host.IsZero():
		return appendField(to, host.Join(r.Host, r.Port), false)
	case !r.SNI.IsZero():
		return appendField(to, host.Join(r.SNI, r.Port), false)
	case r.Upstream.IsValid():
		return appendField(to, r.Upstream.String(), false)
	}
	return append(to, '-')
}

func appendAddr(to []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(to, '-')
	}
	return appendField(to, a.String(), false)
}

// appendField appends a text as one field of a line. Whole is whether what was escaped can be told from what was not: in a URL
// it already is.
func appendField(to []byte, s string, whole bool) []byte {
	switch s {
	case "":
		return append(to, '-')
	case "-":
		return append(to, "%2d"...)
	}
	start, fits := len(to), len(to)
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' && whole {
			to = append(to, '%')
			if c < 0x10 {
				to = append(to, '0')
			}
			to = strconv.AppendUint(to, uint64(c), 16)
		} else {
			to = append(to, c)
		}
		if len(to)-start > maxText {
			return append(to[:fits], "[cut]"...)
		}
		if len(to)-start <= maxText-len("[cut]") {
			fits = len(to)
		}
	}
	return to
}
