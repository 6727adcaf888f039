//go:build !linux

package proxy

import (
	"errors"
	"net"
	"net/netip"
)

// TransparentSupported tells whether this system tells where a packet filter took a connection from.
const TransparentSupported = false

func originalDestination(*net.TCPConn) netip.AddrPort { return netip.AddrPort{} }

func takeForeign(*net.TCPListener) error { return errors.ErrUnsupported }
