package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sentOn returns what the origin gets of a request head.
func sentOn(t *testing.T, request string) string {
	t.Helper()
	got := make(chan string, 1)
	o := rawOrigin(t, func(c *net.TCPConn) {
		got <- readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	r.wire().send(request).answer(http.MethodGet).want(t, http.StatusNoContent)
	return <-got
}

func TestRequestFieldsOfThisHopEndHere(t *testing.T) {
	t.Parallel()
	head := sentOn(t, "GET http://free.example/p HTTP/1.1\r\n"+
		"Host: other.example\r\n"+
		"Connection: close, X-Hop, Cache-Control, Host, Content-Length\r\n"+
		"Connection: x-second\r\n"+
		"X-Hop: 1\r\n"+
		"X-Second: 2\r\n"+
		"Keep-Alive: timeout=5\r\n"+
		"Proxy-Connection: keep-alive\r\n"+
		"Proxy-Authorization: Basic c2VjcmV0\r\n"+
		"Proxy-Authenticate: Basic\r\n"+
		"Proxy: http://evil.example\r\n"+
		"Proxy-Foo: 1\r\n"+
		"TE: gzip, deflate;q=0.5\r\n"+
		"Upgrade: h2c\r\n"+
		"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"+
		"Via: 1.0 inner\r\n"+
		"Cache-Control: no-cache\r\n"+
		"Accept-Encoding: br, gzip\r\n"+
		"User-Agent: updater/1\r\n"+
		"Cookie: a=b\r\n"+
		"Authorization: Bearer t\r\n"+
		"X-Empty:\r\n"+
		"\r\n")
	want := []string{
		"GET /p HTTP/1.1", "Host: free.example", "User-Agent: updater/1", "Accept-Encoding: br, gzip", "Authorization: Bearer t",
		"Cache-Control: no-cache", "Cookie: a=b", "Via: 1.0 inner", "Via: 1.1 gracegate", "X-Empty: ",
	}
	got := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the origin got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNothingIsAddedToARequest(t *testing.T) {
	t.Parallel()
	head := sentOn(t, "GET http://free.example/ HTTP/1.0\r\n\r\n")
	if want := "GET / HTTP/1.1\r\nHost: free.example\r\nVia: 1.0 gracegate\r\n\r\n"; head != want {
		t.Errorf("the origin got %q, want %q", head, want)
	}
}

func TestResponseFieldsOfThisHopEndHere(t *testing.T) {
	t.Parallel()
	o := scriptedOrigin(t, "HTTP/1.1 200 OK\r\n"+
		"Connection: X-Hop\r\n"+
		"X-Hop: 1\r\n"+
		"Keep-Alive: timeout=5\r\n"+
		"Proxy-Connection: close\r\n"+
		"Proxy-Authenticate: Basic\r\n"+
		"Proxy-Foo: 1\r\n"+
		"Proxy-Status: gracegate; error=http_request_denied\r\n"+
		"Proxy-Status: inner; next-hop=a\r\n"+
		"Upgrade: h2c\r\n"+
		"Alt-Svc: h3=\":443\"\r\n"+
		"Via: 1.1 cdn\r\n"+
		"ETag: \"e\"\r\n"+
		"Set-Cookie: a=1\r\n"+
		"Set-Cookie: b=2\r\n"+
		"Date: Mon, 01 Jul 2024 00:00:00 GMT\r\n"+
		"Content-Length: 2\r\n"+
		"\r\nok")
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	for range 2 { // the client's connection stays
		a := w.send("GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK)
		var got []string
		for field, values := range a.Header {
			for _, v := range values {
				got = append(got, field+": "+v)
			}
		}
		want := []string{
			"Via: 1.1 cdn", "Via: 1.1 gracegate", `Etag: "e"`, "Set-Cookie: a=1", "Set-Cookie: b=2", "Date: Mon, 01 Jul 2024 00:00:00 GMT", "Content-Length: 2",
			"Proxy-Status: inner; next-hop=a",
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the client got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestAStatusThatIsNoneIsABadGateway(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"099 Odd", "000 Nothing", "999 Much"} {
		o := scriptedOrigin(t, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		r.send("http://free.example/", "free.example").want(t, http.StatusBadGateway)
	}
}

func TestRedirectIsPassedOnAndNotFollowed(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cloud.acme.example/x", http.StatusFound)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr, "cloud.acme.example": o.addr}})
	a := r.get("http://free.example/").want(t, http.StatusFound)
	if a.Header.Get("Location") != "http://cloud.acme.example/x" {
		t.Errorf("Location: %q", a.Header.Get("Location"))
	}
	if n := o.came.Load(); n != 1 {
		t.Errorf("%d connections to the origin", n)
	}
	r.get(a.Header.Get("Location")).want(t, http.StatusUnavailableForLegalReasons)
}

func TestEncodedBodiesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte("update "), 1000))
	_ = z.Close()
	asked := make(chan string, 3)
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- fmt.Sprint(r.Header["Accept-Encoding"])
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for _, c := range []struct{ header, want string }{{"", "[]"}, {"Accept-Encoding: gzip\r\n", "[gzip]"}, {"Accept-Encoding: zstd;q=1, br\r\n", "[zstd;q=1, br]"}} {
		a := r.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n"+c.header+"\r\n").answer(http.MethodGet).want(t, http.StatusOK)
		if got := <-asked; got != c.want {
			t.Errorf("the origin was asked for %s, want %s", got, c.want)
		}
		if a.body != packed.String() || a.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%d bytes, Content-Encoding %q", len(a.body), a.Header.Get("Content-Encoding"))
		}
	}
}

func TestRangesPass(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "u.bin", inGrace, strings.NewReader("0123456789"))
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	a := r.get("http://upd.acme.example/u.bin", "Range", "bytes=2-4").want(t, http.StatusPartialContent)
	if a.body != "234" || a.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("%q, %v", a.body, a.Header)
	}
	r.get("http://upd.acme.example/u.bin", "If-Modified-Since", inGrace.Format(http.TimeFormat)).want(t, http.StatusNotModified)
	r.clock.set(deadline)
	r.get("http://upd.acme.example/u.bin", "Range", "bytes=5-").want(t, http.StatusUnavailableForLegalReasons)
}

func TestTrailersPass(t *testing.T) {
	t.Parallel()
	o := scriptedOrigin(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n")
	unannounced := scriptedOrigin(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n")
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr, "silent.example": unannounced.addr}})
	for _, host := range []string{"free.example", "silent.example"} {
		if a := r.get("http://"+host+"/").want(t, http.StatusOK); a.body != "ok" || a.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%s: %q, trailers %v", host, a.body, a.Trailer)
		}
	}
}

func TestTrailersThatFrameAreDropped(t *testing.T) {
	t.Parallel()
	o := scriptedOrigin(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"+
		"Content-Length: 7\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nX-Sum: 42\r\n\r\n")
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	w.send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	got, err := w.rest()
	if _, trailers, _ := strings.Cut(got, "\r\n0\r\n"); err != nil || trailers != "X-Sum: 42\r\n\r\n" {
		t.Errorf("trailers %q, %v", trailers, err)
	}
}

func TestRequestTrailersPass(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	o := webOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body) + " " + r.Trailer.Get("X-Sum")
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	r.wire().send("PUT http://free.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n").
		answer(http.MethodPut).want(t, http.StatusOK)
	if s := <-got; s != "ok 42" {
		t.Errorf("the origin got %q", s)
	}
}

func TestTheEnvironmentNamesNoProxy(t *testing.T) {
	o := webOrigin(t, greet)
	trap := webOrigin(t, greet)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+trap.addr)
	}
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	r.get("http://free.example/").want(t, http.StatusOK)
	r.tunnel("free.example:443")
	if trap.came.Load() != 0 {
		t.Error("the proxy of the environment was asked")
	}
}
