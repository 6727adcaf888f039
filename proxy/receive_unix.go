//go:build unix

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// receive reads what has come, into a buffer that it borrows for the attempt and gives back while there is nothing: a tunnel
// that waits holds none. The caller gives it back when it is not nil. Deadlines count as for any read.
func receive(raw syscall.RawConn) (buf *streamBuffer, n int, err error) {
	waitErr := raw.Read(func(fd uintptr) bool {
		buf = borrow()
		for {
			n, err = syscall.Read(int(fd), buf[:])
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if errors.Is(err, syscall.EAGAIN) {
			buf.giveBack()
			buf = nil
			return false
		}
		return true
	})
	switch {
	case waitErr != nil:
		return buf, 0, waitErr
	case err != nil:
		return buf, 0, os.NewSyscallError("read", err)
	case n == 0:
		return buf, 0, io.EOF
	}
	return buf, n, nil
}

// rawConn is what receive reads from; nil if a connection has bytes in store that receive would miss.
func rawConn(c any) syscall.RawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
