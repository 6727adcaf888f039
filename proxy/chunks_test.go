package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// chunkedHead stands before every body of these tests.
const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// badChunks are chunked bodies at fault, with how many bytes of them may pass before it shows.
var badChunks = []struct {
	name   string
	body   string
	passed int
	code   string
}{
	{"no size", "\r\n", 0, "chunk-size"},
	{"no size but an extension", ";a\r\n", 0, "chunk-size"},
	{"a size with 0x", "0x5\r\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"a signed size", "+5\r\nabcde\r\n0\r\n\r\n", 0, "chunk-size"},
	{"a negative size", "-5\r\n", 0, "chunk-size"},
	{"a blank before the size", " 5\r\nabcde\r\n0\r\n\r\n", 0, "chunk-size"},
	{"a blank behind the size: Squid CVE-2023-46846", "5 \r\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"a tab behind the size", "5\t\r\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"a blank before an extension", "5 ;a\r\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"bare LF behind the size: Go CVE-2025-22871", "5\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"bare CR behind the size", "5\rabcde\r\n0\r\n\r\n", 2, "chunk-size"},
	{"two CRs behind the size", "5\r\r\nabcde\r\n0\r\n\r\n", 2, "chunk-size"},
	{"bare LF in an extension", "5;a\nabcde\r\n0\r\n\r\n", 3, "chunk-extension"},
	{"NUL in an extension", "5;a\x00\r\nabcde\r\n0\r\n\r\n", 3, "chunk-extension"},
	{"a byte beyond ASCII in an extension", "5;\x80\r\nabcde\r\n0\r\n\r\n", 2, "chunk-extension"},
	{"NUL in a size", "5\x00\r\nabcde\r\n0\r\n\r\n", 1, "chunk-size"},
	{"an underscore in a size", "1_0\r\n", 1, "chunk-size"},
	{"a size of 16 digits", "0000000000000005\r\nabcde\r\n0\r\n\r\n", 15, "chunk-size"},
	{"a size that wraps", "10000000000000005\r\nabcde\r\n0\r\n\r\n", 15, "chunk-size"},
	{"a chunk that is longer than said", "5\r\nabcdef\r\n0\r\n\r\n", 8, "chunk-end"},
	{"a chunk that is shorter than said", "5\r\nabc\r\n0\r\n\r\n", 8, "chunk-end"},
	{"bare LF behind a chunk", "5\r\nabcde\n0\r\n\r\n", 8, "chunk-end"},
	{"bare CR behind a chunk", "5\r\nabcde\r0\r\n\r\n", 9, "chunk-end"},
	{"nothing behind a chunk", "5\r\nabcde0\r\n\r\n", 8, "chunk-end"},
	{"bare LF behind the last size", "0\n\r\n", 1, "chunk-size"},
	{"too many extensions: Go CVE-2023-39326", "1;" + strings.Repeat("a", 1023) + "\r\nx\r\n1;a\r\n", 1031, "chunk-extension"},
	{"too long an extension", "5;" + strings.Repeat("a", 1<<20), 1025, "chunk-extension"},

	{"bare LF at the end", "0\r\n\n", 3, "bare-lf"},
	{"bare LF behind a trailer", "0\r\nA: b\n\r\n", 3, "bare-lf"},
	{"a trailer without colon", "0\r\nA\r\n\r\n", 3, "field-line"},
	{"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", 3, "folded-field"},
	{"a trailer without name", "0\r\n: b\r\n\r\n", 3, "field-name"},
	{"NUL in a trailer", "0\r\nA: \x00\r\n\r\n", 3, "field-value"},
	{"a request in place of trailers", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 3, "field-line"},
	{"Host as trailer", "0\r\nhost: b\r\n\r\n", 3, "trailer"},
	{"Content-Length as trailer", "0\r\nContent-Length: 5\r\n\r\n", 3, "trailer"},
	{"Transfer-Encoding as trailer", "0\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n", 3, "trailer"},
	{"Trailer as trailer", "0\r\nTrailer: a\r\n\r\n", 3, "trailer"},
	{"Connection as trailer", "0\r\nConnection: close\r\n\r\n", 3, "trailer"},
	{"Upgrade as trailer", "0\r\nUpgrade: websocket\r\n\r\n", 3, "trailer"},
	{"Authorization as trailer", "0\r\nAuthorization: b\r\n\r\n", 3, "trailer"},
	{"Proxy-Authorization as trailer", "0\r\nProxy-Authorization: b\r\n\r\n", 3, "trailer"},
	{"Expect as trailer", "0\r\nExpect: 100-continue\r\n\r\n", 3, "trailer"},
	{"a condition as trailer", "0\r\nIf-Match: b\r\n\r\n", 3, "trailer"},
	{"Cookie as trailer", "0\r\nCookie: b\r\n\r\n", 3, "trailer"},
	{"the reserved field as trailer", "0\r\nX-Gracegate-Fault: 400 a b\r\n\r\n", 3, "reserved-field"},
	{"too many trailers", "0\r\n" + strings.Repeat("A: b\r\n", 11) + "\r\n", 3, "too-many-fields"},
	{"too large a trailer", "0\r\nA: " + strings.Repeat("b", 4<<10) + "\r\n\r\n", 3, "too-large"},
	{"a trailer that never ends", "0\r\nA: " + strings.Repeat("b", 1<<20), 3, "too-large"},
}

// goodChunks are whole bodies and their contents.
var goodChunks = []struct{ body, data string }{
	{"0\r\n\r\n", ""},
	{"000000000000000\r\n\r\n", ""},
	{"5\r\nabcde\r\n0\r\n\r\n", "abcde"},
	{"000000000000005\r\nabcde\r\n0\r\n\r\n", "abcde"},
	{"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
	{"1\r\n\r\r\n1\r\n\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n"},
	{"5;\r\nabcde\r\n0;a=\"b\\\"c\"; d\t\r\n\r\n", "abcde"},
	{"1;" + strings.Repeat("a", 1023) + "\r\nx\r\n0\r\n\r\n", "x"},
	{"3\r\nabc\r\n0\r\nX-Sum: 1\r\nETag:\r\n\r\n", "abc"},
	{"0\r\nA: " + strings.Repeat("b", 4<<10-7) + "\r\n\r\n", ""},
	{strings.Repeat("1\r\nx\r\n", 5000) + "0\r\n\r\n", strings.Repeat("x", 5000)},
}

func TestBadChunks(t *testing.T) {
	t.Parallel()
	for _, c := range badChunks {
		f := framing{maxHead: testLimits.Head, maxFields: testLimits.HeaderCount}
		n, fault := f.pass([]byte(chunkedHead + c.body))
		if fault == nil || fault.Code != c.code || n-len(chunkedHead) != c.passed {
			t.Errorf("%s: %d bytes pass, fault %v, want %d and %s", c.name, n-len(chunkedHead), fault, c.passed, c.code)
		}
		if f.part == inHead {
			t.Errorf("%s: the fault counts as one of the next head", c.name)
		}
	}
}

func TestGoodChunks(t *testing.T) {
	t.Parallel()
	for _, c := range goodChunks {
		checkChunks(t, []byte(c.body))
		if data, _, whole := dullChunks([]byte(c.body)); !whole || string(data) != c.data {
			t.Errorf("%.60q holds %.60q for the twin, %v", c.body, data, whole)
		}
		f := framing{maxHead: testLimits.Head, maxFields: testLimits.HeaderCount}
		n, fault := f.pass([]byte(chunkedHead + c.body))
		if fault != nil || n != len(chunkedHead)+len(c.body) || f.part != inHead {
			t.Errorf("%.60q: %d bytes pass, fault %v, part %d", c.body, n, fault, f.part)
		}
	}
}

// dullChunks is the plain reading of a chunked body that is there as a whole: its contents, how long it is, and whether the
// end is reached. It knows no bounds and takes what passes for granted.
func dullChunks(b []byte) (data []byte, size int, whole bool) {
	rest := b
	for {
		line, after, found := bytes.Cut(rest, []byte("\r\n"))
		if !found {
			return data, 0, false
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(digits), 16, 60)
		if err != nil {
			return data, 0, false
		}
		if n == 0 {
			for {
				line, after, found = bytes.Cut(after, []byte("\r\n"))
				if !found {
					return data, 0, false
				}
				if len(line) == 0 {
					return data, len(b) - len(after), true
				}
			}
		}
		if uint64(len(after)) < n+2 {
			return append(data, after[:min(uint64(len(after)), n)]...), 0, false
		}
		data = append(data, after[:n]...)
		rest = after[n+2:]
	}
}

// checkChunks fails if net/http and the front read a chunked body differently.
func checkChunks(t *testing.T, body []byte) {
	t.Helper()
	f := framing{maxHead: testLimits.Head, maxFields: testLimits.HeaderCount, part: inChunks}
	n, whole := 0, false
	var fault *Fault
	for n < len(body) && fault == nil && !whole {
		var k int
		k, fault = f.step(body[n:])
		n += k
		whole = f.part == inHead
		if k == 0 {
			break
		}
	}
	refused := errors.New("refused")
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(chunkedHead), bytes.NewReader(body[:n]), failing{refused})))
	if err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(r.Body)
	if (err == nil) != whole {
		t.Fatalf("%q: the front lets %d bytes pass, whole %v, fault %v; net/http says %v", body, n, whole, fault, err)
	}
	if !whole {
		return
	}
	data, size, _ := dullChunks(body)
	if !bytes.Equal(read, data) || n != size {
		t.Fatalf("%q: %d bytes hold %q for net/http, the twin has %d and %q", body, n, read, size, data)
	}
}

// failing returns nothing but an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzChunks(f *testing.F) {
	for _, c := range badChunks {
		if len(c.body) < 8192 {
			f.Add([]byte(c.body))
		}
	}
	for _, c := range goodChunks {
		f.Add([]byte(c.body))
	}
	f.Fuzz(checkChunks)
}
