package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/host"
)

func TestPassedSocketsMustBeTCP(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("no sockets are passed on this system")
	}
	datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	files := []*os.File{pipe}
	for _, socket := range []interface{ File() (*os.File, error) }{datagrams, local} {
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	var p passed
	for _, f := range files {
		if err := p.take(f); err == nil || !strings.Contains(err.Error(), "is no TCP listener") || len(p.proxies) > 0 {
			t.Errorf("%s: %v, %v", f.Name(), err, p.proxies)
		}
	}
}

// elsewhere is a listener that others can reach.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 9128} }

// To be handed the socket is no way around what an admin listener that others can reach needs.
func TestPassedAdminListenerNeedsAToken(t *testing.T) {
	t.Parallel()
	g := &gateway{cfg: config.Default(), passed: passed{proxies: []net.Listener{elsewhere{}}, admin: elsewhere{}}}
	err := g.openListeners(t.Context())
	const want = `socket "admin" of the service manager: listen.admin: "192.0.2.9:9128" is not loopback and needs admin.hosts and admin.token-file (or listen on 127.0.0.1)`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	name, err := host.Parse("gate.example")
	if err != nil {
		t.Fatal(err)
	}
	g.cfg.Admin.Hosts, g.cfg.Admin.TokenFile = []host.Name{name}, "token"
	if err := g.openListeners(t.Context()); err != nil {
		t.Error(err)
	}
}

// Every address of IPv4 is none of IPv6, and every address is one of both.
func TestEveryAddress(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here: ", err)
	} else {
		_ = l.Close()
	}
	g := &gateway{cfg: config.Default()}
	g.cfg.Listen = config.Listen{Proxy: []string{"0.0.0.0:0", ":0", "[::1]:0"}}
	if err := g.openListeners(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]bool{{"127.0.0.1": true, "::1": false}, {"127.0.0.1": true, "::1": true}, {"127.0.0.1": false, "::1": true}} {
		defer g.proxies[i].Close()
		_, port, err := net.SplitHostPort(g.proxies[i].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for addr, listens := range want {
			c, err := net.Dial("tcp", net.JoinHostPort(addr, port))
			if err == nil {
				_ = c.Close()
			}
			if (err == nil) != listens {
				t.Errorf("%s: %s: %v, listens %v", g.cfg.Listen.Proxy[i], addr, err, listens)
			}
		}
	}
}

func TestTransparentNeedsLinux(t *testing.T) {
	t.Parallel()
	if err := errors.Join(mayBeTransparent(0, false, "freebsd"), mayBeTransparent(2, true, "linux")); err != nil {
		t.Error(err)
	}
	err := mayBeTransparent(1, false, "freebsd")
	if err == nil || err.Error() != "listen.transparent: freebsd does not tell where a packet filter took a connection from" {
		t.Error(err)
	}
	var coded *codedError
	if !errors.As(err, &coded) || coded.code != exitInvalid || coded.hint == "" {
		t.Errorf("%+v", coded)
	}
}
