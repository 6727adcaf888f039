package proxy

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The real clients that people have: they know nothing of this proxy but its address.

func TestCurlPlain(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			all, _ := io.ReadAll(r.Body) // the whole first: net/http does not do both at once
			_, _ = w.Write(all)
			return
		}
		greet(w, r)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	curl := func(args ...string) (string, int) {
		return program(t, "", "curl", append([]string{"-sS", "--max-time", "15", "-x", "http://" + r.addr}, args...)...)
	}
	out, code := curl("-i", "http://upd.acme.example/index.xml")
	if code != 0 || !strings.HasPrefix(out, "HTTP/1.1 200 OK\r\n") || !strings.Contains(out, "\r\nSunset: Sun, 29 Sep 2024 04:00:00 GMT\r\n") || !strings.HasSuffix(out, "hello from the origin") {
		t.Errorf("exit %d: %s", code, out)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("0123456789", 300_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"Expect: 100-continue", "Transfer-Encoding: chunked", "Expect:"} {
		out, code := curl("-H", header, "--data-binary", "@"+large, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "http://upd.acme.example/")
		if code != 0 || out != "200 3000000" {
			t.Errorf("%s: exit %d: %s", header, code, out)
		}
	}
	r.clock.set(deadline)
	out, code = curl("-f", "http://upd.acme.example/index.xml")
	if code != 22 || !strings.Contains(out, "451") {
		t.Errorf("exit %d: %s", code, out)
	}
	out, code = curl("-i", "http://upd.acme.example/index.xml")
	if code != 0 || !strings.HasPrefix(out, "HTTP/1.1 451 Unavailable For Legal Reasons\r\n") || !strings.Contains(out, `"restriction": "test-2024-001"`) {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code = curl("-I", "http://upd.acme.example/index.xml"); code != 0 || !strings.HasSuffix(out, "\r\n\r\n") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestCurlNoticesABrokenAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhalf",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		for _, version := range []string{"--http1.1", "--http1.0"} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				o := scriptedOrigin(t, answer)
				r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
				out, code := program(t, "", "curl", "-sS", version, "--max-time", "15", "-x", "http://"+r.addr, "http://free.example/")
				if code != 18 && code != 56 { // a partial file, a failure to receive
					t.Errorf("exit %d: %s", code, out)
				}
			})
		}
	}
}

func TestCurlThroughATunnel(t *testing.T) {
	t.Parallel()
	cfg, _, root := secureConfig(t)
	o := webServer(t, http.HandlerFunc(greet), cfg)
	roots := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(roots, root, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr, "free.example": o.addr}})
	curl := func(args ...string) (string, int) {
		return program(t, "", "curl", append([]string{"-sS", "--max-time", "15", "--cacert", roots, "-x", "http://" + r.addr}, args...)...)
	}
	for _, args := range [][]string{{}, {"--tls-max", "1.2"}, {"--proxy1.0", r.addr}} {
		if out, code := curl(append(args, "https://upd.acme.example/")...); code != 0 || out != "hello from the origin" {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	// The name in the hello is another one than that of the tunnel.
	out, code := curl("--connect-to", "cloud.acme.example:443:free.example:443", "https://cloud.acme.example/")
	if code != 35 || !strings.Contains(out, "access denied") {
		t.Errorf("exit %d: %s", code, out)
	}
	r.clock.set(deadline)
	out, code = curl("-w", "%{http_connect}", "https://upd.acme.example/")
	if code != 56 || !strings.HasSuffix(out, "451") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestWget(t *testing.T) {
	t.Parallel()
	cfg, _, root := secureConfig(t)
	secure := webServer(t, http.HandlerFunc(greet), cfg)
	plain := webOrigin(t, greet)
	roots := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(roots, root, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example:80": plain.addr, "upd.acme.example:443": secure.addr}})
	wget := func(url string) (string, int) {
		return program(t, "", "wget", "-q", "-O", "-", "--tries=1", "--timeout=15", "--content-on-error", "--ca-certificate="+roots,
			"-e", "use_proxy=yes", "-e", "http_proxy=http://"+r.addr, "-e", "https_proxy=http://"+r.addr, url)
	}
	for _, url := range []string{"http://upd.acme.example/", "https://upd.acme.example/"} {
		if out, code := wget(url); code != 0 || out != "hello from the origin" {
			t.Errorf("%s: exit %d: %s", url, code, out)
		}
	}
	r.clock.set(deadline)
	if out, code := wget("http://upd.acme.example/"); code != 8 || !strings.Contains(out, "test-2024-001") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := wget("https://upd.acme.example/"); code == 0 {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestOpenSSL(t *testing.T) {
	t.Parallel()
	cfg, _, _ := secureConfig(t)
	o := webServer(t, http.HandlerFunc(greet), cfg)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	client := func(args ...string) (string, int) {
		return program(t, "GET / HTTP/1.0\r\n\r\n", "openssl", append([]string{"s_client", "-proxy", r.addr, "-connect", "free.example:443", "-quiet", "-ign_eof"}, args...)...)
	}
	if out, _ := client("-servername", "free.example"); !strings.HasSuffix(out, "hello from the origin") {
		t.Errorf("%s", out)
	}
	if out, code := client("-servername", "cloud.acme.example"); code == 0 || !strings.Contains(out, "access denied") {
		t.Errorf("exit %d: %s", code, out)
	}
	// Sessions resume through the tunnel.
	session := filepath.Join(t.TempDir(), "session")
	first, _ := program(t, "GET / HTTP/1.0\r\n\r\n", "openssl", "s_client", "-proxy", r.addr, "-connect", "free.example:443", "-servername", "free.example", "-tls1_2", "-ign_eof", "-sess_out", session)
	second, _ := program(t, "GET / HTTP/1.0\r\n\r\n", "openssl", "s_client", "-proxy", r.addr, "-connect", "free.example:443", "-servername", "free.example", "-tls1_2", "-ign_eof", "-sess_in", session)
	if !strings.Contains(first, "New, TLSv1.2") || !strings.Contains(second, "Reused, TLSv1.2") {
		t.Errorf("first:\n%s\nsecond:\n%s", first, second)
	}
}

// A protocol in which the server speaks first, by a client that asks for it.
func TestCurlSMTP(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
		for buf := make([]byte, 1024); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			answer := "250 fine\r\n"
			if strings.HasPrefix(string(buf[:n]), "QUIT") {
				answer = "221 bye\r\n"
			}
			_, _ = io.WriteString(c, answer)
		}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"mail.example": o.addr}, change: func(c *Config) { c.Ports = func(p uint16) bool { return p == 25 } }})
	out, code := program(t, "", "curl", "-sS", "--max-time", "15", "-p", "-x", "http://"+r.addr, "smtp://mail.example:25/", "-X", "NOOP")
	if code != 0 || out != "250 fine\r\n" {
		t.Errorf("exit %d: %s", code, out)
	}
}
