package hello

// Content types of TLS records (RFC 8446, section 5.1, and RFC 6520 for the heartbeat).
const (
	typeChangeCipherSpec = 20
	typeHandshake        = 22
	typeHeartbeat        = 24
)

const (
	recordHead  = 5       // type, version, length
	maxFragment = 1 << 14 // RFC 8446, section 5.1

	messageHead       = 4 // handshake type, 24 bits of length
	handshakeIsAHello = 1

	tlsMajor = 3 // SSL 3.0 is 3.0, TLS 1.3 says 3.3
)

// walk goes over the records that carry the hello. It keeps its place between steps, so that a
// hello which arrives byte by byte is gone over once.
type walk struct {
	off     int    // bytes of held that are done with
	left    int    // bytes to come of the record we are in
	records int    // record headers seen
	got     int    // bytes of the message seen
	head    uint32 // first messageHead bytes of the message, as far as seen
}

// step goes on over held, which must begin with the bytes of the steps before.
func (w *walk) step(held []byte) Info {
	for {
		if w.left == 0 && w.off+recordHead > MaxHeld {
			return unreadable("the hello is spread over too many records")
		}
		if w.off == len(held) {
			return Info{Kind: Incomplete}
		}
		if w.left == 0 {
			n, info := w.fragment(held[w.off:])
			if n == 0 {
				return info
			}
			w.off, w.left = w.off+recordHead, n
			w.records++
			continue
		}
		done, why := w.advance(held[w.off:])
		if why != "" {
			return unreadable(why)
		}
		if done {
			return parseMessage(w.message(held))
		}
	}
}

// fragment returns the length of the record whose header h begins with, or 0 and the reason: more
// bytes are needed, or none can help.
func (w *walk) fragment(h []byte) (int, Info) {
	if h[0] != typeHandshake {
		if w.records > 0 {
			return 0, unreadable("a record of another type interrupts the hello")
		}
		return 0, notHandshake(h)
	}
	// The minor version is ignored, as RFC 8446, section 5.1 demands. Some servers ignore the major
	// one too, so a strange one is no proof that this is not TLS.
	if len(h) > 1 && h[1] != tlsMajor {
		return 0, unreadable("the record version is not that of TLS")
	}
	if len(h) < recordHead {
		return 0, Info{Kind: Incomplete}
	}
	n := int(h[3])<<8 | int(h[4])
	switch {
	case n == 0:
		return 0, unreadable("a handshake record is empty")
	case n > maxFragment:
		return 0, unreadable("a record is longer than 16 KiB")
	case w.off+recordHead+n > MaxHeld:
		return 0, unreadable("the hello and its records exceed 68 KiB")
	}
	return n, Info{}
}

// notHandshake judges a first record that is no handshake. Servers skip some records before a hello
// (a warning alert, for one), and OpenSSL still takes a hello in the format of SSL 2.0: neither may
// pass for "not TLS".
func notHandshake(h []byte) Info {
	if h[0] >= typeChangeCipherSpec && h[0] <= typeHeartbeat {
		return unreadable("a TLS record of another type comes before the hello")
	}
	// SSL 2.0: two bytes of length with the top bit set, message type 1, version.
	switch {
	case h[0]&0x80 == 0,
		len(h) > 2 && h[2] != handshakeIsAHello,
		len(h) > 3 && h[3] != tlsMajor:
		return Info{Kind: NotTLS, Why: "the first bytes are no TLS record"}
	case len(h) < 4:
		return Info{Kind: Incomplete}
	}
	return unreadable("the hello has the format of SSL 2.0")
}

// advance takes what is there of the current record; the head of the message byte by byte, because
// even that may be spread over records. It reports whether the message ends here.
func (w *walk) advance(b []byte) (done bool, why string) {
	n := min(w.left, len(b))
	if w.got < messageHead {
		n = 1
		w.head = w.head<<8 | uint32(b[0])
	}
	w.off, w.left, w.got = w.off+n, w.left-n, w.got+n

	if w.got == 1 && w.head != handshakeIsAHello {
		return false, "another handshake message comes before the hello"
	}
	if w.got < messageHead {
		return false, ""
	}
	size := w.size()
	switch {
	case size > MaxSize:
		return false, "the hello is longer than 64 KiB"
	case w.got+w.left > size:
		return false, "the record goes on after the hello"
	}
	return w.got == size, ""
}

// size returns the length of the message, its head included.
func (w *walk) size() int {
	return messageHead + int(w.head&0xffffff)
}

// message returns the whole message once it is there: as part of held if it came in one record,
// as it nearly always does, else joined in new memory.
func (w *walk) message(held []byte) []byte {
	if w.records == 1 {
		return held[recordHead:w.off]
	}
	joined := make([]byte, 0, w.size())
	for off := 0; off < w.off; {
		begin := off + recordHead
		off = begin + int(held[off+3])<<8 + int(held[off+4])
		joined = append(joined, held[begin:off]...)
	}
	return joined
}

func unreadable(why string) Info {
	return Info{Kind: Unreadable, Why: why}
}
