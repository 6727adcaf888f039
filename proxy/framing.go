package proxy

// framing follows the messages that a client sends on one connection, one after the other, and says up to where they may be
// let through: heads whole or not at all, bodies as they come. So it knows for each byte to which message it belongs, and
// the reader behind it, net/http, cannot come to another opinion. The zero value with its bounds set is at the first head.
type framing struct {
	maxHead   int
	maxFields int
	ownHost   bool // a target with a host must be for the same as the Host field

	part    part
	head    requestHead
	left    int64 // of a body with Content-Length
	chunks  chunks
	trailer trailerSection
}

type part uint8

const (
	inHead part = iota
	inLength
	inChunks
	inTrailer
	inTunnel // after a CONNECT head: no longer HTTP
)

// pass returns how many bytes of b may be let through. B begins with the first byte that was not let through yet; pass is
// called again with the rest and more. A fault ends the connection behind the bytes that may pass.
func (f *framing) pass(b []byte) (n int, fault *Fault) {
	for n < len(b) {
		k, fault := f.step(b[n:])
		n += k
		if fault != nil || k == 0 {
			return n, fault
		}
	}
	return n, nil
}

// step is pass for one part of one message. It returns 0 if that part needs more bytes, or if HTTP has ended.
func (f *framing) step(b []byte) (n int, fault *Fault) {
	switch f.part {
	case inHead:
		f.head.ownHost = f.ownHost
		if n, fault = f.head.step(b, f.maxHead, f.maxFields); n > 0 && fault == nil {
			f.begin()
		}
	case inLength:
		n = len(b)
		if int64(n) > f.left {
			n = int(f.left)
		}
		if f.left -= int64(n); f.left == 0 {
			f.end()
		}
	case inChunks:
		var done bool
		if n, done, fault = f.chunks.step(b); done {
			f.part, f.trailer = inTrailer, trailerSection{}
		}
	case inTrailer:
		if n, fault = f.trailer.step(b, f.maxFields); n > 0 {
			f.end()
		}
	case inTunnel:
	}
	return n, fault
}

// begin goes on to what follows the head that has just been read.
func (f *framing) begin() {
	switch h := &f.head; {
	case h.connect:
		f.part = inTunnel
	case h.codings > 0:
		f.part, f.chunks = inChunks, chunks{}
	case h.length > 0:
		f.part, f.left = inLength, h.length
	default:
		f.end()
	}
}

// end goes on to the next head.
func (f *framing) end() { f.part, f.head = inHead, requestHead{} }
