package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// maxResponseHead bounds the head of a response, and of the interim responses before it.
const maxResponseHead = 256 << 10

// newTransport goes to origins through the dialer and nowhere else. Idle bounds the wait for a response head, and for each
// further part of a response.
func newTransport(d *Dialer, idle time.Duration) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			name, port, err := host.ParseAuthority(addr)
			if err != nil {
				return nil, err
			}
			c, err := d.Dial(ctx, name, port)
			if err != nil {
				return nil, err
			}
			return &idleConn{TCPConn: c, idle: idle}, nil
		},
		DisableCompression:     true, // what the origin encoded stays as it is
		ForceAttemptHTTP2:      false,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  idle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHead,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// idleConn fails a read or write that makes no progress for the idle limit.
type idleConn struct {
	*net.TCPConn
	idle time.Duration
}

func (c *idleConn) Read(p []byte) (int, error) {
	if c.idle > 0 {
		_ = c.SetReadDeadline(time.Now().Add(c.idle))
	}
	return c.TCPConn.Read(p)
}

func (c *idleConn) Write(p []byte) (int, error) {
	if c.idle > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.idle))
	}
	return c.TCPConn.Write(p)
}

// originTripper sends one request to its origin: only what concerns the origin goes out, only what concerns the client comes
// back, and a failure becomes an answer that the client can read.
type originTripper struct {
	transport *http.Transport
	failed    func(*http.Request, *flow, error) *http.Response // told of every origin that gave no answer, it answers instead
}

func (t *originTripper) roundTrip(r *http.Request) (*http.Response, error) {
	f, _ := r.Context().Value(flowKey{}).(*flow)
	if f == nil {
		return nil, errors.New("a request reached the origin without having passed the gate")
	}
	upgrade := f.kind == "websocket"
	protocol := r.Proto
	stripHopByHop(r.Header)
	if upgrade {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
	}
	r.Header.Add("Via", strings.TrimPrefix(protocol, "HTTP/")+" gracegate")
	r.Close = false // that the client wants its connection closed says nothing about ours
	resp, err := t.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if a, ok := info.Conn.RemoteAddr().(*net.TCPAddr); ok {
				f.upstream = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
			}
		},
	})))
	if err != nil {
		if r.Context().Err() != nil {
			f.end("client")
			return nil, err
		}
		return t.failed(r, f, err), nil
	}
	f.status = resp.StatusCode
	stripResponse(resp, upgrade)
	if d := &f.ruling.Decision; d.State == policy.Grace || d.State == policy.Warn {
		if at, ok := d.NextBlock(); ok {
			resp.Header.Set("Sunset", at.UTC().Format(http.TimeFormat)) // RFC 8594
		}
	}
	return resp, nil
}

// stripResponse removes what concerns only the hop to the origin, and what would lead the client around the proxy.
func stripResponse(resp *http.Response, upgrade bool) {
	if upgrade && resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	trailer := resp.Trailer
	stripHopByHop(resp.Header)
	resp.Trailer = trailer
	resp.Header.Del("Alt-Svc")
	for _, field := range []string{"Host", "Content-Length", "Transfer-Encoding"} {
		resp.Trailer.Del(field)
	}
}
