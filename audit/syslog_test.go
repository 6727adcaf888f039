package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gosyslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

func newSyslog(t *testing.T, c Syslog) *SyslogSink {
	t.Helper()
	s := NewSyslogSink(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func writeRecords(t *testing.T, s *SyslogSink, records ...*Record) {
	t.Helper()
	if n, err := s.Write(records); n != len(records) || err != nil {
		t.Fatalf("%d of %d, %v", n, len(records), err)
	}
}

// checkMessage compares a message, as a parser of others reads it, with its record.
func checkMessage(t *testing.T, r *Record, parsed gosyslog.Message) {
	t.Helper()
	m, is := parsed.(*rfc5424.SyslogMessage)
	if !is || !m.Valid() {
		t.Fatalf("%+v", parsed)
	}
	severity := uint8(6)
	if denied(r) {
		severity = 5
	}
	if *m.Facility != 16 || *m.Severity != severity || m.Version != 1 {
		t.Errorf("facility %d, severity %d of %s, version %d", *m.Facility, *m.Severity, r.Event, m.Version)
	}
	if *m.Hostname != "gate.example" || *m.Appname != "gracegate" || *m.ProcID != strconv.Itoa(os.Getpid()) || *m.MsgID != r.Event.String() {
		t.Errorf("%s %s %s %s", *m.Hostname, *m.Appname, *m.ProcID, *m.MsgID)
	}
	if m.StructuredData != nil {
		t.Errorf("%v", *m.StructuredData)
	}
	if r.Time.IsZero() != (m.Timestamp == nil) || m.Timestamp != nil && !m.Timestamp.Equal(r.Time.Truncate(time.Microsecond)) {
		t.Errorf("%v, want %v", m.Timestamp, r.Time)
	}
	if want := strings.TrimSuffix(write(t, r), "\n"); *m.Message != want {
		t.Errorf("%s\nwant\n%s", *m.Message, want)
	}
}

// accepted gives what the first client of a listener sends, until it ends.
func accepted(t *testing.T, l net.Listener) <-chan []byte {
	t.Helper()
	got := make(chan []byte, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer conn.Close()
		text, _ := io.ReadAll(conn)
		got <- text
	}()
	return got
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func checkStream(t *testing.T, text []byte, records []*Record) {
	t.Helper()
	n := 0
	octetcounting.NewParser(gosyslog.WithListener(func(result *gosyslog.Result) {
		if result.Error != nil || n == len(records) {
			t.Fatalf("message %d: %v", n, result.Error)
		}
		checkMessage(t, records[n], result.Message)
		n++
	})).Parse(bytes.NewReader(text))
	if n != len(records) {
		t.Errorf("%d messages of %d", n, len(records))
	}
}

func TestSyslogTCP(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	got := accepted(t, l)
	s := newSyslog(t, Syslog{Network: "tcp", Address: l.Addr().String(), Hostname: "gate.example"})
	var records []*Record
	for range 20 { // several writes
		records = append(records, goldenRecords()...)
	}
	writeRecords(t, s, records...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkStream(t, <-got, records)
}

func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestSyslogTLS(t *testing.T) {
	t.Parallel()
	own, roots := certificate(t, "localhost")
	other, _ := certificate(t, "localhost")
	misnamed, misnamedRoots := certificate(t, "log.example")
	for name, tt := range map[string]struct {
		cert  tls.Certificate
		roots *x509.CertPool
		good  bool
	}{"good": {own, roots, true}, "by another authority": {other, roots, false}, "for another name": {misnamed, misnamedRoots, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := tls.NewListener(listen(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: []tls.Certificate{tt.cert}})
			got := accepted(t, l)
			told := make(chan error, 10)
			_, port, _ := net.SplitHostPort(l.Addr().String())
			s := newSyslog(t, Syslog{
				Network: "tls", Address: net.JoinHostPort("localhost", port), Hostname: "gate.example", Roots: tt.roots,
				Tell: func(err error) { told <- err },
			})
			if tt.good {
				writeRecords(t, s, goldenRecords()...)
				_ = s.Close()
				checkStream(t, <-got, goldenRecords())
				return
			}
			done := make(chan error)
			go func() { _, err := s.Write(goldenRecords()); done <- err }()
			err := <-told
			if _, is := errors.AsType[*tls.CertificateVerificationError](err); !is {
				t.Errorf("%v", err)
			}
			_ = s.Close()
			if err := <-done; err == nil {
				t.Error("it was sent")
			}
			if text := <-got; len(text) != 0 {
				t.Errorf("the server got %q", text)
			}
		})
	}
}

// longRecord has as much in it as a client can send, and more.
func longRecord() *Record {
	r := *goldenRecords()[3]
	for _, text := range []*string{&r.User, &r.Method, &r.Path, &r.ALPN, &r.Site, &r.Vendor, &r.MAC, &r.Hostname, &r.Revision, &r.Reference} {
		*text = strings.Repeat("\x1b😀\xff", 20<<10)
	}
	r.URL = "http://a.example/" + r.Path
	r.Cause.ID, r.Cause.Title, r.Cause.URL = r.Path, r.Path, r.Path
	for range 100 {
		r.Persons, r.Reasons = append(r.Persons, r.Path), append(r.Reasons, r.Path)
	}
	return &r
}

func TestSyslogDatagrams(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "log")
	unix, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Skip("no local datagram sockets here:", err)
	}
	defer unix.Close()
	for _, server := range []struct {
		net.PacketConn
		c Syslog
	}{{udp, Syslog{Network: "udp", Address: udp.LocalAddr().String()}}, {unix, Syslog{Network: "unix", Address: path}}} {
		server.c.Hostname = "gate.example"
		s := newSyslog(t, server.c)
		records := append(goldenRecords(), longRecord())
		written := make(chan error, 1)
		go func() { // the system holds few datagrams of a local socket
			_, err := s.Write(records)
			written <- err
		}()
		buffer := make([]byte, 1<<17)
		for i, r := range records {
			n, _, err := server.ReadFrom(buffer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := rfc5424.NewParser().Parse(buffer[:n])
			if err != nil {
				t.Fatalf("%v in %q", err, buffer[:n])
			}
			if i < len(records)-1 {
				checkMessage(t, r, m)
				continue
			}
			line := *m.(*rfc5424.SyslogMessage).Message
			if n > maxDatagram || !json.Valid([]byte(line)) || !strings.Contains(line, `[cut]"`) || !strings.Contains(line, `"rule.category":"restriction"`) {
				t.Errorf("%d bytes: %s", n, line)
			}
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}

func TestSyslogLocalStream(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l := listen(t, "unix", path)
	got := accepted(t, l)
	s := newSyslog(t, Syslog{Network: "unix", Address: path, Hostname: "gate.example"})
	writeRecords(t, s, goldenRecords()...)
	_ = s.Close()
	n := 0
	for l := range strings.Lines(string(<-got)) {
		m, err := rfc5424.NewParser().Parse([]byte(strings.TrimSuffix(l, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		checkMessage(t, goldenRecords()[n], m)
		n++
	}
	if n != len(goldenRecords()) {
		t.Errorf("%d messages", n)
	}
}

// The server goes away and comes back: what is written meanwhile waits, and comes.
func TestSyslogReconnects(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	address := l.Addr().String()
	told := make(chan error, 10)
	s := newSyslog(t, Syslog{Network: "tcp", Address: address, Hostname: "gate.example", Tell: func(err error) { told <- err }})
	writeRecords(t, s, goldenRecords()[0])
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 10)
	if _, err := io.ReadFull(conn, one); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_ = conn.Close()
	s.drains.Wait() // the end of the connection has been seen
	done := make(chan error)
	go func() { _, err := s.Write(goldenRecords()[1:3]); done <- err }()
	if err := <-told; err == nil {
		t.Error("nobody was told that the server went away")
	}
	l = listen(t, "tcp", address)
	got := accepted(t, l)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Errorf("told %v, want that it is there again", err)
	}
	_ = s.Close()
	checkStream(t, <-got, goldenRecords()[1:3])
}

func TestSyslogCloseEndsTheWait(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	_ = l.Close()
	told := make(chan error, 10)
	s := newSyslog(t, Syslog{Network: "tcp", Address: l.Addr().String(), Tell: func(err error) { told <- err }})
	f := NewFan(10, Outlet{Name: "syslog", Sink: s, Closer: s})
	f.Queue([]*Record{{}})
	f.Queue([]*Record{{}})
	if err := <-told; err == nil {
		t.Error("told that all is well")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(t.Context()); err != nil || f.Outlets()["syslog"].Lost() != 2 {
		t.Errorf("%v, %d lost", err, f.Outlets()["syslog"].Lost())
	}
}

func TestSyslogName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"gate.example": "gate.example", "": "-", "a b": "-", "ü": "-", "a\n": "-", strings.Repeat("a", 255): strings.Repeat("a", 255), strings.Repeat("a", 256): "-",
	} {
		if got := syslogName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// A dead end is tried less and less often.
func TestSyslogPause(t *testing.T) {
	t.Parallel()
	s := newSyslog(t, Syslog{Network: "tcp", Address: "127.0.0.1:1"})
	var pauses []string
	for range 9 {
		s.since = time.Now()
		s.disconnect(errors.New("refused"))
		pauses = append(pauses, s.pause.String())
	}
	s.since = time.Now().Add(-maxPause)
	s.disconnect(errors.New("refused"))
	if got, want := fmt.Sprint(pauses, s.pause), "[250ms 500ms 1s 2s 4s 8s 16s 30s 30s] 0s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
