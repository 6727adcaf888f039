package proxy

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// TransparentSupported tells whether this system tells where a packet filter took a connection from.
const TransparentSupported = true

// originalDestination is where the client of an accepted connection sent its packets, whatever a packet filter did with them.
// The connection tracking knows it of what was redirected (REDIRECT, DNAT). What was handed over as it came (TPROXY), and what
// was sent here in the first place, has it as its local address.
func originalDestination(c *net.TCPConn) netip.AddrPort {
	a, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	local := unmap(a.AddrPort())
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}
	}
	to := local
	err = raw.Control(func(fd uintptr) {
		ask := trackedIPv6
		if local.Addr().Is4() { // on a socket for both families, too
			ask = trackedIPv4
		}
		if at, err := ask(int(fd)); err == nil {
			to = at
		}
	})
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
}

// trackedIPv4 asks for SO_ORIGINAL_DST. The option gives a sockaddr_in, for which there is no function; it fits into the one that
// is asked for here.
func trackedIPv4(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := got.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

// trackedIPv6 asks for IP6T_SO_ORIGINAL_DST, which has the same number.
func trackedIPv6(fd int) (netip.AddrPort, error) {
	got, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, unix.SO_ORIGINAL_DST)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], got.Addr.Port) // in the order of the network, whatever that of the machine
	return netip.AddrPortFrom(netip.AddrFrom16(got.Addr.Addr), binary.BigEndian.Uint16(port[:])), nil
}

// takeForeign has a listener take what is handed over by TPROXY: connections to addresses that this machine has not. Who opened
// the socket may have done so already.
func takeForeign(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT // either holds for both families of a socket that has both
		if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.To4() == nil {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
		}
		if failed = unix.SetsockoptInt(int(fd), level, option, 1); failed == nil {
			return
		}
		if on, err := unix.GetsockoptInt(int(fd), level, option); err == nil && on != 0 {
			failed = nil
		}
	})
	if err != nil {
		return err
	}
	return failed
}
