package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// scripted is a connection on which bytes arrive in pieces, and then the end.
type scripted struct {
	net.Conn
	pieces [][]byte
	end    error
}

func (s *scripted) Read(p []byte) (int, error) {
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, s.end
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

func (s *scripted) SetReadDeadline(time.Time) error { return nil }

// released returns what net/http gets to read of what a client sends, and the error at the end. With r, the bytes arrive in
// random pieces and are asked for in random amounts.
func released(sent []byte, r *rand.Rand) ([]byte, error) {
	conn := &scripted{pieces: [][]byte{bytes.Clone(sent)}, end: io.EOF}
	for r != nil && len(conn.pieces) < 50 {
		last := conn.pieces[len(conn.pieces)-1]
		cut := r.IntN(len(last) + 1)
		if r.IntN(2) == 0 {
			cut = min(cut, r.IntN(4))
		}
		conn.pieces = append(conn.pieces[:len(conn.pieces)-1], last[:cut:cut], last[cut:])
	}
	front := frontOf(conn, testLimits)
	var got []byte
	for p := make([]byte, 64<<10); ; {
		ask := len(p)
		if r != nil {
			ask = 1 + r.IntN(1<<r.IntN(14))
		}
		n, err := front.Read(p[:ask])
		got = append(got, p[:n]...)
		if err != nil {
			return got, err
		}
		if n == 0 { // a tunnel that holds all it may
			return got, errTunnel
		}
	}
}

var errTunnel = errors.New("a tunnel began")

// message is one request as the front divided it.
type message struct {
	head  string
	body  []byte // as sent
	whole bool
}

// divide returns the messages into which the front divides what a client sends.
func divide(sent []byte) []message {
	f := framing{maxHead: testLimits.Head, maxFields: testLimits.HeaderCount}
	var all []message
	for len(sent) > 0 && f.part != inTunnel {
		part := f.part
		n, fault := f.step(sent)
		switch {
		case part == inHead && n > 0:
			all = append(all, message{head: string(sent[:n])})
		case part != inHead:
			last := &all[len(all)-1]
			last.body = append(last.body, sent[:n]...)
		}
		if len(all) > 0 {
			all[len(all)-1].whole = f.part == inHead || f.part == inTunnel
		}
		if fault != nil || n == 0 {
			break
		}
		sent = sent[n:]
	}
	return all
}

// checkFraming fails if net/http, reading what the front lets through, sees other requests or bodies than the front, or a
// half one as whole.
func checkFraming(t *testing.T, sent []byte, seed uint64) {
	t.Helper()
	got, end := released(sent, nil)
	for i := range uint64(3) {
		again, againEnd := released(sent, rand.New(rand.NewPCG(seed, i)))
		if !bytes.Equal(got, again) || end.Error() != againEnd.Error() {
			t.Fatalf("%q: in one piece %q, %v; in many %q, %v", sent, got, end, again, againEnd)
		}
	}
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(got), failing{end}))
	for i, want := range divide(sent) {
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q: net/http cannot read request %d: %v", sent, i, err)
		}
		if _, isFault := FaultOf(r); isFault {
			t.Fatalf("%q: request %d of net/http is a fault, but of the front %q", sent, i, want.head)
		}
		if !strings.HasPrefix(want.head, r.Method+" "+r.RequestURI+" "+r.Proto+"\r\n") {
			t.Fatalf("%q: request %d is %s %s of net/http, but of the front %q", sent, i, r.Method, r.RequestURI, want.head)
		}
		body, err := io.ReadAll(r.Body)
		if (err == nil) != want.whole {
			t.Fatalf("%q: the body of request %d: net/http says %v, but the front whole %v", sent, i, err, want.whole)
		}
		if err != nil {
			return
		}
		data := want.body
		if len(r.TransferEncoding) > 0 {
			data, _, _ = dullChunks(want.body)
		}
		if !bytes.Equal(body, data) {
			t.Fatalf("%q: the body of request %d is %q for net/http, but %q for the front", sent, i, body, data)
		}
	}
	r, err := http.ReadRequest(in)
	if err == nil {
		fault, isFault := FaultOf(r)
		if !isFault || fault.Status < 400 || !r.Close {
			t.Fatalf("%q: net/http sees one more request than the front: %+v", sent, r)
		}
		_, err = http.ReadRequest(in)
	}
	if !errors.Is(err, end) {
		t.Fatalf("%q: after the last request %v, want %v", sent, err, end)
	}
}

