package proxy

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const bulkSize = 4 << 20

func (p *pipePool) counts() (made, stored int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made, len(p.store)
}

// empty closes what is in store.
func (p *pipePool) empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.store {
		p.close(old)
	}
	p.store, p.spare = nil, 0
}

func withPipes(t *testing.T, p *pipePool) func(*relay) {
	t.Helper()
	t.Cleanup(p.empty)
	return func(l *relay) { l.pipes = p }
}

func TestBulkIsSpliced(t *testing.T) {
	t.Parallel()
	var p pipePool
	r := newRelayRig(t, patience, withPipes(t, &p))
	r.exchange(t, noise(1, bulkSize), noise(2, bulkSize))
	if made, stored := p.counts(); made == 0 || stored != made {
		t.Errorf("%d pipes were made, and %d came back", made, stored)
	}
}

func TestLittleIsNotSpliced(t *testing.T) {
	t.Parallel()
	var p pipePool
	r := newRelayRig(t, patience, withPipes(t, &p))
	r.exchange(t, noise(1, spliceAfter/2), noise(2, spliceAfter/2))
	if made, _ := p.counts(); made != 0 {
		t.Errorf("%d pipes were made", made)
	}
}

// A direction that goes over to small messages has no pipe while it waits, nor takes one for them.
func TestMessagesAfterBulk(t *testing.T) {
	t.Parallel()
	var p pipePool
	r := newRelayRig(t, patience, withPipes(t, &p))
	go func() { _, _ = r.origin.Write(make([]byte, bulkSize)) }()
	if _, err := io.CopyN(io.Discard, r.client, bulkSize); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	for range 100 {
		_, _ = r.origin.Write(noise(3, len(b)))
		if _, err := io.ReadFull(r.client, b); err != nil || !bytes.Equal(b, noise(3, len(b))) {
			t.Fatalf("%x, %v", b, err)
		}
	}
	soon(t, "no pipe is in use", func() bool {
		made, stored := p.counts()
		return made > 0 && made == stored
	})
}

// What a destination does not take stays in a pipe, and goes with it.
func TestAPipeThatIsStuck(t *testing.T) {
	t.Parallel()
	var p pipePool
	r := newRelayRig(t, patience, withPipes(t, &p))
	go func() { _, _ = io.Copy(r.origin, endless{}) }()
	soon(t, "bytes moved, and then no more", func() bool { return r.flow.out.Load() > spliceAfter && r.stuck() })
	soon(t, "the next are in the only pipe", func() bool {
		made, stored := p.counts()
		return made == 1 && stored == 0
	})
	r.cut()
	r.wait(t)
	if made, stored := p.counts(); made != 0 || stored != 0 {
		t.Errorf("a pipe with bytes is kept: %d made, %d in store", made, stored)
	}
}

func TestWithoutPipes(t *testing.T) {
	t.Parallel()
	p := pipePool{made: maxPipes} // others have them all
	r := newRelayRig(t, patience, func(l *relay) { l.pipes = &p })
	r.exchange(t, noise(1, bulkSize), noise(2, bulkSize))
	if made, stored := p.counts(); made != maxPipes || stored != 0 {
		t.Errorf("%d pipes were made, %d are in store", made-maxPipes, stored)
	}
}

func TestShortPipes(t *testing.T) {
	t.Parallel()
	p := pipePool{made: maxPipes}
	for range 2 {
		var ends [2]int
		if err := syscall.Pipe2(ends[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		if size, err := fcntl(ends[0], syscall.F_SETPIPE_SZ, 1); err != nil || size >= leastPipe {
			t.Fatalf("a pipe of %d bytes, %v", size, err)
		}
		p.store = append(p.store, &pipe{ends[0], ends[1]})
	}
	r := newRelayRig(t, patience, withPipes(t, &p))
	r.exchange(t, noise(1, bulkSize), noise(2, bulkSize))
	if _, stored := p.counts(); stored != 2 {
		t.Errorf("%d pipes came back", stored)
	}
}

// A system may splice from a socket and not to one, or neither. Nothing is lost over that.
func TestASystemThatDoesNotSplice(t *testing.T) {
	t.Parallel()
	t.Run("in", func(t *testing.T) {
		t.Parallel()
		p := pipePool{made: maxPipes}
		a, b := socketPair(t)
		p.store = []*pipe{{a, b}}
		r := newRelayRig(t, patience, withPipes(t, &p))
		r.exchange(t, noise(1, bulkSize), noise(2, bulkSize))
		if !r.toUp.noSplice && !r.toDown.noSplice {
			t.Error("nobody tried")
		}
	})
	t.Run("out", func(t *testing.T) {
		t.Parallel()
		p := pipePool{made: maxPipes}
		in, far := socketPair(t)
		out, near, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		copied := make(chan struct{})
		go func() { // what comes in through a pipe goes out through a socket
			defer close(copied)
			_, _ = io.Copy(os.NewFile(uintptr(far), "far"), out)
		}()
		p.store = []*pipe{{in, dup(t, near)}}
		r := newRelayRig(t, patience, func(l *relay) { l.pipes = &p })
		r.exchange(t, noise(1, bulkSize), noise(2, bulkSize))
		if !r.toUp.noSplice && !r.toDown.noSplice {
			t.Error("nobody tried")
		}
		p.empty()
		_ = near.Close()
		<-copied
		_ = out.Close()
	})
}

func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ends[0], ends[1]
}

func dup(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestPipesAreBounded(t *testing.T) { // alone: a user may have no more pipes of this size
	var p pipePool
	var taken []*pipe
	for {
		one := p.take()
		if one == nil {
			break
		}
		taken = append(taken, one)
	}
	if len(taken) == 0 || len(taken) > maxPipes {
		t.Errorf("%d pipes", len(taken))
	}
	for _, one := range taken {
		p.drop(one)
	}
	if made, stored := p.counts(); made != 0 || stored != 0 {
		t.Errorf("%d made, %d in store", made, stored)
	}
}

func TestUnusedPipesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pipePool
		a, b := p.take(), p.take()
		if a == nil || b == nil {
			t.Skip("no pipes to be had")
		}
		p.put(a)
		p.put(b)
		for range 10 { // one of them is used from time to time
			time.Sleep(pipeTrim)
			synctest.Wait()
			p.put(p.take())
		}
		if made, stored := p.counts(); made != 1 || stored != 1 {
			t.Errorf("%d made, %d in store", made, stored)
		}
		time.Sleep(2 * pipeTrim)
		synctest.Wait()
		if made, stored := p.counts(); made != 0 || stored != 0 {
			t.Errorf("%d made, %d in store", made, stored)
		}
	})
}

func keepAliveOf(t *testing.T, fd uintptr) bool {
	t.Helper()
	on, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	if err != nil {
		t.Fatal(err)
	}
	return on != 0
}
