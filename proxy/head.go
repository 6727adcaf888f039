package proxy

import (
	"bytes"
	"cmp"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpguts"

	"github.com/gracegate/gracegate/policy/host"
)

// requestHead follows the head of one request, line by line as it comes, and is stricter than net/http wherever that is
// lenient: what two readers could understand differently is a fault, never repaired (RFC 9112; the cases are those of the
// request smuggling flaws of other proxies). The zero value is at the start.
type requestHead struct {
	lines  lines
	began  bool // the request line is complete
	fields int

	connect bool
	http10  bool

	// The two hosts of a request that has both, where they are to agree. RFC 9112, section 3.2.2, has a proxy take that of the
	// target; a client that knows of no proxy asks the host that it has dialled, and could get something else judged than asked for.
	ownHost      bool
	target, host string

	hosts   int
	logins  int   // Proxy-Authorization fields
	lengths int   // Content-Length fields
	length  int64 // what the last one says
	codings int   // Transfer-Encoding fields, each "chunked"
}

const (
	// maxMethod is longer than the longest registered method, UPDATEREDIRECTREF.
	maxMethod = 20

	// maxLengthDigits keeps a Content-Length within an int64.
	maxLengthDigits = 18
)

// step returns the size of the head once b, which begins with it, holds all of it; 0 if it needs more bytes. It is called
// again with the same bytes and more. Which fault is found does not depend on how the bytes are cut.
func (h *requestHead) step(b []byte, maxSize, maxFields int) (size int, fault *Fault) {
	if !h.began {
		// At once, and not only when the line ends: it may never.
		if fault := checkMethod(b); fault != nil {
			return 0, fault
		}
	}
	for {
		line, ok, fault := h.lines.next(b, maxSize)
		switch {
		case !ok:
			return 0, fault
		case !h.began:
			h.began = true
			fault = h.requestLine(line)
		case len(line) == 0:
			if fault := h.end(); fault != nil {
				return 0, fault
			}
			return h.lines.start, nil
		default:
			fault = h.field(line, maxFields)
		}
		if fault != nil {
			return 0, fault
		}
	}
}

// checkMethod judges the beginning of a request line.
func checkMethod(b []byte) *Fault {
	for i, c := range b[:min(len(b), maxMethod+1)] {
		switch {
		case httpguts.IsTokenRune(rune(c)) && i < maxMethod:
		case i > 0 && (c == ' ' || c == '\r' || c == '\n'):
			return nil
		case i == 0 && c == 5:
			return badRequest("socks", "this looks like SOCKS5, which is for listen.socks")
		case i == 0 && c == 0x16:
			return badRequest("tls", "this looks like TLS, but the proxy is spoken to in plain HTTP")
		case i == 0 && (c == '\r' || c == '\n'):
			return badRequest("request-line", "an empty line stands before the request")
		default:
			return badRequest("method", "the request does not begin with a method")
		}
	}
	return nil
}

// requestLine reads "METHOD TARGET HTTP/1.x".
func (h *requestHead) requestLine(line []byte) *Fault {
	name, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, whole := bytes.Cut(rest, []byte(" "))
	if string(name) == "PROXY" {
		return badRequest("proxy-protocol", "a header of the PROXY protocol, from an address that listen.proxy-protocol does not name")
	}
	if !whole || !isToken(name) || len(target) == 0 || bytes.IndexByte(version, ' ') >= 0 {
		return badRequest("request-line", "the request line is not a method, a target and a version with single blanks between")
	}
	switch version := string(version); version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.http10 = true
	default:
		if _, _, ok := http.ParseHTTPVersion(version); ok {
			return &Fault{Status: http.StatusHTTPVersionNotSupported, Code: "version", Detail: "only HTTP/1.1 and HTTP/1.0 are spoken here"}
		}
		return badRequest("request-line", "the request line does not end with an HTTP version")
	}
	method := string(name)
	h.connect = method == http.MethodConnect
	if scheme, rest, absolute := bytes.Cut(target, []byte("://")); h.ownHost && absolute && isToken(scheme) {
		end := bytes.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		h.target = string(rest[:end])
	}
	if !h.connect && isPlainURL(target) {
		return nil
	}
	return checkTarget(method, target)
}

