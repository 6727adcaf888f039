package proxy

import (
	"net"
	"syscall"
	"time"
)

// ListenConfig is for the listeners of a proxy. Keep-alive is not set for each connection, which would take four system calls:
// Serve sets it on the listener.
func ListenConfig() net.ListenConfig { return net.ListenConfig{KeepAlive: -1} }

// inheritKeepAlive has accepted connections probe silent clients: Linux hands the options of a listener on to them.
func inheritKeepAlive(l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // a failure leaves clients that vanish to the idle limit
		for _, option := range []struct{ level, name, value int }{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive.Idle / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive.Interval / time.Second)},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAlive.Count},
		} {
			_ = syscall.SetsockoptInt(int(fd), option.level, option.name, option.value)
		}
	})
}
