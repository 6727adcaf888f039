package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// laneAnswer is the head of an origin's answer: what frames the body behind it, and what goes to the client.
type laneAnswer struct {
	status  int
	body    bodyKind
	length  int64 // with bodyLength
	http10  bool
	reuse   bool // the connection can carry another exchange behind this one
	dropped [][]byte
	hasDate bool
}

// bodyKind tells how the end of a body is known (RFC 9112, section 6.3).
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyToEnd
)

var (
	errAnswerHead   = errors.New("the origin's answer has a head that cannot be read in one way only")
	errAnswerLength = errors.New("the origin's answer says in more than one way where it ends")
	errAnswerLarge  = errors.New("the origin's answer has too large a head")
	errUpgrade      = errors.New("the origin changed protocols unasked")
)

// headEnd returns the size of the head that b begins with; 0 if not all of it is there. It was searched up to from already.
func headEnd(b []byte, from int) int {
	for i := max(from-3, 0); ; {
		k := bytes.IndexByte(b[i:], '\n')
		if k < 0 {
			return 0
		}
		i += k + 1
		switch rest := b[i:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2
		}
	}
}

// read takes a whole head apart. A line may end with LF alone, as RFC 9112, section 2.2, lets a recipient take it.
func (a *laneAnswer) read(head []byte, method string) error {
	line, rest := cutLine(head)
	http10, err := a.statusLine(line)
	if err != nil {
		return err
	}
	*a = laneAnswer{status: a.status, http10: http10, reuse: !http10, length: -1, dropped: a.dropped[:0]}
	codings := 0
	for {
		if line, rest = cutLine(rest); len(line) == 0 {
			break
		}
		name, value, fault := cutField(line)
		switch {
		case fault != nil:
			return errAnswerHead
		case is(name, "Content-Length"):
			if a.length >= 0 {
				return errAnswerLength
			}
			if a.length, fault = readLength(value); fault != nil {
				return errAnswerLength
			}
		case is(name, "Transfer-Encoding"):
			if codings++; codings > 1 || !is(value, "chunked") || http10 {
				return errAnswerLength
			}
		case is(name, "Connection"):
			a.connection(value)
		case is(name, "Date"):
			a.hasDate = true
		}
	}
	return a.frame(method, codings > 0)
}

// cutLine takes off the first line, without its end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

func (a *laneAnswer) statusLine(line []byte) (http10 bool, err error) {
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1."))
	if !ok || len(rest) < 5 || rest[0] != '0' && rest[0] != '1' || rest[1] != ' ' || len(rest) > 5 && rest[5] != ' ' {
		return false, errAnswerHead
	}
	a.status = 0
	for _, c := range rest[2:5] {
		if c < '0' || c > '9' {
			return false, errAnswerHead
		}
		a.status = a.status*10 + int(c-'0')
	}
	if a.status < 100 || a.status > 599 {
		return false, fmt.Errorf("the origin answered with the status %d, which is none", a.status)
	}
	return rest[0] == '0', nil
}

// connection notes which fields concern this hop alone.
func (a *laneAnswer) connection(value []byte) {
	for token := range bytes.SplitSeq(value, []byte(",")) {
		token = bytes.Trim(token, " \t")
		switch {
		case is(token, "close"):
			a.reuse = false
		case len(token) > 0:
			a.dropped = append(a.dropped, token)
		}
	}
}

// frame says how the body ends.
func (a *laneAnswer) frame(method string, chunked bool) error {
	switch {
	case chunked && a.length >= 0:
		return errAnswerLength
	case a.status == http.StatusSwitchingProtocols:
		return errUpgrade
	case a.status < 200, method == http.MethodHead, a.status == http.StatusNoContent, a.status == http.StatusNotModified:
		a.body = bodyNone
	case chunked:
		a.body = bodyChunked
	case a.length > 0:
		a.body = bodyLength
	case a.length < 0:
		a.body, a.reuse = bodyToEnd, false
	}
	return nil
}

// write appends the head as it goes to the client. It must not be called before read has accepted the head.
func (a *laneAnswer) write(out, head []byte, sunset string, closing bool) []byte {
	out = appendStatus(out, a.status)
	_, rest := cutLine(head)
	var line []byte
	for {
		if line, rest = cutLine(rest); len(line) == 0 {
			break
		}
		if a.goesOn(line) && (sunset == "" || !isField(line, "Sunset")) {
			out = append(out, line...)
			out = append(out, "\r\n"...)
		}
	}
	if !a.hasDate {
		out = appendDate(out)
	}
	if sunset != "" {
		out = append(out, "Sunset: "...)
		out = append(out, sunset...)
		out = append(out, "\r\n"...)
	}
	if a.http10 {
		out = append(out, "Via: 1.0 gracegate\r\n"...)
	} else {
		out = append(out, "Via: 1.1 gracegate\r\n"...)
	}
	if a.body == bodyChunked || a.body == bodyToEnd {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if closing {
		out = append(out, "Connection: close\r\n"...)
	}
	return append(out, "\r\n"...)
}

// goesOn tells whether a field of the origin goes to the client.
func (a *laneAnswer) goesOn(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	name := line[:colon]
	switch name[0] | 0x20 {
	case 'a':
		if is(name, "Alt-Svc") { // it would lead the client around the proxy
			return false
		}
	case 'c':
		if is(name, "Connection") || a.status == http.StatusNoContent && is(name, "Content-Length") {
			return false
		}
	case 'h', 'k', 'u':
		if is(name, "Http2-Settings") || is(name, "Keep-Alive") || is(name, "Upgrade") {
			return false
		}
	case 'p':
		// Other proxies may speak in Proxy-Status (RFC 9209), but not in our name.
		if isProxyField(name) || is(name, "Proxy-Status") && bytes.Contains(line[colon:], []byte("gracegate")) {
			return false
		}
	case 't':
		if is(name, "TE") || is(name, "Trailer") || is(name, "Transfer-Encoding") {
			return false
		}
	}
	for _, d := range a.dropped {
		if len(d) == len(name) && bytes.EqualFold(d, name) && !is(name, "Content-Length") && !is(name, "Cache-Control") {
			return false
		}
	}
	return true
}

// isField tells whether a well-formed line holds the field of this name.
func isField(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && is(line[:len(name)], name)
}

// appendStatus appends a status line with the usual words for the status.
func appendStatus(out []byte, status int) []byte {
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(status)...)
	return append(out, "\r\n"...)
}

// dateLine is a Date field and the second that it holds for.
type dateLine struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[dateLine]

// appendDate appends a Date field with the present real time.
func appendDate(out []byte) []byte {
	now := time.Now()
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &dateLine{now.Unix(), "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		lastDate.Store(d)
	}
	return append(out, d.text...)
}
