package proxy

import (
	"fmt"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// maxAddress bounds what a page shows of an address, in bytes. Its host is shorter than that.
const maxAddress = 300

// refer gives a flow that is refused its reference, if a record of it is written: before that is.
func (s *Server) refer(f *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reference == "" && f.recorded(s.cfg.Ungoverned) {
		f.reference = newReference()
	}
}

// about makes an answer one to this flow: it tells what was refused, and the reference of the record.
func (s *Server) about(f *flow, a *refusal) *refusal {
	s.refer(f)
	t := f.told(true)
	a.Host, a.Address, a.Reference = t[slotHost], t[slotAddress], t[slotReference]
	return a
}

// told is what an answer tells of this flow alone; the address only where it is shown.
func (f *flow) told(address bool) told {
	t := told{slotHost: f.askedFor().String(), slotReference: f.reference}
	if address {
		t[slotAddress] = f.address()
	}
	return t
}

// askedFor is the host that was asked for, as far as it is seen: that of the request, or that of the CONNECT.
func (f *flow) askedFor() host.Name {
	if f.facts.Inner.IsZero() {
		return f.named()
	}
	return f.facts.Inner
}

// address is what was asked for, in a short form for people: without a port that goes without saying, without a query, and
// cut where it is long.
func (f *flow) address() string {
	port := f.facts.Port
	if f.facts.Scheme == "http" && port == 80 || f.facts.Scheme == "https" && port == 443 {
		port = 0
	}
	path := f.url
	if i := strings.Index(path, "://"); i >= 0 {
		path = path[i+len("://"):]
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		path = path[i:]
	} else {
		path = ""
	}
	return shortened(f.facts.Scheme + "://" + host.Join(f.askedFor(), port) + printable(path))
}

// printable writes whatever could change how a text is shown as percent-encoded bytes.
func printable(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			b = fmt.Appendf(b, "%%%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// shortened cuts an ASCII text that is too long to be read.
func shortened(s string) string {
	if len(s) <= maxAddress {
		return s
	}
	return s[:maxAddress-len("...")] + "..."
}
