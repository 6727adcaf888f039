package hello

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// server lets crypto/tls read in, and returns what it makes of the hello, or nil if it refuses.
func server(in []byte) *tls.ClientHelloInfo {
	var learned *tls.ClientHelloInfo
	stop := errors.New("enough")
	config := &tls.Config{GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		learned = info
		return nil, stop
	}}
	_ = tls.Server(tape{Reader: bytes.NewReader(in)}, config).Handshake()
	return learned
}

// tape is a connection that plays bytes and swallows the answer.
type tape struct {
	net.Conn // nil: any other use is a mistake of the test
	io.Reader
}

func (t tape) Read(p []byte) (int, error)     { return t.Reader.Read(p) }
func (tape) Write(p []byte) (int, error)      { return len(p), nil }
func (tape) Close() error                     { return nil }
func (tape) SetDeadline(time.Time) error      { return nil }
func (tape) SetWriteDeadline(time.Time) error { return nil }

// checkTwin wants the same facts as crypto/tls, wherever both call the bytes a hello. Bytes that
// crypto/tls takes for a hello are never NotTLS.
func checkTwin(tb testing.TB, in []byte) {
	tb.Helper()
	got, twin := Parse(in), server(in)
	if twin == nil {
		return
	}
	switch got.Kind {
	case NotTLS, Incomplete:
		tb.Fatalf("%+v, but crypto/tls reads a hello for %q", got, twin.ServerName)
	case Hello:
		protocols := twin.SupportedProtos[:min(len(twin.SupportedProtos), maxALPN)]
		if got.ServerName != twin.ServerName || !slices.Equal(got.ALPN, protocols) {
			tb.Fatalf("%+v, but crypto/tls reads %q %q", got, twin.ServerName, protocols)
		}
		if ech := slices.Contains(twin.Extensions, extECH); got.ECH && !ech {
			tb.Fatal("an encrypted hello that crypto/tls does not see")
		}
		if early := slices.Contains(twin.Extensions, extEarlyData); got.EarlyData != early {
			tb.Fatalf("early data is %v, crypto/tls sees %v", got.EarlyData, early)
		}
	case Unreadable:
	}
}

func inputs(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	for _, tc := range slices.Concat(readable(), unlawful(), clients(tb)) {
		all = append(all, tc.in)
	}
	return all
}

func TestTwin(t *testing.T) {
	t.Parallel()
	agreed := 0
	for _, in := range inputs(t) {
		checkTwin(t, in)
		if server(in) != nil && Parse(in).Kind == Hello {
			agreed++
		}
	}
	if agreed < 20 {
		t.Errorf("only %d inputs are a hello for both, the comparison means little", agreed)
	}
}

func FuzzParse(f *testing.F) {
	for _, in := range inputs(f) {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		checkTwin(t, in)
		info := Parse(in)
		if (info.Why == "") != (info.Kind == Hello || info.Kind == Incomplete) {
			t.Fatalf("%+v: a reason is for what is refused", info)
		}
		if info.Kind == Incomplete && len(in) >= MaxHeld {
			t.Fatalf("incomplete after %d bytes", len(in))
		}
		if info.Kind != Hello && (info.ServerName != "" || info.ALPN != nil || info.ECH || info.EarlyData) {
			t.Fatalf("%+v: facts without a hello", info)
		}
	})
}

// FuzzRead cuts the input into pieces of a size of the fuzzer's choice.
func FuzzRead(f *testing.F) {
	for i, in := range inputs(f) {
		f.Add(in, uint16(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		r := &pieces{rest: in, size: int(size) + 1}
		got, held, err := Read(r, nil)
		if want := Parse(in); !equal(got, want) {
			t.Fatalf("%+v, but at once %+v", got, want)
		}
		if (err != nil) != (got.Kind == Incomplete) {
			t.Fatalf("%+v with the error %v", got, err)
		}
		if !bytes.Equal(slices.Concat(held, r.rest), in) {
			t.Fatal("the held bytes and the rest are not what was sent")
		}
		if cap(held) > MaxHeld {
			t.Fatalf("%d bytes of memory", cap(held))
		}
	})
}

type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
