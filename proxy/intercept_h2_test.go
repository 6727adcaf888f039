package proxy

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framed is an HTTP/2 client inside of an intercepted connection that sends the frames it likes.
type framed struct {
	*http2.Framer
	t    *testing.T
	conn *tls.Conn
	head bytes.Buffer
	hp   *hpack.Encoder
}

func (l *looker) framed() *framed {
	l.t.Helper()
	c, err := l.secureTunnel(mixed+":443", mixed, "h2")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	f := &framed{Framer: http2.NewFramer(c, c), t: l.t, conn: c}
	f.hp, f.ReadMetaHeaders = hpack.NewEncoder(&f.head), hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		l.t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		l.t.Fatal(err)
	}
	return f
}

// block encodes fields, names and values in turns.
func (f *framed) block(fields ...string) []byte {
	f.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.hp.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(f.head.Bytes())
}

func (f *framed) get(stream uint32, authority, path string, more ...string) error {
	fields := append([]string{":method", "GET", ":scheme", "https", ":authority", authority, ":path", path}, more...)
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block(fields...), EndStream: true, EndHeaders: true})
}

// status reads up to the answer on a stream: a status, or the name of the frame that ends it.
func (f *framed) status(stream uint32) string {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "end"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return "RST_STREAM"
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return "GOAWAY " + frame.ErrCode.String()
			}
		}
	}
}

// TestInterceptHTTP2Hosts wants requests for other hosts refused, alone: the connection goes on.
func TestInterceptHTTP2Hosts(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	f := l.framed()
	stream := uint32(1)
	many := make([]string, 0, 400)
	for range 200 {
		many = append(many, "x-many", "1")
	}
	for _, tc := range []struct {
		authority, path string
		more            []string
		want            string
	}{
		{mixed, "/a", nil, "200"},
		{"example.org", "/a", nil, "421"},
		{"reports.acme.example", "/a", nil, "421"},
		{mixed + ":8443", "/a", nil, "421"},
		{mixed, "/v6/a", nil, "451"},
		{"a@" + mixed, "/a", nil, "RST_STREAM"}, // by net/http

		{mixed, "/a", []string{"host", "example.org"}, "400"},
		{mixed, "/a", []string{"x-gracegate-fault", "200 x y"}, "400"},
		{mixed, "/a", many, "431"},
		{mixed, "/b", nil, "200"},
	} {
		if err := f.get(stream, tc.authority, tc.path, tc.more...); err != nil {
			t.Fatalf("%v: %v", tc, err)
		}
		if got := f.status(stream); got != tc.want {
			t.Errorf("%s %s %.40v: %s, want %s", tc.authority, tc.path, tc.more, got, tc.want)
			if got == "end" || strings.HasPrefix(got, "GOAWAY") {
				f, stream = l.framed(), 1
				continue
			}
		}
		if strings.HasPrefix(tc.want, "4") && tc.want != "451" && tc.want != "421" { // it says that the connection closes
			f, stream = l.framed(), 1
			continue
		}
		stream += 2
	}
}

// A request without a body has none on its way to the origin, whatever it came by; one with a body keeps that.
func TestInterceptBodies(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	for _, http2 := range []bool{false, true} {
		for _, body := range []string{"", "some"} {
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
			seen := make(chan bool, 1)
			onward := l.plain
			l.plain = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen <- r.Body == http.NoBody
				onward.ServeHTTP(w, r)
			})
			r := newRequest(t, http.MethodOptions, "https://"+mixed+"/a") // which the fast lane leaves alone
			if body != "" {
				r.Body = io.NopCloser(strings.NewReader(body)) // of a length that is not told
			}
			l.ask(l.browser(http2), r).want(t, http.StatusOK)
			if none := <-seen; none != (body == "") {
				t.Errorf("HTTP/2 %v, a body of %q: it has none is %v", http2, body, none)
			}
		}
	}
}

// TestInterceptRapidReset wants the connection of a client ended that begins streams and resets them (CVE-2023-44487), and no
// others hurt.
func TestInterceptRapidReset(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	f := l.framed()
	go func() {
		for stream := uint32(1); stream < 200_000; stream += 2 {
			if f.get(stream, mixed, "/a") != nil || f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				return
			}
		}
	}()
	if got := f.status(1 << 30); got != "GOAWAY ENHANCE_YOUR_CALM" && got != "end" {
		t.Errorf("the client got %s", got)
	}
	l.look(l.browser(true), "https://"+mixed+"/v6/a").want(t, 451)
}

// TestInterceptContinuationFlood wants the connection ended of a client whose head never ends (CVE-2023-45288).
func TestInterceptContinuationFlood(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	f := l.framed()
	sent := make(chan int)
	go func() {
		n := 0
		defer func() { sent <- n }()
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(":method", "GET", ":scheme", "https", ":authority", mixed, ":path", "/")}) != nil {
			return
		}
		for ; n < 1<<14; n++ {
			if f.WriteContinuation(1, false, f.block("x-more", strings.Repeat("a", 4<<10))) != nil {
				return
			}
		}
	}()
	if got := f.status(1); got != "end" && got != "431" && !strings.HasPrefix(got, "GOAWAY") {
		t.Errorf("the client got %s", got)
	}
	_ = f.conn.NetConn().Close()
	if n := <-sent; n == 1<<14 {
		t.Error("the flood was read to its end")
	}
}
