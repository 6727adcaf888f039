package divert_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// site is a client, the router in front of it, and the internet behind that:
//
//	client eth0 --- lan router wan --- eth0 internet
//
// and a guest, whose interface of the router is not one of the inner side. Whoever accepts a connection, or gets a datagram, answers
// with its name. The router listens as gracegate does too, on port 3129.
type site struct{ client, guest, router, internet *space }

// patience is for what must happen. What must not happen is refused, so that nobody waits for long.
const patience = 10 * time.Second

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{newSpace(t), newSpace(t), newSpace(t), newSpace(t)}
	s.router.run(t, `
		ip link add lan type veth peer name eth0 netns `+s.client.path+`
		ip link add guests type veth peer name eth0 netns `+s.guest.path+`
		ip link add wan type veth peer name eth0 netns `+s.internet.path+`
		ip link set lan up
		ip link set guests up
		ip link set wan up
		ip addr add 10.0.1.1/24 dev lan
		ip addr add 10.0.2.1/24 dev guests
		ip addr add 203.0.113.1/24 dev wan
		ip addr add fd00:1::1/64 dev lan nodad
		ip addr add fd00:2::1/64 dev guests nodad
		ip addr add 2001:db8:1::1/64 dev wan nodad
		ip route add default via 203.0.113.2
		ip route add default via 2001:db8:1::2`)
	s.router.set(t, "ipv4/ip_forward", "1")
	s.router.set(t, "ipv6/conf/all/forwarding", "1")
	s.router.set(t, "ipv4/icmp_ratelimit", "0") // one a second otherwise
	s.router.set(t, "ipv6/icmp/ratelimit", "0")
	s.client.run(t, host("10.0.1.2/24", "10.0.1.1", "fd00:1::2/64", "fd00:1::1"))
	s.guest.run(t, host("10.0.2.2/24", "10.0.2.1", "fd00:2::2/64", "fd00:2::1"))
	s.internet.run(t, host("203.0.113.2/24", "203.0.113.1", "2001:db8:1::2/64", "2001:db8:1::1"))
	s.internet.run(t, `
		ip addr add 198.51.100.7/32 dev lo
		ip addr add 8.8.8.8/32 dev lo
		ip addr add 192.168.9.9/32 dev lo
		ip addr add 2001:db8:7::7/128 dev lo nodad
		ip addr add 2001:4860:4860::8888/128 dev lo nodad
		ip addr add fd99::9/128 dev lo nodad`)
	for _, port := range []string{"53", "80", "443", "853", "8443"} {
		for _, addr := range []string{"198.51.100.7", "8.8.8.8", "192.168.9.9", "2001:db8:7::7", "2001:4860:4860::8888", "fd99::9", "203.0.113.2"} {
			s.internet.serve(t, net.JoinHostPort(addr, port), "internet")
		}
		for _, addr := range []string{"10.0.1.1", "203.0.113.1", "fd00:1::1", "2001:db8:1::1"} {
			s.router.serve(t, net.JoinHostPort(addr, port), "router")
		}
	}
	return s
}

func host(ipv4, router4, ipv6, router6 string) string {
	return `
		ip link set eth0 up
		ip addr add ` + ipv4 + ` dev eth0
		ip addr add ` + ipv6 + ` dev eth0 nodad
		ip route add default via ` + router4 + `
		ip route add default via ` + router6
}

// listen is what gracegate does: take connections to any address.
func (s *space) listen(t *testing.T, addr string) {
	t.Helper()
	transparent := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1) })
		return err
	}}
	s.accept(t, transparent, addr, "gracegate")
}

// serve answers on TCP and on UDP of one address.
func (s *space) serve(t *testing.T, addr, name string) {
	t.Helper()
	s.accept(t, net.ListenConfig{}, addr, name)
	var packets net.PacketConn
	var err error
	s.in(func() { packets, err = net.ListenPacket("udp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packets.Close() })
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte(name), from)
		}
	}()
}

// accept tells its name to each connection, and then echoes.
func (s *space) accept(t *testing.T, config net.ListenConfig, addr, name string) {
	t.Helper()
	var l net.Listener
	var err error
	s.in(func() { l, err = config.Listen(context.Background(), "tcp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, name)
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// dial opens a socket of the space. It stays with its family, as a literal address has only one.
func (s *space) dial(network, addr string) (c net.Conn, err error) {
	for range 5 { // on a busy machine a neighbour may not answer in time; the kernel waits some seconds before it says so
		s.in(func() { c, err = (&net.Dialer{Timeout: patience}).Dial(network, addr) })
		if !errors.Is(err, syscall.EHOSTUNREACH) {
			break
		}
	}
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// ask returns who answers, or "refused".
func (s *space) ask(network, addr string) string {
	c, err := s.dial(network, addr)
	if err == nil {
		defer c.Close()
		if network == "udp" {
			_, err = io.WriteString(c, "who is there?")
		}
	}
	if err == nil {
		return answer(c)
	}
	return fault(err)
}

func answer(c net.Conn) string {
	name := make([]byte, 64)
	n, err := c.Read(name)
	if err != nil {
		return fault(err)
	}
	return string(name[:n])
}

func fault(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	}
	return err.Error()
}
