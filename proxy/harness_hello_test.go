package proxy

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// helloExt is an extension of a hello made by hand.
type helloExt struct {
	kind uint16
	data []byte
}

// sniExt names servers.
func sniExt(names ...string) helloExt {
	var list []byte
	for _, n := range names {
		list = append(list, 0)
		list = append(list, counted16([]byte(n))...)
	}
	return helloExt{0, counted16(list)}
}

// padExt is n bytes of padding (RFC 7685).
func padExt(n int) helloExt { return helloExt{21, make([]byte, n)} }

// greaseECH is an extension that looks like an encrypted hello (RFC 9849, section 6.2).
func greaseECH() helloExt {
	body := []byte{0, 0, 1, 0, 1, 7} // outer, HKDF-SHA256, AES-128-GCM, config 7
	body = append(body, counted16(make([]byte, 32))...)
	return helloExt{0xfe0d, append(body, counted16(make([]byte, 144))...)}
}

func counted16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// helloMessage is the handshake message of a hello.
func helloMessage(exts ...helloExt) []byte {
	body := slices.Concat([]byte{3, 3}, make([]byte, 32), []byte{0}, counted16([]byte{0x13, 0x01, 0xc0, 0x2f}), []byte{1, 0})
	var block []byte
	for _, e := range exts {
		block = binary.BigEndian.AppendUint16(block, e.kind)
		block = append(block, counted16(e.data)...)
	}
	body = append(body, counted16(block)...)
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// helloRecords spreads a message over records of at most size bytes.
func helloRecords(message []byte, size int) string {
	var out []byte
	for part := range slices.Chunk(message, size) {
		out = append(out, 22, 3, 1)
		out = append(out, counted16(part)...)
	}
	return string(out)
}

// helloFor is a lawful hello with a name.
func helloFor(name string) string { return helloRecords(helloMessage(sniExt(name)), 1<<14) }

// accessDenied is the alert that a refused client gets.
const accessDenied = "\x15\x03\x03\x00\x02\x02\x31"

// recordedHello is the hello that Go's client sends with this configuration.
func recordedHello(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	here, there := net.Pipe()
	go func() {
		_ = here.SetDeadline(time.Now().Add(patience))
		_ = tls.Client(here, cfg).HandshakeContext(t.Context())
		_ = here.Close()
	}()
	defer there.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(there, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(there, body); err != nil {
		t.Fatal(err)
	}
	return string(head) + string(body)
}

// sink is an origin that keeps what it gets, and answers each connection's first bytes with "seen".
type sink struct {
	*origin
	got *box[string] // what came on each connection that has ended
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{got: newBox[string]()}
	s.origin = rawOrigin(t, func(c *net.TCPConn) {
		var all []byte
		for buf := make([]byte, 64<<10); ; {
			n, err := c.Read(buf)
			if n > 0 && len(all) == 0 {
				_, _ = io.WriteString(c, "seen")
			}
			if all = append(all, buf[:n]...); err != nil {
				s.got.add(string(all))
				return
			}
		}
	})
	return s
}

// only waits for the end of a connection and returns what came on it.
func (s *sink) only(t *testing.T) string {
	t.Helper()
	return s.got.wait(t, "connection", func(string) bool { return true })
}
