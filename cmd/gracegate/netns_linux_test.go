package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The addresses of a network. The client's are its way to the gateway; the outer ones are documentation addresses, so that a gateway
// reaches them only by upstream.allow.
const (
	clientIPv4, clientIPv6   = "10.77.1.2", "2001:db8:1::2"
	gatewayIPv4, gatewayIPv6 = "10.77.1.1", "2001:db8:1::1"
	outerIPv4, outerIPv6     = "203.0.113.1", "2001:db8:2::1" // the gateway's
	outerAllowed             = "203.0.113.0/24,2001:db8:2::/64"

	resolverIPv4, resolverIPv6 = "203.0.113.53", "2001:db8:2::53"
)

// network is a client and a gateway on an inner network, and an outer one behind the gateway, where a test puts its origins. It
// consists of network namespaces and goes away with the test.
type network struct {
	t                      *testing.T
	client, gateway, outer *namespace
	names                  map[string][]netip.Addr // what the resolver knows
}

// needNamespaces skips a test without root, or where a program is missing, unless CI says that nothing may be.
func needNamespaces(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, p := range append(programs, "ip") {
		if _, err := exec.LookPath(p); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		} else if err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// newNetwork makes a network in which these names are known, and every address of theirs is there. See needNamespaces.
func newNetwork(t *testing.T, names map[string][]string, programs ...string) *network {
	t.Helper()
	needNamespaces(t, append(programs, "nft")...)
	n := &network{t: t, names: make(map[string][]netip.Addr)}
	n.client, n.gateway, n.outer = newNamespace(t, "client"), newNamespace(t, "gateway"), newNamespace(t, "outer")
	n.client.link("eth0", n.gateway, "inner")
	n.gateway.link("outer", n.outer, "eth0")
	n.client.address("eth0", clientIPv4+"/24", clientIPv6+"/64")
	n.gateway.address("inner", gatewayIPv4+"/24", gatewayIPv6+"/64")
	n.gateway.address("outer", outerIPv4+"/24", outerIPv6+"/64")
	n.outer.address("eth0", resolverIPv4+"/24", resolverIPv6+"/64")
	n.client.ip("route", "add", "default", "via", gatewayIPv4)
	n.client.ip("route", "add", "default", "via", gatewayIPv6)
	// Were a packet to leave with the client's address, the answer to it would come back.
	n.outer.ip("route", "add", "10.77.1.0/24", "via", outerIPv4)
	n.outer.ip("route", "add", "2001:db8:1::/64", "via", outerIPv6)
	for name, addrs := range names {
		for _, text := range addrs {
			a := netip.MustParseAddr(text)
			n.names[name] = append(n.names[name], a)
			bits := 24
			if a.Is6() {
				bits = 64
			}
			n.outer.address("eth0", fmt.Sprintf("%s/%d", a, bits))
		}
	}
	n.gateway.write("/proc/sys/net/ipv4/ip_forward", "1")
	n.gateway.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
	n.resolve()
	n.client.resolver(resolverIPv4)
	return n
}

// filter puts a ruleset of nftables into force on the gateway.
func (n *network) filter(ruleset string) {
	n.t.Helper()
	cmd := n.gateway.command("nft", "--file", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("nft: %v\n%s\n%s", err, out, ruleset)
	}
}

// takeForeign has the gateway's system take packets with a mark for its own, whatever their address, as TPROXY wants it.
func (n *network) takeForeign(mark string) {
	n.t.Helper()
	for _, family := range []string{"-4", "-6"} {
		n.gateway.ip(family, "rule", "add", "fwmark", mark, "lookup", "100")
		n.gateway.ip(family, "route", "add", "local", "default", "dev", "lo", "table", "100")
	}
}

// serve runs a gateway there, and waits until it listens.
func (n *network) serve(binary string, texts []string, flags ...string) *process {
	n.t.Helper()
	command := append([]string{"ip", "netns", "exec", n.gateway.name}, n.gateway.wrapper...)
	p := launchBy(n.t, append(command, binary), texts, flags...)
	p.dial = n.gateway.dialContext
	return p
}

// listen is a listener on the outer network, closed with the test.
func (n *network) listen(addr string) net.Listener {
	n.t.Helper()
	var l net.Listener
	err := n.outer.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = l.Close() })
	return l
}

// origin serves HTTP on the outer network.
func (n *network) origin(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	n.t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
}

