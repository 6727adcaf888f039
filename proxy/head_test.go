package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// testLimits are small enough to be reached by a table.
var testLimits = frontLimits{Head: 1024, HeaderCount: 10}

// badHeads are heads that are refused, and why. In the names are the flaws of other proxies that they come from.
var badHeads = []struct {
	name   string
	head   string
	status int
	code   string
}{
	{"an empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"a line feed first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"nothing but a line end", "\r\n\r\n", 400, "request-line"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "tls"},
	{"SSH", "SSH-2.0-OpenSSH_9.6p1\r\n", 400, "method"},
	{"SOCKS", "\x05\x01\x00", 400, "socks"},
	{"a blank first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
	{"NUL in the method", "GE\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
	{"a method that never ends", strings.Repeat("A", 21), 400, "method"},
	{"a quoted method", `"GET" / HTTP/1.1` + "\r\nHost: a\r\n\r\n", 400, "method"},
	{"a carriage return behind the method", "GET\r / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"a tab behind the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
	{"HTTP/0.9", "GET /\r\n", 400, "request-line"},
	{"a method alone", "GET\r\n", 400, "request-line"},
	{"no target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"two blanks before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"a blank at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request-line"},
	{"a blank in the target: Squid GHSA-jvf6", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare-lf"},
	{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare-lf"},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare-lf"},
	{"bare CR at the end of a line", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "field-value"},
	{"two CRs before the LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "field-value"},

	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version"},
	{"HTTP/3.7", "GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505, "version"},
	{"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"HTTP/1.1 and a CR", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, "request-line"},
	{"ICY", "GET / ICY\r\nHost: a\r\n\r\n", 400, "request-line"},

	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"a tab in the target", "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"a byte beyond ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"a fragment", "GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"a relative target", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"an authority without CONNECT", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"an opaque target", "GET a:b://c HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"a target without a host", "GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"bad percent-encoding in a host", "GET http://a%zz/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"GET of everything", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"CONNECT to a path", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"CONNECT to a URL", "CONNECT http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
	{"CONNECT with a user", "CONNECT u@a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},

	{"an empty name: HAProxy CVE-2023-25725", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "field-name"},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", 400, "field-line"},
	{"a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "field-name"},
	{"a tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n", 400, "field-name"},
	{"a blank in a name", "GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n", 400, "field-name"},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nA\x00: c\r\n\r\n", 400, "field-name"},
	{"a byte beyond ASCII in a name", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encod\xc4\xb1ng: chunked\r\n\r\n", 400, "field-name"},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", 400, "field-value"},
	{"a vertical tab in a value", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400, "field-value"},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n", 400, "field-value"},
	{"a folded field", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400, "folded-field"},
	{"a folded field with a tab", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n", 400, "folded-field"},
	{"a folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded-field"},
	{"the reserved field", "GET / HTTP/1.1\r\nHost: a\r\nx-gracegate-fault: 400 a b\r\n\r\n", 400, "reserved-field"},

	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "host"},
	{"no Host, but in the target", "GET http://a/ HTTP/1.1\r\n\r\n", 400, "host"},
	{"no Host for CONNECT", "CONNECT a:443 HTTP/1.1\r\n\r\n", 400, "host"},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host"},
	{"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, "host"},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host"},
	{"two log-ins", "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic YTpi\r\nproxy-authorization: Basic YTpi\r\n\r\n", 400, "proxy-authorization"},
	{"a Host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host"},

	{"two Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "content-length"},
	{"two equal Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "content-length"},
	{"a list as Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400, "content-length"},
	{"an empty Content-Length: HAProxy CVE-2023-40225", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "content-length"},
	{"a signed Content-Length: Squid CVE-2020-15049", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400, "content-length"},
	{"a negative Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400, "content-length"},
	{"a hexadecimal Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400, "content-length"},
	{"a Content-Length in two parts", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", 400, "content-length"},
	{"a Content-Length of 19 digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000000\r\n\r\n", 400, "content-length"},
	{"a Content-Length that wraps", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n", 400, "content-length"},

	{"CL with TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "transfer-encoding"},
	{"TE with CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400, "transfer-encoding"},
	{"two TEs", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "transfer-encoding"},
	{"TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "transfer-encoding"},
	{"TE gzip", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "transfer-encoding"},
	{"TE gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "transfer-encoding"},
	{"TE chunked, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 501, "transfer-encoding"},
	{"TE identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501, "transfer-encoding"},
	{"TE with a parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", 501, "transfer-encoding"},
	{"TE quoted", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501, "transfer-encoding"},
	{"an empty TE", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 501, "transfer-encoding"},
	{"CONNECT with a length", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400, "connect-body"},
	{"CONNECT with chunks", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "connect-body"},
	{"a trailer announced that frames", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X, content-length\r\n\r\n", 400, "trailer"},
	{"a trailer announced that is no name", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n", 400, "trailer"},

	{"one field too many", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 11) + "\r\n", 431, "too-many-fields"},
	{"one byte too many", head(1025), 431, "too-large"},
	{"a field far too large", "GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 1<<20) + "\r\n\r\n", 431, "too-large"},
	{"a target far too large", "GET /" + strings.Repeat("b", 1<<20) + " HTTP/1.1\r\n\r\n", 431, "too-large"},
	{"a line that never ends", "GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 1<<20), 431, "too-large"},
}

// head is a head of so many bytes.
func head(size int) string {
	const begin, end = "GET / HTTP/1.1\r\nHost: a\r\nA: ", "\r\n\r\n"
	return begin + strings.Repeat("b", size-len(begin)-len(end)) + end
}

// goodHeads are heads that pass; none has a body.
var goodHeads = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a/b?c=d|{}\\ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET HTTP://a:80 HTTP/1.1\r\nHost: b\r\n\r\n",
	"GET http://[2001:db8::1]:80/%00%0a HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
	"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET //a/b HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"UPDATEREDIRECTREFXYZ / HTTP/1.1\r\nHost: a\r\n\r\n",
	"get / HTTP/1.1\r\nhOsT:\ta \r\nX:\r\nY: \x80\xff\tz\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum, ,\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 9) + "\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"CONNECT a:443 HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
	"CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n",
	head(1024),
}

func TestBadHeads(t *testing.T) {
	t.Parallel()
	for _, c := range badHeads {
		var h requestHead
		size, fault := h.step([]byte(c.head), testLimits.Head, testLimits.HeaderCount)
		if fault == nil || fault.Status != c.status || fault.Code != c.code || size != 0 {
			t.Errorf("%s: %d bytes pass, fault %v, want %d %s", c.name, size, fault, c.status, c.code)
			continue
		}
		for _, r := range fault.Detail {
			if r < ' ' || r > '~' {
				t.Errorf("%s: the detail %q is not plain text", c.name, fault.Detail)
			}
		}
	}
}

func TestGoodHeads(t *testing.T) {
	t.Parallel()
	for _, head := range goodHeads {
		checkHead(t, []byte(head))
		var h requestHead
		if size, fault := h.step([]byte(head), testLimits.Head, testLimits.HeaderCount); fault != nil || size != len(head) {
			t.Errorf("%.60q: %d bytes pass, fault %v", head, size, fault)
		}
		// One byte less is never enough.
		h = requestHead{}
		if size, fault := h.step([]byte(head[:len(head)-1]), testLimits.Head, testLimits.HeaderCount); fault != nil || size != 0 {
			t.Errorf("%.60q without its last byte: %d bytes pass, fault %v", head, size, fault)
		}
	}
}

func TestNoFieldIsRefusedWithoutReason(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		value := "GET / HTTP/1.1\r\nHost: a\r\nA: b" + string([]byte{byte(c)}) + "c\r\n\r\n"
		var h requestHead
		_, fault := h.step([]byte(value), 1024, 10)
		if want := c < ' ' && c != '\t' || c == 0x7f; (fault != nil) != want {
			t.Errorf("byte %#x in a value: %v", c, fault)
		}
		name := "GET / HTTP/1.1\r\nHost: a\r\nA" + string([]byte{byte(c)}) + "b: c\r\n\r\n"
		h = requestHead{}
		_, fault = h.step([]byte(name), 1024, 10)
		// A colon ends the name, which is then "A".
		if want := c != ':' && !strings.ContainsRune("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", rune(c)); (fault != nil) != want {
			t.Errorf("byte %#x in a name: %v", c, fault)
		}
	}
}

// checkHead fails if a head passes that net/http reads in another way, or that is not strictly one.
func checkHead(t *testing.T, b []byte) {
	t.Helper()
	var h requestHead
	size, fault := h.step(b, testLimits.Head, testLimits.HeaderCount)
	if size > len(b) || size > testLimits.Head || size > 0 && fault != nil {
		t.Fatalf("%q: %d bytes pass, fault %v", b, size, fault)
	}
	if size == 0 {
		return
	}
	head := string(b[:size])
	if !strings.HasSuffix(head, "\r\n\r\n") || strings.Count(head, "\r\n\r\n") != 1 {
		t.Errorf("%q is not one head", head)
	}
	if rest := strings.ReplaceAll(head, "\r\n", ""); strings.ContainsAny(rest, "\r\n\x00") {
		t.Errorf("%q passes with a bare CR or LF or a NUL", head)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatalf("%q passes, but net/http says: %v", head, err)
	}
	if !httpguts.ValidHostHeader(r.Header.Get("Host")) || r.ProtoAtLeast(1, 1) && !strings.Contains(strings.ToLower(head), "\r\nhost:") {
		t.Errorf("%q passes, but net/http answers it by itself for its Host", head)
	}
	if _, forged := FaultOf(r); forged {
		t.Errorf("%q passes as a fault", head)
	}
	chunked := len(r.TransferEncoding) == 1 && r.TransferEncoding[0] == "chunked"
	if chunked != (h.codings == 1) || !chunked && r.ContentLength != h.length || (r.Method == http.MethodConnect) != h.connect {
		t.Errorf("%q: net/http sees method %s, length %d, codings %q; the front %+v", head, r.Method, r.ContentLength, r.TransferEncoding, h)
	}
	line, _, _ := strings.Cut(head, "\r\n")
	if line != r.Method+" "+r.RequestURI+" HTTP/1."+strconv.Itoa(r.ProtoMinor) {
		t.Errorf("the request line %q is %s %s %s for net/http", line, r.Method, r.RequestURI, r.Proto)
	}
}

func FuzzHead(f *testing.F) {
	for _, c := range badHeads {
		if len(c.head) < 4096 {
			f.Add([]byte(c.head))
		}
	}
	for _, head := range goodHeads {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkHead(t, b)
		// Byte by byte it comes out the same.
		var whole, slow requestHead
		wholeSize, wholeFault := whole.step(b, testLimits.Head, testLimits.HeaderCount)
		for end := range len(b) + 1 {
			size, fault := slow.step(b[:end], testLimits.Head, testLimits.HeaderCount)
			if fault != nil || size > 0 {
				if size != wholeSize || (fault == nil) != (wholeFault == nil) || fault != nil && *fault != *wholeFault {
					t.Fatalf("%q: %d, %v as a whole, but %d, %v once %d bytes are there", b, wholeSize, wholeFault, size, fault, end)
				}
				return
			}
		}
		if wholeSize != 0 || wholeFault != nil {
			t.Fatalf("%q: %d, %v as a whole, but nothing byte by byte", b, wholeSize, wholeFault)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	head := []byte("GET http://updates.example/index/u1313g.xml?x=1 HTTP/1.1\r\nHost: updates.example\r\nUser-Agent: updater/1.0\r\n" +
		"Accept: */*\r\nAccept-Encoding: identity\r\nCache-Control: no-cache\r\nProxy-Connection: keep-alive\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		var h requestHead
		if size, fault := h.step(head, 64<<10, 100); size != len(head) || fault != nil {
			b.Fatal(size, fault)
		}
	}
}

func TestFaultTravels(t *testing.T) {
	t.Parallel()
	sent := badRequest("bare-lf", "a line ends with LF alone instead of CRLF")
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(sent.request())))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := FaultOf(r)
	if !ok || *got != *sent || !r.Close {
		t.Errorf("%v, %v, close %v", got, ok, r.Close)
	}
	var h requestHead
	if _, fault := h.step(sent.request(), 1024, 10); fault == nil || fault.Code != "reserved-field" {
		t.Errorf("a client can send it: %v", fault)
	}
	r.Header.Del(faultField)
	if got, ok := FaultOf(r); ok {
		t.Errorf("an ordinary request is the fault %v", got)
	}
}
