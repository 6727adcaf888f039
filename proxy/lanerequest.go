package proxy

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// laneRequest is a request that the fast lane takes: GET or HEAD in HTTP/1.1, without a body, and with no field that asks for
// more than to be passed on. Its target is absolute. On a connection that a packet filter sent here it is a path, and Host tells the
// host; inside of an intercepted connection likewise, and that is the very host of that connection.
type laneRequest struct {
	method string
	name   host.Name
	port   uint16
	host   string // both, as they go on
	target string // path and query, as they came and as they go on
	path   string // as the policy takes it
	again  string // in its second reading; see policy.ReadPath
	html   bool   // it accepts HTML
	close  bool   // the client wants the connection to end behind the answer
	parent bool   // the parent is asked for it

	trailers bool // the client understands those of an answer

	credentials []byte // its Proxy-Authorization, as long as the head is held
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
	if !q.readLine(l, line, rest) {
		return false
	}
	l.out = append(l.out[:0], q.method...)
	l.out = append(l.out, ' ')
	if q.parent {
		l.out = append(l.out, "http://"...)
		l.out = append(l.out, q.host...)
	}
	l.out = append(l.out, q.target...)
	l.out = append(l.out, " HTTP/1.1\r\nHost: "...)
	l.out = append(l.out, q.host...)
	l.out = append(l.out, "\r\n"...)
	for {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		goesOn, ok := q.field(l, line)
		if !ok {
			return false
		}
		if goesOn {
			l.out = append(l.out, line...)
			l.out = append(l.out, "\r\n"...)
		}
	}
	if q.trailers {
		l.out = append(l.out, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if q.parent {
		l.out = append(l.out, l.dialer().login...)
	}
	l.out = append(l.out, "Via: 1.1 "...)
	l.out = append(l.out, l.dialer().pseudonym...)
	l.out = append(l.out, "\r\n\r\n"...)
	return true
}

func (l *lane) dialer() *Dialer { return l.server.cfg.Dialer }

// hostField is the Host of a plain request.
func hostField(name host.Name, port uint16) string {
	if port == 80 {
		port = 0
	}
	return host.Join(name, port)
}

// readLine reads the request line, which is known to be well-formed, and which host it is for.
func (q *laneRequest) readLine(l *lane, line, fields []byte) bool {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(method) {
	case http.MethodGet:
		q.method = http.MethodGet
	case http.MethodHead:
		q.method = http.MethodHead
	default:
		return false
	}
	target, ok := q.readDestination(l, rest[:len(rest)-len(" HTTP/1.1")], fields)
	if !ok || target[0] != '/' || !plainTarget(target) {
		return false
	}
	q.target = string(target)
	raw, _, _ := strings.Cut(q.target, "?")
	q.path, q.again, ok = policy.ReadPath(raw)
	return ok
}

// readDestination finds out where a request goes, by what its kind of connection has for that, and returns what else is in its target.
func (q *laneRequest) readDestination(l *lane, target, fields []byte) (rest []byte, ok bool) {
	switch {
	case l.inner != nil:
		facts := &l.inner.flow.facts // of which the name and the port do not change any more
		q.name, q.port, q.host = facts.SNI, facts.Port, secureAuthority(facts.SNI, facts.Port)
		return target, true
	case l.redirected():
		return target, l.readAuthority(hostOf(fields), 0) && q.redirect(l)
	}
	rest, ok = bytes.CutPrefix(target, []byte("http://"))
	slash := bytes.IndexByte(rest, '/')
	if !ok || slash <= 0 || !l.readAuthority(rest[:slash], 80) {
		return nil, false
	}
	q.name, q.port, q.host = l.last.name, l.last.port, hostField(l.last.name, l.last.port)
	return rest[slash:], q.findWay(l)
}

// redirect is for a request that a packet filter sent here: it goes to the port that was dialled.
func (q *laneRequest) redirect(l *lane) bool {
	q.name, q.port, q.host = l.last.name, l.dest.port, host.Join(l.last.name, l.last.port)
	if !l.server.transparent.resolve || q.name.IsAddr() {
		return true
	}
	if !q.findWay(l) {
		return false
	}
	if q.parent { // which goes by this
		q.host = hostField(q.name, q.port)
	}
	return true
}

// findWay finds out whether the parent is to be asked. It is false for what is not to be reached.
func (q *laneRequest) findWay(l *lane) bool {
	var err error
	q.parent, err = l.dialer().viaParent(q.name, q.port)
	return err == nil
}

// hostOf is the value of the Host field, of which there is one.
func hostOf(fields []byte) []byte {
	for {
		line, rest, more := bytes.Cut(fields, []byte("\r\n"))
		if isField(line, "Host") {
			return bytes.Trim(line[len("Host:"):], " \t")
		}
		if !more {
			return nil
		}
		fields = rest
	}
}

// readAuthority reads a host and a port into l.last. The port is the usual one if none is told.
func (l *lane) readAuthority(text []byte, usual uint16) bool {
	if string(text) == l.last.text {
		return len(text) > 0
	}
	name, port, err := host.ParseAuthority(string(text))
	if err != nil {
		return false
	}
	if port == 0 {
		port = usual
	}
	l.last.text, l.last.name, l.last.port = string(text), name, port
	return true
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
func (q *laneRequest) field(l *lane, line []byte) (goesOn, ok bool) {
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
		if is(name, "Host") { // we have our own, by the target, and inside by the connection
			return false, l.inner == nil || l.readAuthority(value, q.port) && l.inner.agrees(l.last.name, l.last.port)
		}
		return true, !is(name, "Http2-Settings")
	case 'k':
		return !is(name, "Keep-Alive"), true
	case 'p':
		if is(name, "Proxy-Connection") {
			return false, q.connection(value)
		}
		if is(name, "Proxy-Authorization") {
			q.credentials = value
		}
		return !isProxyField(name), true
	case 't':
		if is(name, "TE") {
			q.trailers = true
			return false, is(value, "trailers")
		}
		return true, !is(name, "Trailer")
	case 'u':
		return true, !is(name, "Upgrade")
	case 'v':
		return true, !is(name, "Via") || !l.dialer().loops([]string{string(value)})
	}
	return true, true
}

// connection reads one Connection field. Only what says something about the connection itself is understood here.
func (q *laneRequest) connection(value []byte) bool {
	switch {
	case is(value, "close"):
		q.close = true
	case !is(value, "keep-alive") && !is(value, "TE"):
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
