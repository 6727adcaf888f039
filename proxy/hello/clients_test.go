package hello

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// wire records what a TLS client says first; the client then meets an end.
type wire struct {
	net.Conn // nil: any other use is a mistake of the test
	bytes.Buffer
}

func (w *wire) Write(p []byte) (int, error)      { return w.Buffer.Write(p) }
func (w *wire) Read([]byte) (int, error)         { return 0, io.EOF }
func (w *wire) Close() error                     { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// firstBytes returns what a client with this configuration sends first.
func firstBytes(tb testing.TB, config *tls.Config) []byte {
	tb.Helper()
	var w wire
	if err := tls.Client(&w, config).Handshake(); err == nil || w.Len() == 0 {
		tb.Fatalf("the client sent %d bytes and got the error %v", w.Len(), err)
	}
	return w.Bytes()
}

// clients are hellos of real clients, and what must be read in them.
func clients(tb testing.TB) []testCase {
	tb.Helper()
	named := Info{Kind: Hello, ServerName: name}
	return []testCase{
		{"Go", firstBytes(tb, &tls.Config{ServerName: name}), named},
		{"Go with protocols", firstBytes(tb, &tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}}), Info{Kind: Hello, ServerName: name, ALPN: []string{"h2", "http/1.1"}}},
		{"Go to an address", firstBytes(tb, &tls.Config{ServerName: "192.0.2.7"}), Info{Kind: Hello}},
		{"Go post-quantum only", firstBytes(tb, &tls.Config{ServerName: name, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}), named},
		{"Go classical curves", firstBytes(tb, &tls.Config{ServerName: name, CurvePreferences: []tls.CurveID{tls.X25519}}), named},
		{"Go TLS 1.2", firstBytes(tb, &tls.Config{ServerName: name, MaxVersion: tls.VersionTLS12}), named},
		{"Go TLS 1.0", firstBytes(tb, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}), named},
		{"Go resuming TLS 1.3", resumed(tb, tls.VersionTLS13), named},
		{"Go resuming TLS 1.2", resumed(tb, tls.VersionTLS12), named},
		{"Go with encrypted hello", firstBytes(tb, &tls.Config{ServerName: name, EncryptedClientHelloConfigList: echConfigList(tb, "public.example")}), Info{Kind: Hello, ServerName: "public.example", ECH: true}},
	}
}

func TestParseClients(t *testing.T) {
	t.Parallel()
	for _, tc := range clients(t) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := Parse(tc.in); !equal(got, tc.want) {
				t.Errorf("Parse gives %+v, want %+v", got, tc.want)
			}
			for i := range tc.in {
				if got := Parse(tc.in[:i]); got.Kind != Incomplete {
					t.Fatalf("after %d of %d bytes: %+v, want incomplete", i, len(tc.in), got)
				}
			}
		})
	}
}

func TestPostQuantumHelloIsLarge(t *testing.T) {
	t.Parallel()
	in := firstBytes(t, &tls.Config{ServerName: name})
	if len(in) < 1400 || len(in) > firstBuffer {
		t.Errorf("%d bytes; want more than one segment of Ethernet, and no more than the first buffer", len(in))
	}
}

// resumed returns the hello with which a client comes back to a server it knows.
func resumed(tb testing.TB, version uint16) []byte {
	tb.Helper()
	client := &tls.Config{
		ServerName: name, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	listener := listen(tb)
	certificate := selfSigned(tb)
	served := make(chan error, 1)
	go func() {
		served <- serveOne(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}()
	dialer := &tls.Dialer{Config: client}
	conn, err := dialer.DialContext(tb.Context(), "tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // reads the session ticket on its way
		tb.Fatal(err)
	}
	if err := <-served; err != nil {
		tb.Fatal(err)
	}

	first, again := firstBytes(tb, &tls.Config{ServerName: name, MinVersion: version, MaxVersion: version}), firstBytes(tb, client)
	if len(again) < len(first)+50 {
		tb.Fatalf("the hello of %d bytes resumes nothing, a first one has %d", len(again), len(first))
	}
	return again
}

// serveOne takes one connection and writes one byte to it.
func serveOne(listener net.Listener, config *tls.Config) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = tls.Server(conn, config).Write([]byte("x"))
	return err
}

// listen returns a listener on loopback that ends with the test.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return listener
}

func selfSigned(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// echConfigList is an ECHConfigList (RFC 9849, section 4) with one key, for a provider's public name.
func echConfigList(tb testing.TB, public string) []byte {
	tb.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	contents := cat(
		[]byte{7, 0, 0x20}, // config id, DHKEM(X25519, HKDF-SHA256)
		vector16(key.PublicKey().Bytes()),
		vector16([]byte{0, 1, 0, 1}), // HKDF-SHA256 with AES-128-GCM
		[]byte{64},                   // longest name
		vector8([]byte(public)),
		vector16(nil),
	)
	return vector16(cat([]byte{0xfe, 0x0d}, vector16(contents)))
}

func TestAlert(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	refused := make(chan error, 1)
	go func() {
		_, _, err := Read(far, nil)
		if err == nil {
			_, err = far.Write(Alert(AccessDenied))
		}
		refused <- err
	}()
	err := tls.Client(near, &tls.Config{ServerName: name}).Handshake()
	if err == nil || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("the client reports %v, want access denied", err)
	}
	if err := <-refused; err != nil {
		t.Error(err)
	}
	_, _ = near.Close(), far.Close()
}

// TestOpenSSL reads the hellos of another implementation, and lets it read the refusal.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: its hellos are not tried")
	}
	many := slices.Repeat([]string{text(60)}, 20)
	for _, tc := range []struct {
		args []string
		want Info
	}{
		{[]string{"-servername", name}, Info{Kind: Hello, ServerName: name}},
		{[]string{"-noservername"}, Info{Kind: Hello}},
		{[]string{"-servername", name, "-tls1_2"}, Info{Kind: Hello, ServerName: name}},
		{[]string{"-servername", name, "-alpn", "h2,http/1.1"}, Info{Kind: Hello, ServerName: name, ALPN: []string{"h2", "http/1.1"}}},
		{[]string{"-servername", name, "-max_send_frag", "512", "-alpn", strings.Join(many, ",")}, Info{Kind: Hello, ServerName: name, ALPN: many[:maxALPN]}}, // three records
	} {
		t.Run(strings.Join(tc.args[:min(3, len(tc.args))], " "), func(t *testing.T) {
			t.Parallel()
			listener := listen(t)
			learned := make(chan Info, 1)
			go func() {
				learned <- refuse(listener)
			}()
			args := slices.Concat([]string{"s_client", "-connect", listener.Addr().String()}, tc.args)
			out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "alert access denied") {
				t.Errorf("openssl ends with %v and says\n%s", err, out)
			}
			_ = listener.Close() // if it never came, do not wait for it
			if got := <-learned; !equal(got, tc.want) {
				t.Errorf("learned %+v, want %+v", got, tc.want)
			}
		})
	}
}

// refuse takes one connection, reads its hello and answers it with an alert.
func refuse(listener net.Listener) Info {
	conn, err := listener.Accept()
	if err != nil {
		return Info{Why: err.Error()}
	}
	defer conn.Close()
	info, _, err := Read(conn, nil)
	if err != nil {
		return Info{Why: err.Error()}
	}
	_, _ = conn.Write(Alert(AccessDenied))
	return info
}
