package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/gracegate/gracegate/proxy/hello"
)

// opening is what a client speaks, by what it says first.
type opening uint8

const (
	openingUnclear opening = iota // more of it is needed
	openingTLS
	openingHTTP
	openingOther
)

const (
	// maxOpening is how much is read to tell what a client speaks.
	maxOpening = 64 << 10

	firstOpening = 4 << 10
)

// openingOf tells what b begins, which is not empty. What a lenient server could take for HTTP is HTTP here: whoever reads it next
// refuses what cannot be read in one way only, and nobody gets around that by an odd spelling.
func openingOf(b []byte) opening {
	if hello.Parse(b).Kind != hello.NotTLS {
		return openingTLS
	}
	b = bytes.TrimLeft(b, "\r\n")
	line, _, whole := bytes.Cut(b, []byte("\n"))
	method, target := cutMethod(line)
	switch {
	case len(method) > 0 && !isToken(method):
		return openingOther
	case !whole:
		return openingUnclear
	case target == nil: // a word alone is a command of something else
		return openingOther
	case bytes.Contains(bytes.ToUpper(target), []byte("HTTP/")), is(method, "GET"): // GET alone is all of HTTP/0.9
		return openingHTTP
	}
	return openingOther
}

// openingAtEnd tells what b begins where there will be no more of it.
func openingAtEnd(b []byte) opening {
	if len(b) == 0 {
		return openingOther
	}
	what := openingOf(b)
	if what != openingUnclear {
		return what
	}
	if method, target := cutMethod(bytes.TrimLeft(b, "\r\n")); target != nil && isMethod(method) {
		return openingHTTP
	}
	return openingOther
}

// openingSoFar tells what b begins where more may come, for which nobody waits any longer. Unclear is what may become a request yet, of
// whatever method: it must not pass for something else.
func openingSoFar(b []byte) opening {
	what := openingAtEnd(b)
	if what == openingOther && len(b) > 0 && openingOf(b) == openingUnclear {
		return openingUnclear
	}
	return what
}

// cutMethod takes a line apart behind its first word, at whatever lenient servers take for a blank (RFC 9112, section 3). The rest is nil
// if there is none.
func cutMethod(line []byte) (method, rest []byte) {
	line = bytes.TrimRight(line, "\r")
	if i := bytes.IndexAny(line, " \t\v\f\r"); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

// isMethod tells whether a word is a method that every server knows, in whatever case.
func isMethod(word []byte) bool {
	switch strings.ToUpper(string(word)) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return true
	}
	return false
}

// hearOpening reads on behind what is held until that tells what the client speaks. Where the client has ended its side, what is there
// has to do; where the rest is late, or too long, it may stay unclear.
func hearOpening(r io.Reader, held []byte) (opening, []byte) {
	for {
		if len(held) > 0 {
			if what := openingOf(held); what != openingUnclear {
				return what, held
			}
		}
		if len(held) >= maxOpening {
			return openingSoFar(held), held
		}
		if len(held) == cap(held) {
			more := make([]byte, len(held), max(2*len(held), firstOpening))
			copy(more, held)
			held = more
		}
		n, err := r.Read(held[len(held):cap(held)])
		switch held = held[:len(held)+n]; {
		case n > 0 || err == nil:
		case errors.Is(err, io.EOF):
			return openingAtEnd(held), held
		default:
			return openingSoFar(held), held
		}
	}
}
