package socks_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gracegate/gracegate/proxy/socks"
)

var long = strings.Repeat("n", 255)

// greetings are what clients send, and what is read of them. Of those that are refused, code is what for, and answer what the client is
// told; of those that break off, both are empty.
var greetings = []struct {
	sent    string
	methods []socks.Method
	code    string
	answer  string
	left    int // bytes that are not read
}{
	{sent: "\x05\x01\x00", methods: []socks.Method{socks.NoLogin}},
	{sent: "\x05\x02\x00\x02", methods: []socks.Method{socks.NoLogin, socks.Password}},
	{sent: "\x05\x03\x02\x01\x00\x05\x01", methods: []socks.Method{socks.Password, 1, socks.NoLogin}, left: 2},
	{sent: "\x05\x00", methods: []socks.Method{}},
	{sent: "\x05\xff" + long, methods: slices.Repeat([]socks.Method{'n'}, 255)},
	{sent: ""},
	{sent: "\x05"},
	{sent: "\x05\x02\x00"},
	{sent: "\x04\x01\x00\x50\xc0\x00\x02\x01\x00", code: "socks-version", answer: "\x00\x5b\x00\x00\x00\x00\x00\x00", left: 8},
	{sent: "\x04", code: "socks-version", answer: "\x00\x5b\x00\x00\x00\x00\x00\x00"},
	{sent: "GET / HTTP/1.1\r\n", code: "socks-version", left: 15},
	{sent: "CONNECT a:1 HTTP/1.1\r\n", code: "socks-version", left: 21},
	{sent: "\x16\x03\x01", code: "socks-version", left: 2},
	{sent: "\x00", code: "socks-version"},
	{sent: "\x06\x01\x00", code: "socks-version", left: 2},
}

func TestReadGreeting(t *testing.T) {
	t.Parallel()
	for _, c := range greetings {
		r := strings.NewReader(c.sent)
		methods, err := socks.ReadGreeting(r)
		check(t, c.sent, err, c.code, c.answer, c.methods == nil)
		if !slices.Equal(methods, c.methods) {
			t.Errorf("%q: methods %v, want %v", c.sent, methods, c.methods)
		}
		if r.Len() != c.left {
			t.Errorf("%q: %d bytes are left, want %d", c.sent, r.Len(), c.left)
		}
	}
	if _, err := socks.ReadGreeting(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("nothing at all: %v, want the end", err)
	}
}

func check(t *testing.T, sent string, err error, code, answer string, fails bool) {
	t.Helper()
	var e *socks.Error
	switch {
	case code != "":
		if !errors.As(err, &e) || e.Code != code || string(e.Answer) != answer || e.Error() == "" {
			t.Errorf("%q: %#v, want %s and %q", sent, err, code, answer)
		}
	case fails:
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v, want the end", sent, err)
		}
	case err != nil:
		t.Errorf("%q: %v", sent, err)
	}
}

var logins = []struct {
	sent, user, password string
	code                 string
	left                 int
}{
	{sent: "\x01\x03ann\x06secret", user: "ann", password: "secret"},
	{sent: "\x01\x03ann\x06secret\x05", user: "ann", password: "secret", left: 1},
	{sent: "\x01\x01\x00\x02\xff:", user: "\x00", password: "\xff:"},
	{sent: "\x01\xff" + long + "\xff" + long, user: long, password: long},
	{sent: ""},
	{sent: "\x01"},
	{sent: "\x01\x03an"},
	{sent: "\x01\x03ann"},
	{sent: "\x01\x03ann\x06secre"},
	{sent: "\x05\x03ann\x06secret", code: "socks-login", left: 10},
	{sent: "\x01\x00\x06secret", code: "socks-login"},
	{sent: "\x01\x03ann\x00", code: "socks-login"},
}

func TestReadLogin(t *testing.T) {
	t.Parallel()
	for _, c := range logins {
		r := strings.NewReader(c.sent)
		user, password, err := socks.ReadLogin(r)
		check(t, c.sent, err, c.code, "\x01\x01", c.user == "")
		if err == nil && (user != c.user || password != c.password) {
			t.Errorf("%q: %q and %q", c.sent, user, password)
		}
		if r.Len() != c.left {
			t.Errorf("%q: %d bytes are left, want %d", c.sent, r.Len(), c.left)
		}
	}
}

const failed, addressUnknown = "\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"