// stream hands every connection to an address on the outer network to serve, and closes it after that.
func (n *network) stream(addr string, serve func(c net.Conn)) {
	l := n.listen(addr)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c)
			}()
		}
	}()
}

// resolve answers questions of DNS for the names of the network, by UDP.
func (n *network) resolve() {
	n.t.Helper()
	var c net.PacketConn
	err := n.outer.do(func() (err error) {
		c, err = net.ListenPacket("udp", resolverIPv4+":53")
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	go func() {
		for buf := make([]byte, 4096); ; {
			size, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := n.answer(buf[:size]); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
}

func (n *network) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, errors.New("no question")
	}
	q := m.Questions[0]
	addrs, known := n.names[strings.TrimSuffix(q.Name.String(), ".")]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	m.Additionals = nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

// namespace is a machine of a network.
type namespace struct {
	t       *testing.T
	name    string
	wrapper []string // a command that runs the gateway there, such as one that takes privileges away
}

var namespaces atomic.Int64

func newNamespace(t *testing.T, role string) *namespace {
	t.Helper()
	ns := &namespace{t: t, name: fmt.Sprintf("gracegate-%d-%d-%s", os.Getpid(), namespaces.Add(1), role)}
	mustRun(t, exec.Command("ip", "netns", "add", ns.name))
	t.Cleanup(func() { mustRun(t, exec.Command("ip", "netns", "delete", ns.name)) })
	ns.ip("link", "set", "lo", "up")
	return ns
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// ip runs ip there.
func (ns *namespace) ip(args ...string) {
	ns.t.Helper()
	mustRun(ns.t, exec.Command("ip", append([]string{"-netns", ns.name}, args...)...))
}

// link lays a cable to another machine.
func (ns *namespace) link(name string, other *namespace, there string) {
	ns.t.Helper()
	ns.ip("link", "add", name, "type", "veth", "peer", "name", there, "netns", other.name)
	ns.ip("link", "set", "dev", name, "up")
	other.ip("link", "set", "dev", there, "up")
}

// address gives an interface addresses, which hold at once.
func (ns *namespace) address(link string, addrs ...string) {
	ns.t.Helper()
	for _, a := range addrs {
		args := []string{"address", "add", a, "dev", link}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		ns.ip(args...)
	}
}

// resolver has programs there ask a server for names: ip netns exec puts these files in the place of the machine's own.
func (ns *namespace) resolver(addr string) {
	ns.t.Helper()
	dir := filepath.Join("/etc/netns", ns.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		ns.t.Fatal(err)
	}
	ns.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range map[string]string{"resolv.conf": "nameserver " + addr + "\n", "nsswitch.conf": "hosts: dns\n", "hosts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			ns.t.Fatal(err)
		}
	}
}

// command is a program to run there, with nothing of the test's own environment but the path.
func (ns *namespace) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ns.t.Context(), "ip", append([]string{"netns", "exec", ns.name, name}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + ns.t.TempDir(), "LC_ALL=C"}
	return cmd
}

// run runs a program there to its end, and returns what it printed and its exit code.
func (ns *namespace) run(name string, args ...string) (out string, code int) {
	ns.t.Helper()
	cmd := ns.command(name, args...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		ns.t.Errorf("%v: %v", cmd, err)
		return "", -1
	}
	return printed.String(), cmd.ProcessState.ExitCode()
}

// do runs a function there, in a thread of its own. What it opens stays there; what it starts runs elsewhere.
func (ns *namespace) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := unix.Open(filepath.Join("/run/netns", ns.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// write writes a setting of the system there.
func (ns *namespace) write(name, value string) {
	ns.t.Helper()
	if err := ns.do(func() error { return os.WriteFile(name, []byte(value), 0o644) }); err != nil {
		ns.t.Fatal(err)
	}
}

// dialContext connects from there to an address.
func (ns *namespace) dialContext(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = ns.do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// hears connects from there to an address, and returns the first line that it is told.
func (ns *namespace) hears(addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ns.t.Context(), patience)
	defer cancel()
	c, err := ns.dialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	return bufio.NewReader(c).ReadString('\n')
}

// says connects from there to an address, says something, and returns all that comes back.
func (ns *namespace) says(addr, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ns.t.Context(), patience)
	defer cancel()
	c, err := ns.dialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	_ = c.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c)
	return string(all), err
}
