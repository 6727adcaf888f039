package proxy

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

var openings = []struct {
	name, in     string
	whole, ended opening // with nothing behind it yet, and with nothing more to come
}{
	{"a request", "GET / HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"discovery", "M-SEARCH * HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"any method", "BREW /pot HTTP/1.1\r\nHost: a\r\n", openingHTTP, openingHTTP},
	{"for a proxy", "CONNECT a.example:443 HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"a method in lower case", "get / http/1.1\r\n", openingHTTP, openingHTTP},
	{"a bare LF", "GET / HTTP/1.1\n", openingHTTP, openingHTTP},
	{"a tab", "GET\t/\tHTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"empty lines before it", "\r\n\n\r\nGET / HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"a blank before it", " GET / HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"HTTP/0.9", "GET /\r\n", openingHTTP, openingHTTP},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", openingHTTP, openingHTTP},
	{"the beginning of a line", "GET /index", openingUnclear, openingHTTP},
	{"a line that ends with CR", "POST / HTTP/1.1\rHost: a\r", openingUnclear, openingHTTP},
	{"the beginning of a method", "GE", openingUnclear, openingOther},
	{"empty lines alone", "\r\n\r\n", openingUnclear, openingOther},
	{"TLS", helloFor("a.example"), openingTLS, openingTLS},
	{"the first byte of TLS", "\x16", openingTLS, openingTLS},
	{"the format of SSL 2.0", "\x80\x2e\x01\x03\x01", openingTLS, openingTLS},
	{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", openingOther, openingOther},
	{"a word", "QUIT\r\n", openingOther, openingOther},
	{"mail", "EHLO a.example\r\n", openingOther, openingOther},
	{"chat", "NICK a\r\nUSER a 0 * :a\r\n", openingOther, openingOther},
	{"calls", "REGISTER sip:a.example SIP/2.0\r\n", openingOther, openingOther},
	{"films", "OPTIONS rtsp://a.example/ RTSP/1.0\r\n", openingOther, openingOther},
	{"half a line of chat", "NICK a", openingUnclear, openingOther},
	{"a long word", strings.Repeat("A", maxMethod+1), openingUnclear, openingOther},
	{"a long method", strings.Repeat("A", maxMethod+1) + " / HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"a vertical tab", "GET\v/\vHTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"a form feed", "POST\f/\fHTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"a bare CR", "POST\r/ HTTP/1.1\r\n", openingHTTP, openingHTTP},
	{"bytes", "\x00\x01\x02", openingOther, openingOther},
}

func TestOpening(t *testing.T) {
	t.Parallel()
	for _, c := range openings {
		if got := openingOf([]byte(c.in)); got != c.whole {
			t.Errorf("%s: %d, want %d", c.name, got, c.whole)
		}
		if got := openingAtEnd([]byte(c.in)); got != c.ended {
			t.Errorf("%s, at the end: %d, want %d", c.name, got, c.ended)
		}
		got, held := hearOpening(iotest.OneByteReader(strings.NewReader(c.in)), nil)
		if got != c.ended || !strings.HasPrefix(c.in, string(held)) {
			t.Errorf("%s, byte by byte: %d with %q held, want %d", c.name, got, held, c.ended)
		}
	}
}

// TestLateOpening: what is late, or too long, is something else only if it cannot become a request.
func TestLateOpening(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]opening{
		"GE": openingUnclear, "\r\n": openingUnclear, "BREW /p": openingUnclear, "NICK a": openingUnclear, "GET /p": openingHTTP,
		"NICK a\r\n": openingOther, "\x00": openingOther, "": openingOther, "\x16": openingTLS,
		"BREW /" + strings.Repeat("a", maxOpening): openingUnclear,
	} {
		late := io.MultiReader(strings.NewReader(in), iotest.ErrReader(os.ErrDeadlineExceeded))
		if got, _ := hearOpening(late, nil); got != want {
			t.Errorf("%.20q: %d, want %d", in, got, want)
		}
	}
}

func TestHearOpeningIsBounded(t *testing.T) {
	t.Parallel()
	endless := iotest.DataErrReader(strings.NewReader("GET /" + strings.Repeat("a", 10*maxOpening)))
	what, held := hearOpening(endless, nil)
	if what != openingHTTP || cap(held) > 2*maxOpening {
		t.Errorf("%d with %d bytes held", what, cap(held))
	}
}

// FuzzOpening: however the bytes come, the answer is the same, every byte is there, and what the front would take for a request is one.
func FuzzOpening(f *testing.F) {
	for _, c := range openings {
		f.Add([]byte(c.in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		if len(in) == 0 {
			return
		}
		cut = min(max(cut, 0), len(in))
		whole, held := hearOpening(bytes.NewReader(in), nil)
		rest := bytes.NewReader(in[cut:])
		parts, heldParts := hearOpening(rest, bytes.Clone(in[:cut]))
		if whole != parts && in[0] < 0x80 { // from there on it may be SSL 2.0 for some bytes
			t.Errorf("%d whole, %d in parts", whole, parts)
		}
		if !bytes.HasPrefix(in, held) || !bytes.HasPrefix(in, heldParts) {
			t.Errorf("%q became %q and %q", in, held, heldParts)
		}
		var head requestHead
		if size, fault := head.step(in, maxOpening, 100); size > 0 && fault == nil && whole != openingHTTP {
			t.Errorf("a request is taken for %d: %q", whole, in)
		}
	})
}