var requests = []struct {
	sent         string
	want         socks.Request
	code, answer string
	left         int
}{
	{sent: "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb", want: socks.Request{Command: socks.Connect, Host: "192.0.2.1", Port: 443}},
	{sent: "\x05\x01\x00\x03\x0cfree.example\x00\x50\x16\x03", want: socks.Request{Command: socks.Connect, Host: "free.example", Port: 80}, left: 2},
	{sent: "\x05\x01\x00\x04\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\xff\xff", want: socks.Request{Command: socks.Connect, Host: "2001:db8::1", Port: 65535}},
	{sent: "\x05\x01\x00\x04" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01\x00\x00", want: socks.Request{Command: socks.Connect, Host: "::ffff:192.0.2.1"}},
	{sent: "\x05\x01\x00\x03\xff" + long + "\x00\x01", want: socks.Request{Command: socks.Connect, Host: long, Port: 1}},
	{sent: "\x05\x01\x00\x03\x01\x00\x00\x01", want: socks.Request{Command: socks.Connect, Host: "\x00", Port: 1}},
	{sent: "\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50", want: socks.Request{Command: socks.Bind, Host: "192.0.2.1", Port: 80}},
	{sent: "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", want: socks.Request{Command: socks.Associate, Host: "0.0.0.0"}},
	{sent: "\x05\xf0\x00\x03\x01a\x00\x01", want: socks.Request{Command: 0xf0, Host: "a", Port: 1}},
	{sent: ""},
	{sent: "\x05\x01\x00"},
	{sent: "\x05\x01\x00\x01\xc0\x00\x02"},
	{sent: "\x05\x01\x00\x01\xc0\x00\x02\x01\x01"},
	{sent: "\x05\x01\x00\x03"},
	{sent: "\x05\x01\x00\x03\x0cfree"},
	{sent: "\x05\x01\x00\x03\x0cfree.example\x00"},
	{sent: "\x05\x01\x00\x04\x20\x01"},
	{sent: "\x04\x01\x00\x01\xc0\x00\x02\x01\x01\xbb", code: "socks-request", answer: failed, left: 6},
	{sent: "\x05\x01\x01\x01\xc0\x00\x02\x01\x01\xbb", code: "socks-request", answer: failed, left: 6},
	{sent: "\x05\x01\x00\x03\x00\x00\x50", code: "socks-request", answer: failed, left: 2},
	{sent: "\x05\x01\x00\x02\xc0\x00\x02\x01\x01\xbb", code: "socks-address", answer: addressUnknown, left: 6},
	{sent: "\x05\x01\x00\x00\xc0\x00\x02\x01\x01\xbb", code: "socks-address", answer: addressUnknown, left: 6},
}

func TestReadRequest(t *testing.T) {
	t.Parallel()
	for _, c := range requests {
		// Whatever the pieces in which it comes.
		for _, r := range []io.Reader{strings.NewReader(c.sent), iotest.OneByteReader(strings.NewReader(c.sent))} {
			got, err := socks.ReadRequest(r)
			check(t, c.sent, err, c.code, c.answer, c.want.Host == "")
			if err == nil && got != c.want {
				t.Errorf("%q: %+v, want %+v", c.sent, got, c.want)
			}
		}
		r := strings.NewReader(c.sent)
		_, _ = socks.ReadRequest(r)
		if r.Len() != c.left {
			t.Errorf("%q: %d bytes are left, want %d", c.sent, r.Len(), c.left)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{socks.NoLogin.Bytes(), "\x05\x00"},
		{socks.Password.Bytes(), "\x05\x02"},
		{socks.NoneTaken.Bytes(), "\x05\xff"},
		{socks.LoginReply(true), "\x01\x00"},
		{socks.LoginReply(false), "\x01\x01"},
		{socks.Succeeded.Bytes(), "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
		{socks.NotAllowed.Bytes(), "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"},
		{socks.CommandUnknown.Bytes(), "\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// dullRequest takes apart a request that is all there.
func dullRequest(b []byte) (q socks.Request, size int, ok bool) {
	if len(b) < 5 || b[0] != 5 || b[2] != 0 {
		return q, 0, false
	}
	begin, length := 4, 0
	switch b[3] {
	case 1:
		length = 4
	case 4:
		length = 16
	case 3:
		if begin, length = 5, int(b[4]); length == 0 {
			return q, 0, false
		}
	default:
		return q, 0, false
	}
	if size = begin + length + 2; len(b) < size {
		return q, 0, false
	}
	q = socks.Request{Command: socks.Command(b[1]), Host: string(b[begin : begin+length]), Port: uint16(b[size-2])<<8 | uint16(b[size-1])}
	if a, isAddr := netip.AddrFromSlice(b[begin : begin+length]); isAddr && b[3] != 3 {
		q.Host = a.String()
	}
	return q, size, true
}

// A whole handshake, as a stranger may send it: nothing panics, no more is read than there is of it, and the request is what its plain
// twin takes it for.
func FuzzHandshake(f *testing.F) {
	for _, g := range greetings {
		f.Add([]byte(g.sent))
		for _, q := range requests {
			f.Add([]byte(g.sent + q.sent))
		}
	}
	for _, l := range logins {
		f.Add([]byte("\x05\x01\x02" + l.sent + requests[1].sent))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		methods, err := socks.ReadGreeting(r)
		if err != nil {
			return
		}
		if slices.Contains(methods, socks.Password) {
			if user, password, err := socks.ReadLogin(r); err != nil {
				return
			} else if user == "" || password == "" || len(user) > 255 || len(password) > 255 {
				t.Errorf("%q: log-in %q, %q", b, user, password)
			}
		}
		rest := b[len(b)-r.Len():]
		got, err := socks.ReadRequest(r)
		want, size, ok := dullRequest(rest)
		if ok != (err == nil) {
			t.Fatalf("%q: %v, the twin says %v", rest, err, ok)
		}
		if ok && (got != want || r.Len() != len(rest)-size) {
			t.Errorf("%q: %+v with %d bytes left, the twin says %+v and %d", rest, got, r.Len(), want, len(rest)-size)
		}
	})
}
