package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// soakOrigins are where the load goes.
type soakOrigins struct {
	plain, secure *standIn
	echo          *standIn
	sockets       *standIn
	web           *http.Server
	roots         *x509.CertPool
}

// soakData is what answers are made of.
var soakData = func() []byte {
	data := make([]byte, 128<<10)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data)
	return data
}()

func newSoakOrigins(t *testing.T) *soakOrigins {
	t.Helper()
	secure, roots, err := newOriginTLS()
	if err != nil {
		t.Fatal(err)
	}
	o := &soakOrigins{roots: roots, echo: echoOrigin(t), web: &http.Server{Handler: http.HandlerFunc(soakAnswer), ReadHeaderTimeout: patience}}
	o.plain, o.secure = serveWeb(t, o.web, nil), serveWeb(t, o.web, secure)
	o.sockets = newStandIn(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, in)
	})
	return o
}

// serveWeb has a web server take a port of its own.
func serveWeb(t *testing.T, web *http.Server, secure *tls.Config) *standIn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &standIn{addr: l.Addr().String(), l: l}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	t.Cleanup(func() { _ = web.Close() })
	go func() { _ = web.Serve(l) }()
	return o
}

// hosts is the setting that leads the names of the load here.
func (o *soakOrigins) hosts() string {
	var list []string
	for name, to := range map[string]*standIn{
		"plain.example": o.plain, "dnl-01.geo.kaspersky.com": o.plain, "secure.example": o.secure, "s01.upd.kaspersky.com": o.secure,
		"echo.example": o.echo, "sockets.example": o.sockets,
	} {
		list = append(list, fmt.Sprintf(`{"name": %q, "address": %q}`, name, to.addr))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func (o *soakOrigins) close() {
	_ = o.web.Close()
	o.echo.close()
	o.sockets.close()
}

// soakAnswer gives as many bytes as the path says, or the check sum of an upload.
func soakAnswer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Asked", r.URL.RawQuery)
	if r.Method == http.MethodPost {
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, r.Body)
		_, _ = fmt.Fprintf(w, "%d %08x %v", n, sum.Sum32(), err)
		return
	}
	size, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || size > len(soakData) {
		http.Error(w, "how much?", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(soakData[:size])
}

// soakWork is one kind of load.
type soakWork struct {
	name    string
	workers int
	bytes   int64         // each moves
	pace    time.Duration // between two of a worker; 0: none
	begin   func() (*soakWorker, error)

	done, slowest atomic.Int64
}

// soakWorker does it with connections of its own.
type soakWorker struct {
	once func(i int) error // and checks what came of it; the number is another one each time
	end  func()
}

// run works until ctx ends. What is under way then is finished.
func (w *soakWork) run(ctx context.Context, s *soak) {
	worker, err := w.begin()
	if err != nil {
		s.lose(w.name, err)
		return
	}
	defer worker.end()
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		if err := worker.once(i); err != nil {
			s.lose(w.name, fmt.Errorf("number %d, after %v: %w", i, time.Since(began), err))
			return // the others go on, and one loss is enough
		}
		w.done.Add(1)
		if took := time.Since(began).Nanoseconds(); took > w.slowest.Load() {
			w.slowest.Store(took)
		}
		if w.pace > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(w.pace):
			}
		}
	}
}