// streams are what clients may send on one connection.
func streams() []string {
	const get = "GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\n"
	const post = "POST http://a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
	all := []string{
		"",
		get,
		get + get,
		get + get[:20],
		post + "abcde",
		post + "abcde" + get,
		post + "abc",
		post + "abcdefgh",
		post + "abcde" + "\r\n" + get,
		chunkedHead + "5\r\nabcde\r\n0\r\n\r\n" + get + post + "abcde" + chunkedHead + "0\r\nX: y\r\n\r\n" + get,
		chunkedHead + "5\r\nabcde\r\n0\r\n",
		chunkedHead + "5\r\nabcde\r\n0\r\nX: y\r\n",
		chunkedHead + "5\r\nabcde\r\n",
		chunkedHead + "5\r\nab",
		chunkedHead + "5",
		chunkedHead,
		"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc" + get,
		get + "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + get,
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("x", 40<<10),
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x85abcd",
		get + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		strings.Repeat(get, 300),
		post + "abcde" + head(1024) + head(1025),
	}
	for _, c := range badHeads {
		if len(c.head) < 4096 {
			all = append(all, c.head, get+c.head, post+"abcde"+c.head+get)
		}
	}
	for _, c := range goodHeads {
		all = append(all, c+c)
	}
	for _, c := range badChunks {
		if len(c.body) < 8192 {
			all = append(all, chunkedHead+c.body+get, get+chunkedHead+c.body)
		}
	}
	for _, c := range goodChunks {
		all = append(all, chunkedHead+c.body+get)
	}
	return all
}

func TestFraming(t *testing.T) {
	t.Parallel()
	for i, sent := range streams() {
		checkFraming(t, []byte(sent), uint64(i))
	}
}

func FuzzFraming(f *testing.F) {
	for i, sent := range streams() {
		f.Add([]byte(sent), uint64(i))
	}
	f.Fuzz(checkFraming)
}

func TestFramingCounts(t *testing.T) {
	t.Parallel()
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		sent     string
		messages int
		fault    string // "": none
		end      error
	}{
		{get + get + get, 3, "", io.EOF},
		{get + "X / HTTP/1.1\r\nHost: a\nHost: b\r\n\r\n" + get, 1, "bare-lf", io.EOF},
		{get + chunkedHead + "5\r\nabcde\r\n0\r\n\r\n" + get, 3, "", io.EOF},
		{strings.Repeat(chunkedHead+"5;x\r\nabcde\r\n0\r\nX: y\r\n\r\n"+get, 20), 40, "", io.EOF}, // no state is left over
		{get + chunkedHead + "5\r\nabc", 2, "", io.ErrUnexpectedEOF},
		{get + chunkedHead + "5\nabc", 2, "chunk-size", nil},
		{get + "CONNECT a:443 HTTP/1.0\r\n\r\n" + get + get, 2, "", io.EOF},
	} {
		if n := len(divide([]byte(c.sent))); n != c.messages {
			t.Errorf("%q: %d messages, want %d", c.sent, n, c.messages)
		}
		got, end := released([]byte(c.sent), nil)
		var fault *Fault
		switch {
		case c.end == nil:
			if !errors.As(end, &fault) || fault.Code != c.fault {
				t.Errorf("%q ends with %v, want %s", c.sent, end, c.fault)
			}
		case !errors.Is(end, c.end):
			t.Errorf("%q ends with %v, want %v", c.sent, end, c.end)
		case c.fault != "" && !bytes.Contains(got, []byte("\r\n"+faultField+": 400 "+c.fault+" ")):
			t.Errorf("%q: no fault %s in %q", c.sent, c.fault, got)
		}
	}
}

// TestBodiesBrokenOff cuts off every upload at every place, by an end, a reset and a fault: none may look whole.
func TestBodiesBrokenOff(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
		chunkedHead + "5\r\nabcde\r\n5;x\r\n01234\r\n0;y\r\nX: z\r\n\r\n",
	} {
		headEnd := strings.Index(body, "\r\n\r\n") + 4
		for cut := headEnd; cut < len(body); cut++ {
			for _, end := range []error{io.EOF, net.ErrClosed, os.ErrDeadlineExceeded} {
				front := frontOf(&scripted{pieces: [][]byte{[]byte(body[:cut])}, end: end}, testLimits)
				r, err := http.ReadRequest(bufio.NewReader(front))
				if err != nil {
					t.Fatal(err)
				}
				if data, err := io.ReadAll(r.Body); err == nil {
					t.Errorf("%q, ended by %v, reads as the whole body %q", body[:cut], end, data)
				}
				if n, err := front.Read(make([]byte, 100)); n != 0 || err == nil || errors.Is(end, io.EOF) && errors.Is(err, io.EOF) {
					t.Errorf("%q, ended by %v: reading on gives %d bytes, %v", body[:cut], end, n, err)
				}
			}
		}
	}
}

func TestFrontHoldsNothingWhileIdle(t *testing.T) {
	t.Parallel()
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	conn := &scripted{pieces: [][]byte{[]byte(get[:10]), []byte(get[10:] + get), []byte(get[:5]), []byte(get[5:])}, end: io.EOF}
	front := frontOf(conn, testLimits)
	p := make([]byte, 4096)
	for i := range 2 {
		n, err := front.Read(p)
		if err != nil || !strings.HasPrefix(get+get, string(p[:n])) {
			t.Fatalf("read %d: %q, %v", i, p[:n], err)
		}
		if front.buf != nil {
			t.Errorf("after request %d a buffer of %d bytes is held for %d", i, len(front.buf), front.w-front.r)
		}
	}
}
