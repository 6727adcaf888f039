package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// Parent is a proxy that a Dialer goes through. Where it is, is the operator's word: its address is not judged by the Guard.
type Parent struct {
	Name           host.Name
	Port           uint16
	User, Password string // with which this gateway logs in there (Basic); without a User it does not
}

const (
	// maxParentHead bounds what a parent may answer to CONNECT, interim answers included.
	maxParentHead = 16 << 10

	// ownName is what this gateway calls itself to others.
	ownName = "gracegate"
)

// parentError tells what is wrong with the parent. Its text is safe to be shown to clients: it does not tell where the parent is.
type parentError struct {
	what   string // follows "the parent proxy of this gateway"
	status int    // that it answered with, if that was the problem
	err    error  // what the system says; may be nil
}

func (e *parentError) Error() string { return "the parent proxy of this gateway " + e.what }
func (e *parentError) Unwrap() error { return e.err }

// reason is the label in metrics and records.
func (e *parentError) reason() string {
	if e.status > 0 {
		return "parent-refused"
	}
	return "parent"
}

// errLoop is for a request that was here before.
var errLoop = &parentError{what: "leads back here"}

func parentRefused(status int) *parentError {
	return &parentError{what: strings.TrimSpace(fmt.Sprintf("answered with the status %d %s", status, http.StatusText(status))), status: status}
}

// pseudonymFor is how a gateway calls itself in Via. With a parent, which could lead back here, it is one that no other has.
func pseudonymFor(parent *Parent) string {
	if parent == nil {
		return ownName
	}
	return ownName + "-" + rand.Text()[:12]
}

// loops tells whether a message, by its Via, was here before. Without a parent none was.
func (d *Dialer) loops(via []string) bool {
	return d.parent != nil && slices.ContainsFunc(via, func(v string) bool { return strings.Contains(v, d.pseudonym) })
}