// isPlainURL recognises the most common target, which passes checkTarget for any method but CONNECT, and is none for that: http,
// a name of letters, digits, dots and hyphens, and a path of what RFC 3986 allows there.
func isPlainURL(target []byte) bool {
	rest, ok := bytes.CutPrefix(target, []byte("http://"))
	slash := bytes.IndexByte(rest, '/')
	if !ok || slash <= 0 {
		return false
	}
	for _, c := range rest[:slash] {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return plainTarget(rest[slash:])
}

// checkTarget makes sure that the target has one of the four forms of RFC 9112, section 3.2, and that net/http reads it.
// Which host it names is not judged here.
func checkTarget(method string, target []byte) *Fault {
	bad := badRequest("target", "the request target cannot be read")
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return bad
		}
	}
	uri := string(target)
	switch {
	case method == http.MethodConnect:
		if bytes.ContainsAny(target, "/?@") {
			return badRequest("target", "the target of CONNECT is not a host and a port")
		}
		uri = "http://" + uri
	case uri == "*":
		if method != http.MethodOptions {
			return bad
		}
		return nil
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || uri[0] != '/' && u.Host == "" {
		return bad
	}
	return nil
}

// field takes one field line and notes what frames the message.
func (h *requestHead) field(line []byte, maxFields int) *Fault {
	if h.fields++; h.fields > maxFields {
		return tooLarge("too-many-fields", "there are more header fields than this proxy takes")
	}
	name, value, fault := cutField(line)
	switch {
	case fault != nil:
		return fault
	case is(name, "Host"):
		h.hosts++
		if h.target != "" {
			h.host = string(value)
		}
		if !httpguts.ValidHostHeader(string(value)) {
			return badRequest("host", "the Host field is not a host")
		}
	case is(name, "Content-Length"):
		h.lengths++
		if h.length, fault = readLength(value); fault != nil {
			return fault
		}
	case is(name, "Transfer-Encoding"):
		h.codings++
		if !is(value, "chunked") {
			return &Fault{Status: http.StatusNotImplemented, Code: "transfer-encoding", Detail: "a transfer coding other than chunked alone"}
		}
	case is(name, "Proxy-Authorization"):
		h.logins++
	case is(name, "Trailer"):
		return checkTrailerField(value)
	}
	return nil
}

// readLength reads a Content-Length: digits alone, no sign, no list.
func readLength(value []byte) (int64, *Fault) {
	if len(value) == 0 || len(value) > maxLengthDigits {
		return 0, badRequest("content-length", "the Content-Length is empty or too long")
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, badRequest("content-length", "the Content-Length is not plain digits")
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// checkTrailerField makes sure that the head announces no trailer that would be refused.
func checkTrailerField(value []byte) *Fault {
	for name := range bytes.SplitSeq(value, []byte(",")) {
		name = bytes.Trim(name, " \t")
		if len(name) > 0 && (!isToken(name) || !trailerAllowed(name)) {
			return badRequest("trailer", "the Trailer field announces a field that belongs into the head")
		}
	}
	return nil
}

// end judges the fields together, once all are there.
func (h *requestHead) end() *Fault {
	switch {
	case h.hosts > 1:
		return badRequest("host", "there is more than one Host field")
	case h.hosts == 0 && !h.http10:
		return badRequest("host", "there is no Host field")
	case h.logins > 1:
		return badRequest("proxy-authorization", "there is more than one Proxy-Authorization field")
	case h.target != "" && !sameAuthority(h.target, h.host):
		return badRequest("host", "the Host field differs from the host of the target")
	case h.lengths > 1:
		return badRequest("content-length", "there is more than one Content-Length")
	case h.codings > 1:
		return badRequest("transfer-encoding", "there is more than one Transfer-Encoding")
	case h.codings > 0 && h.lengths > 0:
		return badRequest("transfer-encoding", "there is a Transfer-Encoding beside a Content-Length")
	case h.codings > 0 && h.http10:
		return badRequest("transfer-encoding", "a Transfer-Encoding in HTTP/1.0")
	case h.connect && (h.codings > 0 || h.length > 0):
		// Content-Length: 0 is what WinHTTP sends; it says the same as none.
		return badRequest("connect-body", "a CONNECT request with a body")
	}
	return nil
}

// sameAuthority tells whether two hosts, with ports or without, are written for the same one.
func sameAuthority(a, b string) bool {
	nameA, portA, errA := host.ParseAuthority(a)
	nameB, portB, errB := host.ParseAuthority(b)
	return errA == nil && errB == nil && nameA == nameB && cmp.Or(portA, 80) == cmp.Or(portB, 80)
}
