package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// passed are the listeners that a service manager opened for this process (sd_listen_fds(3)). They take the place of those that
// the settings name.
type passed struct {
	proxies, socks, transparent []net.Listener
	admin                       net.Listener
}

// takePassed takes over what was passed. On an error the process has no use for the rest.
func takePassed() (passed, error) {
	var p passed
	for _, f := range activation.Files(true) {
		if err := p.take(f); err != nil {
			return p, err
		}
	}
	return p, nil
}

// take adds a socket to the listeners that its FileDescriptorName is for. One that was given no name is for the proxy: systemd
// then calls it by its unit or unknown, and the library by its number.
func (p *passed) take(f *os.File) error {
	defer f.Close() // the listener has a descriptor of its own
	name := f.Name()
	l, err := net.FileListener(f)
	if err == nil {
		if _, ok := l.(*net.TCPListener); !ok {
			_ = l.Close()
			err = fmt.Errorf("it listens on %s", l.Addr().Network())
		}
	}
	if err != nil {
		return invalid(fmt.Errorf("socket %q of the service manager is no TCP listener: %w", name, err), "write ListenStream=ADDRESS:PORT and Accept=no")
	}
	unnamed := name == "unknown" || strings.HasSuffix(name, ".socket") || strings.HasPrefix(name, "LISTEN_FD_")
	switch {
	case name == "proxy" || unnamed:
		p.proxies = append(p.proxies, l)
		return nil
	case name == "socks":
		p.socks = append(p.socks, l)
		return nil
	case name == "transparent":
		p.transparent = append(p.transparent, l)
		return nil
	case name == "admin" && p.admin == nil:
		p.admin = l
		return nil
	case name == "admin":
		err = fmt.Errorf("two sockets of the service manager are called admin: %s and %s", p.admin.Addr(), l.Addr())
	default:
		err = fmt.Errorf("socket %q of the service manager is for nothing here", name)
	}
	_ = l.Close()
	return invalid(err, "FileDescriptorName= is proxy, socks or transparent, any number of times, or admin, once")
}

// mayBeTransparent refuses transparent listeners on a system that cannot tell where connections were to go.
func mayBeTransparent(listeners int, supported bool, system string) error {
	if listeners == 0 || supported {
		return nil
	}
	return invalid(fmt.Errorf("listen.transparent: %s does not tell where a packet filter took a connection from", system),
		"transparent mode is for Linux; here clients are told of the proxy, for example by /proxy.pac")
}

// networkOf is the network on which an address is listened on. Left to itself, package net takes 0.0.0.0 for every address of IPv6, too.
func networkOf(addr string) string {
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// openListeners opens what the settings name and nobody passed.
func (g *gateway) openListeners(ctx context.Context) error {
	open := func(lc net.ListenConfig, setting, addr string) (net.Listener, error) {
		l, err := lc.Listen(ctx, networkOf(addr), addr)
		if err != nil {
			return nil, failed(fmt.Errorf("%s %q: %w", setting, addr, err), "another process may hold the port; choose another with "+setting)
		}
		return l, nil
	}
	g.proxies, g.socks, g.transparent, g.admin = g.passed.proxies, g.passed.socks, g.passed.transparent, g.passed.admin
	if g.admin != nil {
		if err := g.cfg.Admin.MayListen(g.admin.Addr().String()); err != nil {
			return invalid(fmt.Errorf("socket %q of the service manager: %w", "admin", err), "")
		}
	}
	for _, kind := range []struct {
		listeners *[]net.Listener
		setting   string
		addrs     []string
	}{
		{&g.proxies, "listen.proxy", g.cfg.Listen.Proxy},
		{&g.socks, "listen.socks", g.cfg.Listen.SOCKS},
		{&g.transparent, "listen.transparent", g.cfg.Listen.Transparent},
	} {
		if len(*kind.listeners) > 0 {
			continue
		}
		for _, addr := range kind.addrs {
			l, err := open(proxyListening(), kind.setting, addr)
			if err != nil {
				return err
			}
			*kind.listeners = append(*kind.listeners, l)
		}
	}
	if err := mayBeTransparent(len(g.transparent), transparentSupported, runtime.GOOS); err != nil {
		return err
	}
	if g.admin == nil && g.cfg.Listen.Admin != "" {
		l, err := open(net.ListenConfig{}, "listen.admin", g.cfg.Listen.Admin)
		if err != nil {
			return err
		}
		g.admin = l
	}
	return nil
}
