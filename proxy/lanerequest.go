package proxy

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// laneRequest is a request that the fast lane takes: GET or HEAD in HTTP/1.1 with an absolute target, without a body, and
// with no field that asks for more than to be passed on.
type laneRequest struct {
	method string
	name   host.Name
	port   uint16
	target string // path and query, as they came and as they go on
	path   string // as the policy takes it
	again  string // in its second reading; see policy.ReadPath
	html   bool   // it accepts HTML
	close  bool   // the client wants the connection to end behind the answer
}

// read takes the request whose head is held, and writes what goes to the origin into out. It is false if the lane leaves the
// request alone; nothing is changed then but out.
func (q *laneRequest) read(l *lane) bool {
	h := &l.head
	if h.http10 || h.codings > 0 || h.lengths > 0 || h.lines.start > laneHead {
		return false
	}
	head := l.buf[l.r : l.r+h.lines.start]
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if !q.readLine(l, line) {
		return false
	}
	l.out = append(l.out[:0], q.method...)
	l.out = append(l.out, ' ')
	l.out = append(l.out, q.target...)
	l.out = append(l.out, " HTTP/1.1\r\nHost: "...)
	l.out = append(l.out, hostField(q.name, q.port)...)
	l.out = append(l.out, "\r\n"...)
	for {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		goesOn, ok := q.field(line)
		if !ok {
			return false
		}
		if goesOn {
			l.out = append(l.out, line...)
			l.out = append(l.out, "\r\n"...)
		}
	}
	l.out = append(l.out, "Via: 1.1 gracegate\r\n\r\n"...)
	return true
}

// hostField is the Host of a plain request.
func hostField(name host.Name, port uint16) string {
	if port == 80 {
		port = 0
	}
	return host.Join(name, port)
}

// readLine reads the request line, which is known to be well-formed.
func (q *laneRequest) readLine(l *lane, line []byte) bool {
	var rest []byte
	switch {
	case bytes.HasPrefix(line, []byte("GET http://")):
		q.method, rest = http.MethodGet, line[len("GET http://"):]
	case bytes.HasPrefix(line, []byte("HEAD http://")):
		q.method, rest = http.MethodHead, line[len("HEAD http://"):]
	default:
		return false
	}
	rest = rest[:len(rest)-len(" HTTP/1.1")]
	slash := bytes.IndexByte(rest, '/')
	if slash <= 0 || !plainTarget(rest[slash:]) {
		return false
	}
	if authority := rest[:slash]; string(authority) != l.last.text {
		name, port, err := host.ParseAuthority(string(authority))
		if err != nil {
			return false
		}
		if port == 0 {
			port = 80
		}
		l.last.text, l.last.name, l.last.port = string(authority), name, port
	}
	q.name, q.port = l.last.name, l.last.port
	q.target = string(rest[slash:])
	raw, _, _ := strings.Cut(q.target, "?")
	var ok bool
	q.path, q.again, ok = policy.ReadPath(raw)
	return ok
}

// plainTarget reports whether a path with its query is made of nothing but what RFC 3986 allows there, so that no reader
// would write it differently.
func plainTarget(b []byte) bool {
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '%':
			if i+2 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2]) {
				return false
			}
		case strings.IndexByte("/?-._~!$&'()*+,;=:@", c) < 0:
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	_, ok := hexDigit(c)
	return ok
}

// field tells whether a field goes on to the origin. Ok is false for one that the lane leaves alone.
func (q *laneRequest) field(line []byte) (goesOn, ok bool) {
	colon := bytes.IndexByte(line, ':')
	name := line[:colon]
	value := bytes.Trim(line[colon+1:], " \t")
	switch name[0] | 0x20 { // the first letter, whatever its case
	case 'a':
		if is(name, "Accept") {
			q.html = q.html || bytes.Contains(value, []byte("text/html"))
		}
	case 'c':
		if is(name, "Connection") {
			return false, q.connection(value)
		}
		return true, !is(name, "Content-Type")
	case 'e':
		return true, !is(name, "Expect")
	case 'h':
		return !is(name, "Host"), !is(name, "Http2-Settings")
	case 'k':
		return !is(name, "Keep-Alive"), true
	case 'p':
		if is(name, "Proxy-Connection") {
			return false, q.connection(value)
		}
		return !isProxyField(name), true
	case 't':
		return true, !is(name, "TE") && !is(name, "Trailer")
	case 'u':
		return true, !is(name, "Upgrade")
	}
	return true, true
}

// connection reads one Connection field. Only what says something about the connection itself is understood here.
func (q *laneRequest) connection(value []byte) bool {
	switch {
	case is(value, "close"):
		q.close = true
	case !is(value, "keep-alive"):
		return false
	}
	return true
}

// isProxyField reports whether a field concerns only this hop by its name.
func isProxyField(name []byte) bool {
	return is(name, "Proxy") || len(name) > 6 && is(name[:6], "Proxy-") && !is(name, "Proxy-Status")
}

// asker is the request as the answers of the gateway itself see it.
func (q *laneRequest) asker() asker { return asker{head: q.method == http.MethodHead, html: q.html} }
