package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/devices"
)

// BenchmarkDevices is a small GET through the fast lane over loopback, with and without a table of devices: on connections that
// stay and on one for each request, governed and not.
func BenchmarkDevices(b *testing.B) {
	table := devices.New(devices.Config{Links: func(netip.Addr) []int { return []int{1} }})
	b.Cleanup(table.Close)
	for _, with := range []struct {
		name    string
		devices Devices
	}{{"none", nil}, {"table", table}} {
		for _, what := range []struct{ name, host string }{{"governed", "s01.upd.acme.example"}, {"ungoverned", "other.example"}} {
			for _, stays := range []bool{true, false} {
				name := with.name + "/" + what.name + "/kept"
				if !stays {
					name = with.name + "/" + what.name + "/fresh"
				}
				b.Run(name, func(b *testing.B) { benchGet(b, with.devices, what.host, stays) })
			}
		}
	}
}

func benchGet(b *testing.B, devices Devices, name string, stays bool) {
	b.Helper()
	clients, err := NewClients([]string{"loopback"})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Config{
		Policies: benchPolicies(b), Clock: func() Instant { return Instant{At: inGrace} }, Recorder: noRecorder{}, Observer: noObserver{},
		Dialer: NewDialer(DialConfig{
			Guard: NewGuard(nil, nobody), Timeout: patience,
			Hosts: []HostOverride{{Name: host.MustParse(name), Address: netip.MustParseAddrPort(benchOrigin(b))}},
		}),
		Clients: clients, Devices: devices, Ports: func(uint16) bool { return false }, Local: http.HandlerFunc(NotAProxyRequest), Log: zap.NewNop(),
		Head: 64 << 10, Headers: 100, Hello: patience, Idle: patience,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	request := "GET http://" + name + "/u.xml HTTP/1.1\r\nHost: " + name + "\r\n\r\n"
	var c net.Conn
	var in *bufio.Reader
	b.ReportAllocs()
	for b.Loop() {
		if c == nil || !stays {
			if c != nil {
				_ = c.Close()
			}
			if c, err = net.Dial("tcp", l.Addr().String()); err != nil {
				b.Fatal(err)
			}
			in = bufio.NewReader(c)
		}
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	_ = c.Close()
}

// benchOrigin answers every request with the same few bytes.
func benchOrigin(b *testing.B) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // until the gateway closes it
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nupdate"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