func (s *soak) load() []*soakWork {
	const kib = 1 << 10
	return []*soakWork{
		{name: "GET 1 KiB, kept alive", workers: 8, bytes: kib, begin: s.gets("http://plain.example", kib, true)},
		{name: "GET 1 KiB, governed", workers: 2, bytes: kib, pace: 5 * time.Millisecond, begin: s.gets("http://dnl-01.geo.kaspersky.com", kib, true)},
		{name: "GET 100 KiB, kept alive", workers: 2, bytes: 100 * kib, begin: s.gets("http://plain.example", 100*kib, true)},
		{name: "POST 64 KiB", workers: 2, bytes: 64 * kib, begin: s.posts(64 * kib)},
		{name: "CONNECT, TLS, GET 1 KiB", workers: 2, bytes: kib, begin: s.gets("https://secure.example", kib, false)},
		{name: "CONNECT, TLS, governed", workers: 1, bytes: kib, pace: 5 * time.Millisecond, begin: s.gets("https://s01.upd.kaspersky.com", kib, false)},
		{name: "refusal by a rule", workers: 1, begin: s.refusals("GET http://games.example/ HTTP/1.1\r\nHost: games.example\r\n\r\n", http.StatusForbidden, "no-games")},
		{name: "refusal by the law", workers: 1, pace: time.Millisecond, begin: s.refusals("GET http://dnl-02.geo.kaspersky.com/ HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusUnavailableForLegalReasons, "us-icts-2021-002")},
		{name: "refusal of a CONNECT", workers: 1, pace: time.Millisecond, begin: s.refusals("CONNECT games.example:443 HTTP/1.1\r\nHost: games.example\r\n\r\n", http.StatusForbidden, "no-games")},
		{name: "word in an open tunnel", workers: 50, bytes: 100, pace: 100 * time.Millisecond, begin: s.words(echoTunnel)},
		{name: "bulk in an open tunnel", workers: 1, bytes: 2 * 1024 * kib, pace: 20 * time.Millisecond, begin: s.bulk(1024*kib, echoTunnel)},
		{name: "word in a WebSocket", workers: 5, bytes: 100, pace: 100 * time.Millisecond, begin: s.words(upgrade)},
	}
}

// gets asks for data, on a connection of its own that is kept, or each time on a new one.
func (s *soak) gets(base string, size int, keep bool) func() (*soakWorker, error) {
	return func() (*soakWorker, error) {
		client, got := s.client(keep), make([]byte, size+1)
		return &soakWorker{end: client.CloseIdleConnections, once: func(i int) error {
			resp, err := client.Get(fmt.Sprintf("%s/%d?%d", base, size, i))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			n, err := io.ReadFull(resp.Body, got)
			if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got[:n], soakData[:size]) || resp.StatusCode != http.StatusOK || resp.Header.Get("Asked") != strconv.Itoa(i) {
				return fmt.Errorf("status %d for %s, %d bytes of %d, %w", resp.StatusCode, resp.Header.Get("Asked"), n, size, err)
			}
			return nil
		}}, nil
	}
}

func (s *soak) posts(size int) func() (*soakWorker, error) {
	return func() (*soakWorker, error) {
		client := s.client(true)
		return &soakWorker{end: client.CloseIdleConnections, once: func(i int) error {
			at := i % (len(soakData) - size)
			body := soakData[at : at+size]
			resp, err := client.Post(fmt.Sprintf("http://plain.example/?%d", i), "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if want := fmt.Sprintf("%d %08x <nil>", size, crc32.ChecksumIEEE(body)); err != nil || string(got) != want {
				return fmt.Errorf("status %d, %.200q, want %q, %w", resp.StatusCode, got, want, err)
			}
			return nil
		}}, nil
	}
}

func (s *soak) client(keep bool) *http.Client {
	transport := &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: s.gateway.proxy}),
		TLSClientConfig:    &tls.Config{RootCAs: s.origins.roots},
		DisableKeepAlives:  !keep,
		DisableCompression: true,
	}
	return &http.Client{Transport: transport, Timeout: patience}
}

// refusals sends the same each time, on a connection as long as it is kept.
func (s *soak) refusals(request string, status int, id string) func() (*soakWorker, error) {
	method, _, _ := strings.Cut(request, " ")
	return func() (*soakWorker, error) {
		var c net.Conn
		var in *bufio.Reader
		end := func() {
			if c != nil {
				_ = c.Close()
			}
		}
		return &soakWorker{end: end, once: func(int) (err error) {
			if c == nil {
				if c, err = net.Dial("tcp", s.gateway.proxy); err != nil {
					return err
				}
				in = bufio.NewReader(c)
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(c, request); err != nil {
				return err
			}
			resp, err := http.ReadResponse(in, &http.Request{Method: method})
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != status || !strings.Contains(string(body), id) {
				return fmt.Errorf("status %d, want %d with %s: %.300s, %w", resp.StatusCode, status, id, body, err)
			}
			if resp.Close {
				_ = c.Close()
				c = nil
			}
			return nil
		}}, nil
	}
}

// words says something on a connection that stays open all the time, and hears it again.
func (s *soak) words(open func(c net.Conn) error) func() (*soakWorker, error) {
	return func() (*soakWorker, error) {
		c, err := s.dial(open)
		if err != nil {
			return nil, err
		}
		got := make([]byte, 100)
		return &soakWorker{end: func() { _ = c.Close() }, once: func(i int) error {
			at := i % 1000
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write(soakData[at : at+len(got)]); err != nil {
				return err
			}
			if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, soakData[at:at+len(got)]) {
				return fmt.Errorf("%d bytes came back of %d, or others, %w", n, len(got), err)
			}
			return nil
		}}, nil
	}
}

// bulk is the same with more bytes than fit anywhere on the way.
func (s *soak) bulk(size int, open func(c net.Conn) error) func() (*soakWorker, error) {
	return func() (*soakWorker, error) {
		c, err := s.dial(open)
		if err != nil {
			return nil, err
		}
		data, got := bytes.Repeat(soakData, size/len(soakData)), make([]byte, size)
		return &soakWorker{end: func() { _ = c.Close() }, once: func(int) error {
			_ = c.SetDeadline(time.Now().Add(patience))
			wrote := make(chan error, 1)
			go func() {
				_, err := c.Write(data)
				wrote <- err
			}()
			_, err := io.ReadFull(c, got)
			if err := errors.Join(err, <-wrote); err != nil {
				return err
			}
			if !bytes.Equal(got, data) {
				return errors.New("other bytes came back")
			}
			return nil
		}}, nil
	}
}

// dial opens a connection that stays.
func (s *soak) dial(open func(c net.Conn) error) (net.Conn, error) {
	c, err := net.Dial("tcp", s.gateway.proxy)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := open(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// echoTunnel opens a tunnel to an echo.
func echoTunnel(c net.Conn) error { return connect(c, "echo.example:443") }

// upgrade opens a WebSocket.
func upgrade(c net.Conn) error {
	_, err := io.WriteString(c, "GET http://sockets.example/ HTTP/1.1\r\nHost: sockets.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return err
	}
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		if _, err := c.Read(b); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("%q", head)
	}
	return nil
}
