package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// When descriptors run out, idle connections to origins give up theirs, whichever lane keeps them.
func TestIdleConnectionsGiveUpTheirDescriptors(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 2)
	o := rawOrigin(t, func(c *net.TCPConn) {
		for readHead(c) != "" {
			_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
		}
		closed <- struct{}{}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	r.get("http://free.example/").want(t, http.StatusNoContent)
	r.do(http.MethodDelete, "http://free.example/", nil).want(t, http.StatusNoContent)
	r.notTaken(&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)})
	<-closed
	<-closed
	r.observed("limited descriptors")
}

func TestWantOfDescriptorsIsALimit(t *testing.T) {
	t.Parallel()
	err := &DialError{Reason: "other", err: os.NewSyscallError("socket", syscall.EMFILE)}
	why := failureOf(err)
	if a := why.refusal(); a.Status != http.StatusServiceUnavailable || a.Kind != "limit" || a.ID != "descriptors" {
		t.Errorf("%+v", a)
	}
	r := newRig(t, rigSetup{})
	if p := r.answers(why).render(asker{}, why.refusal()); p.header.Get("Retry-After") != "5" {
		t.Errorf("%v", p.header)
	}
	r.noteFailure(newPlainFlow(netip.MustParseAddrPort("127.0.0.1:1000"), "GET", host.MustParse("free.example"), 80, "/", "", "http://free.example/"), err)
	r.observed("limited descriptors")
}
