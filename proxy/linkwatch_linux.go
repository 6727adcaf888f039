package proxy

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// linkWatch hears from the kernel of every change of an interface or of an address (rtnetlink(7)). The zero value listens from the first
// question on. It is for one goroutine at a time.
type linkWatch struct {
	listens bool
	raw     syscall.RawConn // nil: the kernel does not tell
}

// changed tells whether something has changed since the last question. Where the kernel does not tell, nothing has.
func (w *linkWatch) changed() (changed bool) {
	if !w.listens {
		w.listens, w.raw = true, hearOfLinks()
	}
	if w.raw == nil {
		return false
	}
	_ = w.raw.Control(func(fd uintptr) { // the socket is never closed by hand
		var b [1]byte // what it was is not looked at: everything is read again
		for {
			_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
			switch {
			case err == nil, errors.Is(err, unix.ENOBUFS): // the latter stands for what there was no room for
				changed = true
			case !errors.Is(err, unix.EINTR):
				return
			}
		}
	})
	return changed
}

// hearOfLinks opens a socket to which the kernel tells changes; nil if that is not allowed.
func hearOfLinks() syscall.RawConn {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	socket := os.NewFile(uintptr(fd), "rtnetlink")
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}
	if err := unix.Bind(fd, to); err != nil {
		_ = socket.Close()
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		_ = socket.Close()
		return nil
	}
	return raw
}
