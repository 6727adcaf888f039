package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// dullRelay is what a relay does, as anybody would write it. It takes a reset for an end now and then.
func dullRelay(down, up *net.TCPConn) {
	var running sync.WaitGroup
	carry := func(dst, src *net.TCPConn) {
		running.Go(func() {
			if _, err := io.Copy(dst, src); err != nil {
				reset(dst)
				reset(src)
				return
			}
			_ = dst.CloseWrite()
		})
	}
	carry(down, up)
	carry(up, down)
	running.Wait()
	_ = down.Close()
	_ = up.Close()
}

// script is what one far end does.
type script struct {
	say    []byte
	pieces []int // how it says that
	listen int   // how many bytes it takes before it begins
	reset  bool  // instead of an end
}

// seenEnd is what one far end saw.
type seenEnd struct {
	heard []byte
	clean bool
}

func randomScript(rng *rand.Rand, seed uint64, hears int) script {
	sizes := []int{0, 1, 100, smallRead, 20_000, spliceAfter, spliceAfter + 1, 1 << 20, 3 << 20}
	size := sizes[rng.IntN(len(sizes))]
	s := script{say: noise(seed, size+rng.IntN(1000)), reset: rng.IntN(3) == 0}
	for left := len(s.say); left > 0; {
		piece := min(left, 1+rng.IntN(1<<(1+rng.IntN(20))))
		s.pieces = append(s.pieces, piece)
		left -= piece
		if len(s.pieces) > 200 {
			s.pieces = append(s.pieces, left)
			break
		}
	}
	if hears > 0 && rng.IntN(2) == 0 {
		s.listen = rng.IntN(min(hears, 1<<18))
	}
	return s
}

// play does what the script says, and returns what it hears meanwhile.
func (s *script) play(c *net.TCPConn) (e seenEnd) {
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	var first bytes.Buffer
	if _, err := io.CopyN(&first, c, int64(s.listen)); err != nil {
		return seenEnd{first.Bytes(), errors.Is(err, io.EOF)}
	}
	said := make(chan error, 1)
	go func() {
		rest := s.say
		for _, piece := range s.pieces {
			if _, err := c.Write(rest[:piece]); err != nil {
				said <- err
				return
			}
			rest = rest[piece:]
		}
		if s.reset {
			reset(c)
		} else {
			_ = c.CloseWrite()
		}
		said <- nil
	}()
	_, err := io.Copy(&first, c)
	writeErr := <-said
	return seenEnd{first.Bytes(), err == nil && !isReset(writeErr)}
}

// The relay does what the dull one does, byte for byte; and where an end is none, nobody takes it for one.
func TestRelayAgainstADullOne(t *testing.T) {
	t.Parallel()
	const rounds = 80
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			asks := randomScript(rng, 2*seed, 0)
			tells := randomScript(rng, 2*seed+1, len(asks.say))
			play := func(client, origin *net.TCPConn) (atClient, atOrigin seenEnd) {
				var running sync.WaitGroup
				running.Go(func() { atClient = asks.play(client) })
				running.Go(func() { atOrigin = tells.play(origin) })
				running.Wait()
				_ = client.Close()
				_ = origin.Close()
				return atClient, atOrigin
			}
			r := newRelayRig(t, patience, nil)
			atClient, atOrigin := play(r.client, r.origin)
			r.wait(t)
			if asks.reset || tells.reset {
				atClient.check(t, "client", &tells, &asks)
				atOrigin.check(t, "origin", &asks, &tells)
				return
			}
			down, client := tcpPair(t)
			up, origin := tcpPair(t)
			go dullRelay(down, up)
			likeClient, likeOrigin := play(client, origin)
			atClient.compare(t, "client", likeClient)
			atOrigin.compare(t, "origin", likeOrigin)
			if in, out := r.flow.in.Load(), r.flow.out.Load(); in != int64(len(asks.say)) || out != int64(len(tells.say)) {
				t.Errorf("counted %d in and %d out, of %d and %d", in, out, len(asks.say), len(tells.say))
			}
		})
	}
}

func (e *seenEnd) compare(t *testing.T, who string, want seenEnd) {
	t.Helper()
	if !bytes.Equal(e.heard, want.heard) || !e.clean || !want.clean {
		t.Errorf("the %s heard %d bytes, clean end %v; through the dull relay %d, %v", who, len(e.heard), e.clean, len(want.heard), want.clean)
	}
}

// check makes sure that a clean end came only behind everything that the other side said.
func (e *seenEnd) check(t *testing.T, who string, other, own *script) {
	t.Helper()
	if !bytes.HasPrefix(other.say, e.heard) {
		t.Errorf("the %s heard %d bytes that nobody said", who, len(e.heard))
	}
	if e.clean && !own.reset && (other.reset || len(e.heard) != len(other.say)) {
		t.Errorf("the %s took %d bytes of %d for the whole; the other side reset: %v", who, len(e.heard), len(other.say), other.reset)
	}
}
