//go:build !linux

package proxy

import "net"

// ListenConfig is for the listeners of a proxy.
func ListenConfig() net.ListenConfig { return net.ListenConfig{KeepAliveConfig: keepAlive} }

// inheritKeepAlive has nothing to do where accepted connections do not have their listener's options.
func inheritKeepAlive(*net.TCPListener) {}
