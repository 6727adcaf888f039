// Package hello reads a TLS ClientHello out of the first bytes that a client sent, and hands every
// byte back in order, so that whoever acts next can forward them exactly as they came.
//
// It tells four things apart: what is not TLS, what is TLS but cannot be read, a hello without a
// server name and a hello with one. It is stricter than most servers on purpose: where two servers
// could read different names out of the same bytes, the answer is Unreadable, never a guess.
//
// It does not terminate TLS, does not check signatures or pre-shared keys, does not decrypt an
// Encrypted ClientHello, does not make a name canonical and does not know any policy. It sees the
// first hello only: one that follows a HelloRetryRequest, or a renegotiation, is the server's to
// compare.
package hello

import (
	"errors"
	"io"
)

const (
	// MaxSize bounds the handshake message that carries the hello, its four byte head included.
	MaxSize = 64 << 10

	// MaxHeld bounds the hello together with its record headers: a hello of MaxSize may come in some
	// 800 records, a small one in records of a single byte.
	MaxHeld = MaxSize + 4<<10

	// firstBuffer is what Read begins with; it fits a hello with a post-quantum key share.
	firstBuffer = 4 << 10

	// maxEmptyReads is how often in a row a reader may return neither bytes nor an error.
	maxEmptyReads = 100
)

// Kind says what the first bytes are.
type Kind uint8

const (
	// Incomplete means that more bytes are needed. With an error beside it (a deadline, an end) it
	// will stay so; a caller that must decide then treats it like Unreadable, or as silence if no
	// byte was held at all.
	Incomplete Kind = iota

	// NotTLS means that no TLS server would take these bytes for a handshake.
	NotTLS

	// Unreadable means TLS that breaks the rules or the bounds of this package.
	Unreadable

	// Hello means a whole, well-formed ClientHello.
	Hello
)

// String returns the kind in lower case: "incomplete", "not-tls", "unreadable" or "hello".
func (k Kind) String() string {
	switch k {
	case NotTLS:
		return "not-tls"
	case Unreadable:
		return "unreadable"
	case Hello:
		return "hello"
	case Incomplete:
	}
	return "incomplete"
}

// Info is what was learned. All fields but Kind and Why are set only if Kind is Hello. It shares no
// memory with the bytes it was read from.
type Info struct {
	Kind Kind

	// ServerName is the one host_name of the server_name extension (RFC 6066, section 3), empty if
	// there is no such extension. It is 1 to 255 bytes exactly as sent, without NUL, otherwise
	// unchecked: the caller makes it canonical, or refuses it, before it uses or logs it.
	ServerName string

	// ECH reports an encrypted_client_hello extension of type outer (RFC 9849). ServerName is then
	// the public name of the provider. Clients also send such an extension with random content
	// (GREASE); nobody without the provider's key can tell the two apart.
	ECH bool

	// ALPN holds the offered protocols in the client's order (RFC 7301), the first 16 at most, as
	// sent: any bytes, 1 to 255 of them.
	ALPN []string

	// EarlyData reports that TLS 1.3 early data follows the hello (RFC 8446, section 4.2.10).
	EarlyData bool

	// Why tells in a few words why the bytes are NotTLS or Unreadable. It never quotes them.
	Why string
}

// Parse tells what held is, or begins to be: Incomplete asks for more bytes. Once it gives another
// answer, no further byte changes that answer. What follows the records of the hello is not looked
// at.
func Parse(held []byte) Info {
	var w walk
	return w.step(held)
}

// Read takes bytes from r until Parse has an answer for them, and returns it with every byte taken,
// in order, after those of held. Bytes read earlier go in as held, which may be nil; its spare
// capacity is used before memory is asked for, so a caller may pool it. Read asks for no more than
// MaxHeld bytes of memory and does not read on once there is an answer, but what came along with
// the last bytes of the hello is held too.
//
// The error is r's, io.ErrUnexpectedEOF for an end inside of a hello, io.EOF for an end before the
// first byte, or io.ErrNoProgress; Info is then Incomplete, and held is still complete. Deadlines
// are the caller's: set one on the connection when its first byte is there.
func Read(r io.Reader, held []byte) (Info, []byte, error) {
	var (
		w     walk
		err   error
		empty int
	)
	for {
		info := w.step(held)
		if info.Kind != Incomplete {
			return info, held, nil
		}
		if err != nil {
			return info, held, endError(err, len(held))
		}
		if len(held) == cap(held) {
			held = grow(held)
		}
		var n int
		n, err = r.Read(held[len(held):cap(held)])
		held = held[:len(held)+n]
		if n > 0 {
			empty = 0
		} else if empty++; err == nil && empty > maxEmptyReads {
			err = io.ErrNoProgress
		}
	}
}

// grow doubles the capacity within the bounds. An incomplete hello is always shorter than MaxHeld,
// so there is always room to grow into.
func grow(held []byte) []byte {
	size := min(max(2*cap(held), firstBuffer), MaxHeld)
	bigger := make([]byte, len(held), size)
	copy(bigger, held)
	return bigger
}

// endError makes an end in the middle of a hello look like one.
func endError(err error, held int) error {
	if errors.Is(err, io.EOF) && held > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