// viaParent tells whether the way to a host leads through the parent. The error is a [*GuardError], for an address that is not to be reached.
func (d *Dialer) viaParent(name host.Name, port uint16) (bool, error) {
	if d.parent == nil {
		return false, nil
	}
	if _, straight := d.override(name, port); straight {
		return false, nil
	}
	if addr, ok := KnownAddr(name); ok {
		if err := d.check(netip.AddrPortFrom(addr, port)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// KnownAddr is the address of a host that needs no look-up: of an address, and of localhost, which no resolver may lead elsewhere (RFC
// 6761, section 6.3).
func KnownAddr(name host.Name) (netip.Addr, bool) {
	if text := name.String(); text == "localhost" || strings.HasSuffix(text, ".localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return name.Addr()
}

// isParent tells whether an address is the parent's, as far as that was dialled. What a packet filter sends here from there would be sent
// back, and so on.
func (d *Dialer) isParent(addr netip.Addr) bool {
	at := d.parentAt.Load()
	return at != nil && slices.ContainsFunc(*at, func(a netip.AddrPort) bool { return a.Addr() == addr })
}

// dialParent connects to the parent, to ask it for plain requests. The error is a [*DialError].
func (d *Dialer) dialParent(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	conn, err := d.reachParent(ctx)
	if err != nil {
		return nil, dialError(ctx, "", err)
	}
	return conn, nil
}

// reachParent connects to the parent. The error is a [*parentError].
func (d *Dialer) reachParent(ctx context.Context) (*net.TCPConn, error) {
	var addrs []netip.AddrPort
	if to, ok := d.override(d.parent.Name, d.parent.Port); ok {
		addrs = append(addrs, to)
	} else {
		resolved, err := d.resolve(ctx, d.parent.Name)
		if err != nil {
			return nil, &parentError{what: "could not be reached: its name could not be resolved", err: err}
		}
		for _, a := range resolved[:min(len(resolved), maxTries)] {
			addrs = append(addrs, netip.AddrPortFrom(a, d.parent.Port))
		}
	}
	d.parentAt.Store(&addrs)
	conn, err := race(ctx, addrs, tryDelay, func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
		if err := d.checkListener(to); err != nil {
			return nil, err
		}
		return connect(ctx, to, d.checkListener)
	})
	if _, own := errors.AsType[*GuardError](err); own {
		return nil, errLoop
	}
	if err != nil {
		return nil, &parentError{what: "could not be reached", err: err}
	}
	return conn, nil
}

// dialThrough connects to a host by way of the parent, with CONNECT (RFC 9110, section 9.3.6).
func (d *Dialer) dialThrough(ctx context.Context, name host.Name, port uint16) (*net.TCPConn, error) {
	if _, err := d.viaParent(name, port); err != nil {
		return nil, err
	}
	conn, err := d.reachParent(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = d.askFor(conn, host.Join(name, port))
	if err == nil && !stop() { // its time was up just then, and a deadline is or will be set
		err = &parentError{what: "did not answer in time", err: context.Cause(ctx)}
	}
	if err != nil {
		stop()
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// askFor has the parent connect to an authority.
func (d *Dialer) askFor(conn net.Conn, authority string) error {
	request := "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\nVia: 1.1 " + d.pseudonym + "\r\n" + d.login + "\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		return &parentError{what: "broke off", err: err}
	}
	left := maxParentHead
	for {
		head, err := readHeadAlone(conn, left)
		if err != nil {
			return err
		}
		left -= len(head)
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodConnect})
		if err != nil {
			return &parentError{what: "gave an answer that is none", err: err}
		}
		_ = response.Body.Close() // it has none, or one that nobody reads
		switch status := response.StatusCode; {
		case response.ProtoMajor != 1:
			return &parentError{what: "gave an answer that is none"}
		case status/100 == 2:
			return nil
		case status/100 == 1 && status != http.StatusSwitchingProtocols: // the answer is yet to come
		default:
			return parentRefused(status)
		}
	}
}

// readHeadAlone reads a head byte by byte: what comes behind it is of the origin, which may be the first to speak. Heads are short here.
func readHeadAlone(conn net.Conn, most int) ([]byte, error) {
	head := make([]byte, 0, 256)
	for one := make([]byte, 1); len(head) < most; {
		if _, err := conn.Read(one); err != nil {
			return nil, &parentError{what: "broke off", err: err}
		}
		head = append(head, one[0])
		if one[0] == '\n' && (bytes.HasSuffix(head, []byte("\n\r\n")) || bytes.HasSuffix(head, []byte("\n\n"))) {
			return head, nil
		}
	}
	return nil, &parentError{what: "gave too long an answer"}
}

// authorization is the field with which this gateway logs in there, as a line, or nothing.
func (p *Parent) authorization() string {
	if p == nil || p.User == "" {
		return ""
	}
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.User+":"+p.Password)) + "\r\n"
}

// url is the parent as net/http takes it.
func (p *Parent) url() *url.URL {
	u := &url.URL{Scheme: "http", Host: host.Join(p.Name, p.Port)}
	if p.User != "" {
		u.User = url.UserPassword(p.User, p.Password)
	}
	return u
}

// newParentTransport is newTransport for plain requests, for which the parent is asked by their absolute URLs: many let CONNECT through
// to port 443 alone.
func (s *Server) newParentTransport() *http.Transport {
	d := s.cfg.Dialer
	t := newTransport(func(ctx context.Context, name host.Name, port uint16) (*net.TCPConn, error) {
		if name == d.parent.Name && port == d.parent.Port {
			return s.dialParent(ctx)
		}
		return s.dial(ctx, name, port)
	}, s.cfg.Idle)
	way := d.parent.url()
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		name, port, err := host.ParseAuthority(r.URL.Host)
		if err != nil {
			return nil, err
		}
		if port == 0 {
			port = 80
		}
		if via, err := d.viaParent(name, port); err != nil || !via {
			return nil, err
		}
		return way, nil
	}
	return t
}

// parentKey is the parent among the origins that connections are kept to.
func (d *Dialer) parentKey() originKey {
	return originKey{hostPort: hostPort{d.parent.Name, d.parent.Port}, parent: true}
}

// dialParent is dial for the parent itself.
func (s *Server) dialParent(ctx context.Context) (*net.TCPConn, error) {
	return s.againWithRoom(func() (*net.TCPConn, error) { return s.cfg.Dialer.dialParent(ctx) })
}

// looped answers a request that was here before.
func (s *Server) looped(w http.ResponseWriter, r *http.Request, f *flow) bool {
	if !s.cfg.Dialer.loops(r.Header["Via"]) {
		return false
	}
	s.judge(f)
	s.unreachable(w, askerOf(r), f, dialError(r.Context(), "", errLoop))
	return true
}
