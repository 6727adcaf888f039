package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// spliceBody moves what is left of a body whose length is known from the origin to the client through a pipe, without a copy
// into this process. It moves nothing if there is no pipe to be had; the rest is then for others. An error comes with the side
// that failed.
func (l *lane) spliceBody(f *flow, c *originConn, left int64) (rest int64, side string, err error) {
	p := allPipes.take()
	if p == nil {
		return left, "", nil
	}
	held := 0
	defer func() {
		if held > 0 {
			allPipes.drop(p)
		} else {
			allPipes.put(p)
		}
	}()
	for left > 0 {
		held, err = l.spliceIn(c, p, int(min(left, pipeSize)))
		if cannotSplice(err) {
			return left, "", nil
		}
		if err != nil {
			return left, brokenAt(err), err
		}
		left -= int64(held)
		for held > 0 {
			n, err := l.spliceOut(p, held)
			held -= n
			f.out.Add(int64(n))
			if err != nil {
				return left, "client", err
			}
		}
	}
	return 0, "", nil
}

// spliceIn waits for what comes next from the origin, as hear does, and takes it into an empty pipe.
func (l *lane) spliceIn(c *originConn, p *pipe, most int) (n int, err error) {
	for began := time.Now(); ; {
		var failed error
		waited := c.raw.Read(func(fd uintptr) bool {
			n, failed = splice(p.w, int(fd), most)
			return !errors.Is(failed, syscall.EAGAIN)
		})
		switch {
		case waited == nil && failed != nil:
			return 0, os.NewSyscallError("splice", failed)
		case waited == nil && n == 0:
			return 0, io.ErrUnexpectedEOF
		case waited == nil:
			return n, nil
		}
		if err := l.stillWaits(c, began, waited); err != nil {
			return 0, err
		}
	}
}

// spliceOut sends from a pipe, until the client takes no more for the idle limit.
func (l *lane) spliceOut(p *pipe, most int) (n int, err error) {
	err = l.whileItTakes(func() (int64, error) {
		before := n
		var failed error
		waited := l.raw.Write(func(fd uintptr) bool {
			for n < most && failed == nil {
				var took int
				took, failed = splice(int(fd), p.r, most-n)
				n += max(took, 0)
				if failed == nil && took == 0 {
					failed = io.ErrShortWrite
				}
			}
			if errors.Is(failed, syscall.EAGAIN) {
				failed = nil
				return false
			}
			return true
		})
		if waited != nil {
			return int64(n - before), waited
		}
		return int64(n - before), failed
	})
	return n, err
}
