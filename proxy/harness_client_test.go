package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is a Go client that goes through the proxy, follows no redirects and decodes nothing.
func (r *rig) client() *http.Client {
	proxy := &url.URL{Scheme: "http", Host: r.addr}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), DisableCompression: true}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response, read whole.
type answer struct {
	*http.Response
	body string
	err  error // of the body
}

// get asks for a URL. Header holds names and values in turns.
func (r *rig) get(target string, header ...string) answer {
	r.t.Helper()
	return r.do(http.MethodGet, target, nil, header...)
}

func (r *rig) do(method, target string, body io.Reader, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, target, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := r.client().Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return readAnswer(resp)
}

func readAnswer(resp *http.Response) answer {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}
}

// want fails unless the answer has this status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status || a.err != nil {
		t.Fatalf("%s: status %d, %v, want %d\n%v\n%s", a.Request.URL, a.StatusCode, a.err, status, a.Header, a.body)
	}
	return a
}

// wire is a client that says what it likes.
type wire struct {
	*net.TCPConn
	t  *testing.T
	in *bufio.Reader
}

// wire connects to the proxy.
func (r *rig) wire() *wire {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &wire{TCPConn: c.(*net.TCPConn), t: r.t, in: bufio.NewReader(c)}
}

// Read reads what was not read yet.
func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

func (w *wire) send(s string) *wire {
	w.t.Helper()
	if _, err := io.WriteString(w.TCPConn, s); err != nil {
		w.t.Fatalf("sending %.80q: %v", s, err)
	}
	return w
}

// answer reads the response to a request of this method.
func (w *wire) answer(method string) answer {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method, URL: &url.URL{}})
	if err != nil {
		w.t.Fatalf("reading the answer: %v", err)
	}
	if method == http.MethodConnect && resp.StatusCode == http.StatusOK {
		return answer{Response: resp}
	}
	return readAnswer(resp)
}

// tunnel asks for a tunnel to an authority, and gets it.
func (r *rig) tunnel(authority string) *wire {
	r.t.Helper()
	w := r.wire()
	w.send("CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n\r\n").answer(http.MethodConnect).want(r.t, http.StatusOK)
	return w
}

// refused asks for a tunnel that is refused, and makes sure that the connection ends with the answer.
func (r *rig) refused(authority, header string, status int) answer {
	r.t.Helper()
	w := r.wire()
	a := w.send("CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n"+header+"\r\n").answer(http.MethodConnect).want(r.t, status)
	if end := w.end(); !errors.Is(end, io.EOF) {
		r.t.Errorf("after the refusal: %v, want the end", end)
	}
	return a
}

// end reads to the end and tells how it came: io.EOF for a clean one. Bytes that still came are passed over.
func (w *wire) end() error {
	_, err := io.Copy(io.Discard, w.in)
	if err == nil {
		return io.EOF
	}
	return err
}

// rest reads to the end, and returns what came.
func (w *wire) rest() (string, error) {
	b, err := io.ReadAll(w.in)
	return string(b), err
}

// expect reads exactly these bytes.
func (w *wire) expect(want string) {
	w.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(w.in, got); err != nil || string(got) != want {
		w.t.Fatalf("read %.200q, %v, want %.200q", got[:n], err, want)
	}
}

// reset closes with a reset instead of an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// isReset tells that a connection did not end cleanly.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// program runs a real client and returns what it printed and its exit code. It skips the test where the program is missing,
// unless CI says that nothing may be.
func program(t *testing.T, stdin, name string, args ...string) (out string, code int) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	// Nothing of the machine's own settings: neither proxies nor configuration files.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C"}
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return printed.String(), cmd.ProcessState.ExitCode()
}
