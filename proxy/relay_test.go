package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// relayRig is a relay on its own, between two connections whose far ends the test holds.
type relayRig struct {
	*relay
	client, origin *net.TCPConn
	over           chan struct{} // closed when the relay has ended
}

// newRelayRig begins a relay. Change may be nil.
func newRelayRig(tb testing.TB, idle time.Duration, change func(*relay)) *relayRig {
	tb.Helper()
	r := &relayRig{over: make(chan struct{})}
	var down, up *net.TCPConn
	down, r.client = tcpPair(tb)
	up, r.origin = tcpPair(tb)
	r.relay = newRelay(&flow{}, idle, down, up)
	if change != nil {
		change(r.relay)
	}
	r.startWatch()
	go func() {
		defer close(r.over)
		var origin sync.WaitGroup
		origin.Go(func() { r.downward(nil) })
		r.upward(nil)
		origin.Wait()
		r.stopWatch()
		r.close()
	}()
	tb.Cleanup(func() {
		r.cut()
		<-r.over
	})
	return r
}

// tcpPair is the two ends of a connection. They are closed when the test is over.
func tcpPair(tb testing.TB) (accepted, dialled *net.TCPConn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(tb.Context(), "tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = c.Close()
		_ = a.Close()
	})
	return a.(*net.TCPConn), c.(*net.TCPConn)
}

// wait waits for the end of the relay.
func (r *relayRig) wait(tb testing.TB) {
	tb.Helper()
	select {
	case <-r.over:
	case <-time.After(2 * patience):
		tb.Fatal("the relay does not end")
	}
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// noise is bytes that look like no others.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// exchange has both far ends say something at once, and makes sure that each gets what the other said, and then the end.
func (r *relayRig) exchange(t *testing.T, asked, told []byte) {
	t.Helper()
	var running sync.WaitGroup
	say := func(c *net.TCPConn, b []byte) {
		running.Go(func() {
			_, _ = c.Write(b)
			_ = c.CloseWrite()
		})
	}
	hear := func(c *net.TCPConn, who string, want []byte) {
		running.Go(func() {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the %s got %d bytes of %d, %v", who, len(got), len(want), err)
			}
		})
	}
	say(r.client, asked)
	say(r.origin, told)
	hear(r.client, "client", told)
	hear(r.origin, "origin", asked)
	running.Wait()
	r.wait(t)
	if in, out := r.flow.in.Load(), r.flow.out.Load(); in != int64(len(asked)) || out != int64(len(told)) {
		t.Errorf("counted %d in and %d out", in, out)
	}
}

// chatters sends from c for as long as somebody takes it. Broken is for a reader that saw what looks like an end. It tells
// whether that was a reset: the system tells of one once, to the reader or to the writer.
func chatters(c *net.TCPConn) (broken func() bool) {
	stopped := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, endless{})
		stopped <- err
	}()
	return func() bool {
		select {
		case err := <-stopped:
			return errors.Is(err, syscall.ECONNRESET)
		case <-time.After(prompt):
			return false
		}
	}
}

// A write that moved some of its bytes may have learnt of a reset without telling. Whatever is under way: the client never
// takes a reset for an end, and neither does the origin.
func TestAResetIsNeverAnEndInBulk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		resets, hears func(*relayRig) *net.TCPConn
	}{
		{"origin", (*relayRig).atOrigin, (*relayRig).atClient},
		{"client", (*relayRig).atClient, (*relayRig).atOrigin},
	} {
		t.Run("by the "+c.name, func(t *testing.T) {
			t.Parallel()
			for i := range 60 {
				r := newRelayRig(t, patience, nil)
				breaks, hears := c.resets(r), c.hears(r)
				broken := chatters(hears)
				go func() {
					_, _ = io.CopyN(breaks, endless{}, 1<<20)
					_, _ = io.CopyN(io.Discard, breaks, int64(2<<20+i*10_000))
					reset(breaks)
				}()
				got, err := io.Copy(io.Discard, hears)
				if err == nil && !broken() {
					t.Fatalf("round %d: a clean end after %d bytes", i, got)
				}
				r.wait(t)
			}
		})
	}
}

func (r *relayRig) atClient() *net.TCPConn { return r.client }
func (r *relayRig) atOrigin() *net.TCPConn { return r.origin }

// An origin may say all and go while the client still sends, as one does that refuses an upload. Its answer arrives whole,
// however slowly the client reads.
func TestAnAnswerDuringAnUploadArrives(t *testing.T) {
	t.Parallel()
	told := noise(1, 500<<10)
	for range 5 {
		r := newRelayRig(t, patience, func(l *relay) { _ = l.down.SetWriteBuffer(1 << 20) })
		chatters(r.client)
		_, _ = r.origin.Write(told)
		_ = r.origin.CloseWrite()
		// What the relay has sent, and the client has not got, is lost if the relay closes too early.
		soon(t, "the relay has all", func() bool { return r.flow.out.Load() == int64(len(told)) && r.whole.Load() })
		_ = r.origin.Close() // with unread bytes: a reset
		soon(t, "the relay knows that the origin is gone", r.deaf.Load)
		got, err := io.ReadAll(r.client)
		if err != nil || !bytes.Equal(got, told) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(told), err)
		}
		_ = r.client.Close()
		r.wait(t)
	}
}

// A client that goes on for ever after that does not hold the relay.
func TestNobodyTalksIntoTheVoidForEver(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t, patience, nil)
	chatters(r.client)
	_, _ = io.ReadFull(r.origin, make([]byte, 1000))
	_, _ = io.WriteString(r.origin, "no")
	_ = r.origin.CloseWrite()
	soon(t, "the relay has all", r.whole.Load)
	_ = r.origin.Close()
	if got, err := io.ReadAll(r.client); string(got) != "no" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	r.wait(t)
	if why := r.flow.endedBy(); why != "" {
		t.Errorf("ended by %q", why)
	}
}

func TestCutFromEverywhere(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t, patience, nil)
	ends := map[*net.TCPConn]func() bool{r.client: nil, r.origin: nil}
	for c := range ends { // both directions in the middle of it, and stuck
		ends[c] = chatters(c)
	}
	soon(t, "bytes moved", func() bool { return r.flow.in.Load() > spliceAfter && r.flow.out.Load() > spliceAfter })
	var cutters sync.WaitGroup
	for range 8 {
		cutters.Go(r.cut)
	}
	cutters.Wait()
	r.wait(t)
	for c, broken := range ends {
		if _, err := io.Copy(io.Discard, c); !broken() && err == nil {
			t.Error("a cut looks like an end")
		}
	}
}
