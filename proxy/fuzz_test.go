package proxy

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// The target is read by net/http, for the request that goes on, and by target, for the policy and the dial. Where the front
// lets a request through and target takes it, both must mean the same host and port.
func FuzzTarget(f *testing.F) {
	for _, h := range oddHosts {
		f.Add("http://" + h + "/")
		f.Add("http://" + h)
	}
	for _, seed := range []string{
		"http://free.example/", "HTTP://FREE.example.:80?q#f", "http://[::1]:8080/a", "http://free.example/http://evil.example/", "/path", "*", "//x/",
		"http://free.example\\@evil.example/", "http://free.example?@evil.example/", "http://bücher.example/", "http://a:00080/", "http:/x", "http:opaque", "http://a@b/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		head := "GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n"
		if size, fault := new(requestHead).step([]byte(head), 64<<10, 100); fault != nil || size != len(head) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			t.Fatalf("the front lets %q through, net/http does not: %v", head, err)
		}
		name, port, err := target(r)
		if err != nil {
			return
		}
		theirs, theirPort, err := host.ParseAuthority(r.URL.Host)
		if theirPort == 0 {
			theirPort = 80
		}
		if err != nil || theirs != name || theirPort != port || r.URL.User != nil || !r.URL.IsAbs() || r.URL.Scheme != "http" {
			t.Errorf("%q is %s port %d for us, but %s port %d, %v, for net/http: %+v", uri, name, port, theirs, theirPort, err, r.URL)
		}
	})
}

// A reason of any text makes one well-formed field of ASCII (RFC 8941, section 3.3.3).
func FuzzProxyStatus(f *testing.F) {
	for _, seed := range []string{"", "plain", `"quoted" \ and more`, "line\r\nSet-Cookie: a=b", "Bücher\x00\x7f", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, details string) {
		got := proxyStatus("http_request_denied", details)
		inner, ok := strings.CutPrefix(got, `gracegate; error=http_request_denied; details="`)
		inner, closed := strings.CutSuffix(inner, `"`)
		if !ok || !closed {
			t.Fatalf("%q", got)
		}
		for i := 0; i < len(inner); i++ {
			switch c := inner[i]; {
			case c < ' ' || c > '~' || c == '"':
				t.Fatalf("%q: a %q stands unescaped", got, c)
			case c == '\\':
				if i++; i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
					t.Fatalf("%q: a backslash escapes nothing", got)
				}
			}
		}
		_ = sentence(details)
	})
}
