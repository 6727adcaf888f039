package proxy

import (
	"sync"
	"syscall"
	"time"
)

const (
	// pipeSize is the room of a pipe, if the system grants it.
	pipeSize = 1 << 20

	// leastPipe is the room below which a buffer does better: a user whose pipes have too much of it gets such.
	leastPipe = 64 << 10

	// maxPipes bounds the pipes in use and in store: two descriptors each, and the room above when nobody takes what is in
	// them. A direction that gets none goes on with a buffer.
	maxPipes = 128

	// pipeTrim is how long a pipe may lie unused, at least.
	pipeTrim = 10 * time.Second

	// pipeRetry is how long no pipe is asked for after the system had none.
	pipeRetry = time.Second
)

// pipe is where splice keeps bytes on their way.
type pipe struct{ r, w int }

// allPipes is the store of every relay.
var allPipes pipePool

// pipePool keeps pipes for use, and gives up those that nobody uses. The zero value is empty.
type pipePool struct {
	mu    sync.Mutex
	store []*pipe
	made  int       // in use and in store
	spare int       // the fewest in store since the last trim
	none  time.Time // when the system had none last
	trims bool      // the next trim is coming
}

// take returns an empty pipe, or nil if there is none to be had.
func (p *pipePool) take() *pipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.store) - 1; last >= 0 {
		taken := p.store[last]
		p.store = p.store[:last]
		p.spare = min(p.spare, last)
		return taken
	}
	if p.made >= maxPipes || !p.none.IsZero() && time.Since(p.none) < pipeRetry {
		return nil
	}
	made := newPipe()
	if made == nil {
		p.none = time.Now()
		return nil
	}
	p.made++
	return made
}

// put takes an empty pipe back.
func (p *pipePool) put(back *pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store = append(p.store, back)
	if !p.trims {
		p.trims = true
		time.AfterFunc(pipeTrim, p.trim)
	}
}

// drop takes a pipe back that is not empty.
func (p *pipePool) drop(back *pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close(back)
}

// trim closes the pipes that were in store ever since the last trim.
func (p *pipePool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.store[p.spare:]
	for _, unused := range p.store[:p.spare] {
		p.close(unused)
	}
	p.store = append([]*pipe(nil), kept...)
	p.spare = len(kept)
	if p.trims = p.made > 0; p.trims {
		time.AfterFunc(pipeTrim, p.trim)
	}
}

func (p *pipePool) close(old *pipe) {
	_ = syscall.Close(old.r)
	_ = syscall.Close(old.w)
	p.made--
}

// newPipe makes a pipe. It returns nil if the system gives none, or none that is worth it.
func newPipe() *pipe {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		return nil
	}
	size, err := fcntl(ends[0], syscall.F_SETPIPE_SZ, pipeSize)
	if err != nil { // a user with too many, or a system that allows less
		size, err = fcntl(ends[0], syscall.F_GETPIPE_SZ, 0)
	}
	if err != nil || size < leastPipe {
		_ = syscall.Close(ends[0])
		_ = syscall.Close(ends[1])
		return nil
	}
	return &pipe{ends[0], ends[1]}
}

func fcntl(fd, cmd, arg int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(arg))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
