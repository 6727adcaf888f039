package proxy

import (
	"bytes"

	"golang.org/x/net/http/httpguts"
)

// lines finds the lines of a head or of a trailer section in bytes that come bit by bit. The zero value is at the start.
type lines struct {
	start int // of the line that is not complete yet
	seen  int // how far its end was searched for
}

// next returns the next line of b without its CRLF, or false if it needs more bytes. B is called again with the same bytes
// and more. The section, up to its last line, may not be longer than limit.
func (l *lines) next(b []byte, limit int) (line []byte, ok bool, fault *Fault) {
	reach := min(len(b), limit)
	i := bytes.IndexByte(b[l.seen:reach], '\n')
	if i < 0 {
		l.seen = reach
		if reach == limit {
			return nil, false, tooLarge("too-large", "the head or the trailers are larger than this proxy takes")
		}
		return nil, false, nil
	}
	end := l.seen + i
	line = b[l.start:end]
	l.start, l.seen = end+1, end+1
	line, ok = bytes.CutSuffix(line, []byte("\r"))
	if !ok {
		return nil, false, badRequest("bare-lf", "a line ends with LF alone instead of CRLF")
	}
	return line, true, nil
}

// cutField reads a field line (RFC 9112, section 5) and returns the value without the blanks around it.
func cutField(line []byte) (name, value []byte, fault *Fault) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, badRequest("folded-field", "a field is continued on a second line")
	}
	name, value, found := bytes.Cut(line, []byte(":"))
	switch {
	case !found:
		return nil, nil, badRequest("field-line", "a field line has no colon")
	case len(name) == 0:
		return nil, nil, badRequest("field-name", "a field has an empty name")
	case name[len(name)-1] == ' ' || name[len(name)-1] == '\t':
		return nil, nil, badRequest("field-name", "a blank stands between a field name and its colon")
	case !isToken(name):
		return nil, nil, badRequest("field-name", "a field name holds a character that is not allowed in it")
	}
	value = bytes.Trim(value, " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, badRequest("field-value", "a field value holds a control character")
		}
	}
	if is(name, faultField) {
		return nil, nil, badRequest("reserved-field", "a field uses a name that this proxy keeps for itself")
	}
	return name, value, nil
}

// isToken reports whether b is a token of RFC 9110, section 5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		if !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return len(b) > 0
}

// is compares a token with a name; case does not count.
func is(token []byte, name string) bool {
	return len(token) == len(name) && bytes.EqualFold(token, []byte(name))
}

// trailerAllowed reports whether a field may come after the body. One that frames or routes the message, or says what to do
// with it, comes too late there, and readers differ in whether they believe it (RFC 9110, section 6.5.1).
func trailerAllowed(name []byte) bool {
	return httpguts.ValidTrailerHeader(string(name)) && !is(name, "Upgrade") && !is(name, "Cookie") && !is(name, "Set-Cookie") &&
		!is(name, "Via") && !is(name, "Forwarded") && !is(name, "Proxy-Status") && !is(name, "Alt-Svc")
}

// trailerSection follows the lines after the last chunk. The zero value is at the start.
type trailerSection struct {
	lines  lines
	fields int
}

// step returns the size of the whole section once b, which begins with it, holds it all; 0 if it needs more bytes.
func (t *trailerSection) step(b []byte, maxFields int) (size int, fault *Fault) {
	for {
		line, ok, fault := t.lines.next(b, maxTrailers)
		if !ok {
			return 0, fault
		}
		if len(line) == 0 {
			return t.lines.start, nil
		}
		name, _, fault := cutField(line)
		if fault != nil {
			return 0, fault
		}
		if !trailerAllowed(name) {
			return 0, badRequest("trailer", "a trailer has a name that belongs into the head")
		}
		if t.fields++; t.fields > maxFields {
			return 0, tooLarge("too-many-fields", "there are more trailers than this proxy takes")
		}
	}
}

// maxTrailers bounds the trailers of a message; net/http takes no more.
const maxTrailers = 4 << 10
