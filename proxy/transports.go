package proxy

import (
	"context"
	"net"
	"net/http"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gracegate/gracegate/policy/host"
)

// dialFunc connects to a host.
type dialFunc func(context.Context, host.Name, uint16) (*net.TCPConn, error)

// transports are the ways to origins. Each keeps connections for the next request to the same host and port.
type transports struct {
	plain     *http.Transport // to those without TLS
	socket    *http.Transport // likewise, for WebSockets: a parent is not asked for them by their URLs
	secure    *http.Transport // to those behind TLS
	secureOne *http.Transport // likewise, over HTTP/1.1 alone: only that has upgrades
}

func (t *transports) all() []*http.Transport {
	return []*http.Transport{t.plain, t.socket, t.secure, t.secureOne}
}

// closeIdle closes the connections that wait for another request.
func (t *transports) closeIdle() {
	for _, transport := range t.all() {
		transport.CloseIdleConnections()
	}
}

const (
	// maxStraight bounds the addresses to which connections are kept for further requests.
	maxStraight = 32

	// maxIdleStraight is how many each way to one of these keeps, so that all of them together keep as many as the ways to hosts do. It is
	// more than clients ask of one address at once: net/http makes room by closing the connection that was idle first, and fails a
	// request if an answer without a body has come over that one, but is not yet handed out.
	maxIdleStraight = maxIdleOrigins / maxStraight
)

// straightTransports are the ways to addresses that clients have dialled themselves. Each address has its own, since a transport tells
// connections apart by the host alone, and what a client says its host is must not lead to where another went.
type straightTransports struct {
	dial  dialFunc
	build func(dialFunc) *transports
	kept  *lru.Cache[hostPort, *transports]
}

func newStraightTransports(dial dialFunc, build func(dialFunc) *transports) *straightTransports {
	kept, err := lru.NewWithEvict(maxStraight, func(_ hostPort, t *transports) { t.closeIdle() })
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &straightTransports{dial: dial, build: build, kept: kept}
}

// to is the way to an address, whatever the host.
func (s *straightTransports) to(at hostPort) *transports {
	if t, ok := s.kept.Get(at); ok {
		return t
	}
	t := s.build(func(ctx context.Context, _ host.Name, _ uint16) (*net.TCPConn, error) {
		return s.dial(ctx, at.name, at.port)
	})
	for _, transport := range t.all() {
		transport.MaxIdleConns = maxIdleStraight
	}
	if first, ok, _ := s.kept.PeekOrAdd(at, t); ok { // another request was faster
		return first
	}
	return t
}

func (s *straightTransports) closeIdle() {
	for _, t := range s.kept.Values() {
		t.closeIdle()
	}
}
