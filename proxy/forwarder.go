package proxy

import (
	"fmt"
	"net/http"

	"github.com/elazarl/goproxy"
	"go.uber.org/zap"
)

// flowKey is the context key of the flow that a request belongs to.
type flowKey struct{}

// newForwarder sets goproxy up as the handler for plain requests that the gate has allowed. It decides nothing, dials nothing
// by itself, and never sees a CONNECT.
func newForwarder(road *originTripper, log *zap.Logger) http.Handler {
	p := goproxy.NewProxyHttpServer()
	// goproxy takes proxies from the environment unless told otherwise; this proxy goes straight, through its own dialer.
	p.Tr = road.plain
	p.ConnectDial, p.ConnectDialWithReq = nil, nil
	p.KeepAcceptEncoding = true
	p.Logger = goproxyLog{log.Named("goproxy")}
	p.NonproxyHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not a proxy request", http.StatusBadRequest)
	})
	p.OnRequest().DoFunc(func(r *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		stripRequest(r) // here, since goproxy itself drops Connection, and with it the names of other such fields
		ctx.RoundTripper = road
		return r, nil
	})
	// Without a terminal handler goproxy tunnels any CONNECT.
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return goproxy.RejectConnect, host
	})
	return p
}

// goproxyLog passes goproxy's own messages on for debugging; what matters is recorded elsewhere.
type goproxyLog struct{ log *zap.Logger }

func (l goproxyLog) Printf(format string, args ...any) {
	if ce := l.log.Check(zap.DebugLevel, ""); ce != nil {
		ce.Message = fmt.Sprintf("%.500q", fmt.Sprintf(format, args...))
		ce.Write()
	}
}

// RoundTrip makes originTripper goproxy's RoundTripper.
func (t *originTripper) RoundTrip(r *http.Request, _ *goproxy.ProxyCtx) (*http.Response, error) {
	return t.roundTrip(r)
}
